"""Garments in a photo: the graph equals PyTorch, cells become boxes and outlines, and what is found is classified."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import ExifTags, Image
from safetensors.torch import save_file

from core import Classifier, Found, GarmentError, Region
from core.artifacts.run import Run, sha256_of
from core.errors import BrokenRun, DetectorMissing, InvalidRegion, UnknownClass
from core.images.decode import Photo
from core.images.outline import holds
from core.inference import detect
from core.inference.classifier import found_at, without_repeats
from core.inference.detect import CELL, SPAN, STEP, garments, grid_size
from core.inference.detector_graph import DETECTOR, DetectorSettings, detector_graph
from core.inference.model import IMAGENET_MEAN, IMAGENET_STD, GarmentNet
from train.find.head import DetectorHead

GROUPS = ("background", "upper", "outer", "lower", "dress", "accessories", "person")
SETTINGS = DetectorSettings(GROUPS, garments=4)
UPPER, OUTER, LOWER, DRESS, ACCESSORIES = range(1, 6)
ROWS, COLUMNS = 48, 36
Box = tuple[int, int, int, int]


@pytest.fixture(scope="module")
def head() -> DetectorHead:
    """Random weights with lively BatchNorm statistics, as stored in half precision."""
    torch.manual_seed(0)
    head = DetectorHead(len(GROUPS))
    for name, value in head.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif name.endswith("running_mean"):
            value.normal_()
    head.load_state_dict(
        {name: v.half().float() if v.is_floating_point() else v for name, v in head.state_dict().items()}
    )
    return head.eval()


def write_head(path: Path, head: DetectorHead, settings: DetectorSettings = SETTINGS) -> Path:
    state = {name: value for name, value in head.state_dict().items() if not name.endswith("num_batches_tracked")}
    save_file({name: value.half().contiguous() for name, value in state.items()}, path, settings.as_metadata())
    return path


@pytest.fixture(scope="module")
def run(random_run, head, tmp_path_factory) -> Run:
    """The random run with a random detector."""
    folder = tmp_path_factory.mktemp("runs") / "finding"
    shutil.copytree(random_run.folder, folder)
    write_head(folder / DETECTOR, head)
    files = random_run.manifest["files"] | {DETECTOR: sha256_of(folder / DETECTOR)}
    (folder / "manifest.json").write_text(json.dumps(random_run.manifest | {"run_id": "finding", "files": files}))
    return Run.load(folder)


@pytest.fixture(scope="module")
def classifier(run) -> Classifier:
    return Classifier(run)


def photo(size: tuple[int, int] = (360, 480), seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))


def encoded(image: Image.Image, **how) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **how)
    return buffer.getvalue()


def cells_showing(*shown: tuple[int, Box, list[Box]]) -> np.ndarray:
    """What the head says where each of some garments of a group, with a box, is to be seen in some rectangles, in cells."""
    cells = np.zeros((len(GROUPS) + 5, ROWS, COLUMNS), np.float32)
    cells[0] = 8
    cells[-1] = 3
    for group, (left, top, right, bottom), places in shown:
        for x0, y0, x1, y1 in places:
            area = (slice(y0, y1), slice(x0, x1))
            y, x = np.mgrid[area] + 0.5
            cells[(0, *area)] = 0
            cells[(slice(1, 7), *area)] = 0
            cells[(group, *area)] = 8
            distances = np.stack([x - left, y - top, right - x, bottom - y])
            cells[(slice(len(GROUPS), -1), *area)] = np.log(distances / SPAN)
    return cells


def seen(monkeypatch, *shown: tuple[int, Box, list[Box]]) -> None:
    """Make every detector say that it sees these."""
    monkeypatch.setattr(detect.Detector, "cells", lambda *_: cells_showing(*shown))


@pytest.mark.parametrize("size", [(96, 64), (64, 160)])
def test_the_graph_equals_the_head_on_the_network(run, random_network, head, size):
    pixels = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    model, settings = detector_graph(run)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [cells] = session.run(["cells"], {"pixels": pixels})
    with torch.no_grad():
        expected = head(*layers(random_network, pixels)).numpy()
    assert settings == SETTINGS
    assert cells.shape == (2, len(GROUPS) + 5, size[0] // CELL, size[1] // CELL)
    assert np.abs(cells - expected).max() <= 1e-4 * np.abs(expected).max()


def layers(network: GarmentNet, pixels: np.ndarray) -> list[torch.Tensor]:
    """Maps of layer2, layer3 and layer4 in PyTorch."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    x = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std
    x = network.layer1(network.maxpool(network.relu(network.bn1(network.conv1(x)))))
    second = network.layer2(x)
    third = network.layer3(second)
    return [second, third, network.layer4(third)]


def test_settings_come_back_from_the_file(head, tmp_path):
    settings = DetectorSettings(GROUPS, 4, 0.3, -1.5)
    assert DetectorSettings.of(write_head(tmp_path / DETECTOR, head, settings)) == settings


@pytest.mark.parametrize("size", [(400, 600), (4000, 3000), (30, 5000), (9000, 20), (8, 8)])
def test_the_input_has_sides_of_whole_steps_and_a_bounded_area(size):
    height, width = grid_size(*size)
    assert height % STEP == width % STEP == 0 and min(height, width) >= STEP
    assert height * width <= 1.2 * detect.AREA
    if max(size) < 3 * min(size):
        assert abs(np.log(height / width / (size[1] / size[0]))) < 0.2


def test_a_garment_cut_in_two_is_one_and_two_that_touch_are_two():
    jacket, shirt, jeans = (4, 4, 30, 22), (12, 6, 20, 20), (8, 22, 26, 44)
    cells = cells_showing(
        (OUTER, jacket, [(4, 4, 12, 22), (20, 4, 30, 22)]), (UPPER, shirt, [(12, 6, 20, 20)]), (LOWER, jeans, [jeans])
    )
    found = sorted(garments(cells, SETTINGS), key=lambda garment: -garment.box[2])
    assert [1 + garment.groups.argmax() for garment in found] == [OUTER, LOWER, UPPER]
    for garment, box in zip(found, (jacket, jeans, shirt), strict=True):
        assert np.allclose(garment.box, box, atol=0.01)


def test_two_finds_of_one_group_that_lie_in_one_another_are_one():
    leg, trousers = (10, 20, 18, 44), (8, 4, 18, 44)
    cells = cells_showing((LOWER, leg, [(10, 32, 18, 44)]), (LOWER, trousers, [(8, 4, 18, 32)]))
    [found] = garments(cells, SETTINGS)
    assert found.cells.sum() == 10 * 28 + 8 * 12
    assert np.allclose(found.box, (8, 4, 18, 38))  # the surest one's: half way from its box to the bounds of its cells


@pytest.mark.parametrize("label, kept", [("Jackets", [0.9]), ("Tshirts", [0.9, 0.8])])
def test_a_find_that_lies_in_a_surer_one_stays_if_it_is_of_another_class(classifier, label, kept):
    answer = classifier.predict([photo()])[0]
    jacket, inside = (replace(answer, ranking=[(name, 0.9)]) for name in ("Jackets", label))
    found = [
        Found(Region(0, 0, 100, 100), (), jacket, "outer", 0.9, 0.1),
        Found(Region(20, 50, 80, 120), (), inside, "upper", 0.8, 0.1),
    ]
    assert [one.score for one in without_repeats(found)] == kept
    assert [one.score for one in without_repeats(found[::-1])] == kept[::-1]


def test_accessories_and_specks_are_no_garments():
    assert garments(cells_showing((ACCESSORIES, (2, 2, 9, 9), [(2, 2, 9, 9)])), SETTINGS) == []
    assert garments(cells_showing((UPPER, (2, 2, 4, 4), [(2, 2, 4, 4)])), SETTINGS) == []
    assert garments(cells_showing(), SETTINGS) == []


def test_boxes_and_outlines_are_in_pixels_of_the_upright_photo(classifier, monkeypatch):
    seen(monkeypatch, (LOWER, (9, 24, 27, 48), [(9, 24, 27, 48)]), (UPPER, (6, 4, 30, 24), [(6, 4, 30, 24)]))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # 720 x 360 as stored, 360 x 720 upright
    found = classifier.find(encoded(photo((720, 360)), exif=exif), out_of_scope=True)
    assert [one.region for one in found] == [Region(60, 60, 300, 360), Region(90, 360, 270, 720)]
    assert [one.group for one in found] == ["upper", "lower"]
    for one in found:
        (left, top), (right, bottom) = np.min(one.outline, axis=0), np.max(one.outline, axis=0)
        assert np.allclose((left, top, right, bottom), one.region.box, atol=8)
        assert abs(one.share - one.region.width * one.region.height / (360 * 720)) < 0.02


def test_each_find_is_answered_as_its_box_is(classifier, monkeypatch):
    seen(monkeypatch, (UPPER, (6, 4, 30, 24), [(6, 4, 30, 24)]), (LOWER, (9, 24, 27, 48), [(9, 24, 27, 48)]))
    image = photo()
    found = classifier.find(image)
    answers = classifier.predict([image] * 2, regions=[one.region for one in found])
    assert all(isinstance(one, Found) for one in found)
    assert [one.answer.label for one in found] == [answer.label for answer in answers]
    assert np.allclose([one.answer.probability for one in found], [answer.probability for answer in answers])


def test_finds_out_of_scope_are_dropped_unless_asked_for(classifier, monkeypatch):
    seen(monkeypatch, (DRESS, (6, 4, 30, 44), [(6, 4, 30, 44)]))
    strict = DetectorSettings(GROUPS, 4, scope_threshold=1e9)
    monkeypatch.setattr(classifier._detector, "settings", strict)
    assert classifier.find(photo()) == []
    [dress] = classifier.find(photo(), out_of_scope=True)
    assert not dress.answer.in_scope and dress.group == "dress"


def test_finds_below_the_least_score_are_dropped(classifier, monkeypatch):
    seen(monkeypatch, (UPPER, (6, 4, 30, 24), [(6, 4, 30, 24)]))
    monkeypatch.setattr(classifier._detector, "settings", DetectorSettings(GROUPS, 4, least_score=0.99))
    assert classifier.find(photo(), out_of_scope=True) == []


@pytest.mark.parametrize("size", [(30, 2000), (2000, 30), (9, 9), (900, 1200)])
def test_whatever_a_random_head_says_boxes_lie_in_the_photo(classifier, size):
    for one in classifier.find(photo(size), out_of_scope=True):
        region = one.region
        assert 0 <= region.left < region.right <= size[0] and 0 <= region.top < region.bottom <= size[1]


def test_a_run_without_a_detector_classifies_as_before_and_says_why_it_finds_nothing(random_classifier):
    assert not random_classifier.finds
    with pytest.raises(DetectorMissing, match="train find") as raised:
        random_classifier.find(photo())
    assert isinstance(raised.value, GarmentError)
    assert random_classifier.predict([photo()])[0].label in random_classifier.labels.names


def test_a_damaged_detector_is_named(run, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(run.folder, folder)
    (folder / DETECTOR).write_bytes(b"nothing of the kind")
    files = run.manifest["files"] | {DETECTOR: sha256_of(folder / DETECTOR)}
    (folder / "manifest.json").write_text(json.dumps(run.manifest | {"files": files}))
    classifier = Classifier.load(folder)
    with pytest.raises(BrokenRun, match=DETECTOR):
        classifier.find(photo())


def test_a_point_finds_the_smallest_garment_whose_outline_holds_it(classifier, monkeypatch):
    jacket, shirt = (4, 4, 30, 30), (12, 6, 20, 20)
    seen(monkeypatch, (OUTER, jacket, [(4, 4, 12, 30), (20, 4, 30, 30)]), (UPPER, shirt, [(12, 6, 20, 20)]))
    monkeypatch.setattr(
        "core.inference.classifier.without_repeats", list
    )  # the random network takes both for one class
    found = classifier.find(photo(), out_of_scope=True)
    outer, upper = (next(one for one in found if one.group == group) for group in ("outer", "upper"))
    assert found_at(found, 70, 100) is outer
    assert found_at(found, 160, 100) is upper
    assert not holds(outer.outline, (160, 280)) and found_at(found, 160, 280) is outer  # by its box
    assert found_at(found, 2, 2) is None


def test_predict_takes_a_region_a_photo(classifier):
    image, region = photo(), Region(40, 60, 200, 300)
    whole, part = classifier.predict([image, encoded(image)], regions=[None, region])
    crop = classifier.predict([image.crop(region.box)])[0]
    assert part.label == crop.label
    assert part.probability == pytest.approx(crop.probability, abs=1e-5)
    assert whole.probability == pytest.approx(classifier.predict([image])[0].probability, abs=1e-5)


def test_predict_wants_as_many_regions_as_photos(classifier):
    with pytest.raises(InvalidRegion, match="2 photos and 1 regions"):
        classifier.predict([photo(), photo()], regions=[None])


def test_a_heat_map_has_the_photos_size_and_is_0_outside_the_region(classifier):
    image = photo((300, 200))
    heat = classifier.heat_map(encoded(image), "Jeans")
    assert heat.shape == (200, 300) and heat.dtype == np.float32 and heat.min() >= 0 and heat.max() <= 1
    part = classifier.heat_map(image, "Jeans", Region(100, 50, 200, 150))
    outside = part.copy()
    outside[50:150, 100:200] = 0
    assert part.shape == (200, 300) and not outside.any()
    assert np.allclose(part[50:150, 100:200], classifier.heat_map(image.crop((100, 50, 200, 150)), "Jeans"), atol=1e-5)


def test_a_heat_map_of_no_class_names_the_classes(classifier):
    with pytest.raises(UnknownClass, match="'Hats' is no class.*Jeans"):
        classifier.heat_map(photo(), "Hats")


def test_a_decoded_photo_can_be_looked_at_too(classifier, monkeypatch):
    seen(monkeypatch, (UPPER, (0, 0, 36, 24), [(0, 0, 36, 24)]))
    image = photo((180, 240))
    decoded = Photo(image, "", "PNG", "", 360, 480)  # decoded at half its size
    [one] = classifier.find(decoded, out_of_scope=True)
    assert one.region == Region(0, 0, 360, 240)
