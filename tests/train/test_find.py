"""The detector's training: scenes say what is where, the head learns it, and a run gets a detector that a killed command completes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from core import Classifier, Region
from core.artifacts.run import Run
from core.errors import InvalidData
from core.inference import detect
from core.inference.detect import CELL
from core.inference.detector_graph import DETECTOR
from tests.train_cases import recipe_file, small_rows, stage, use_small_network, write_catalogue
from train import pipeline
from train.__main__ import main
from train.config import DetectorTraining
from train.find import command, fit
from train.find.evaluate import product_sheet, share
from train.find.features import Projection
from train.find.head import SPAN, DetectorHead, boxes_of, iou, loss
from train.find.scenes import BACKGROUND, UNKNOWN, beside, phone, product, street

VALUES = {0: "background", 1: "t-shirt", 2: "jeans", 3: "bag", 4: "suit"}
GROUP_OF = {0: 0, 1: 1, 2: 3, 3: 5}
GARMENTS = range(1, 5)


@pytest.fixture(scope="module", autouse=True)
def small():
    """The small network, and photos looked at smaller."""
    with pytest.MonkeyPatch.context() as patched:
        use_small_network(patched)
        patched.setattr(detect, "AREA", 96 * 64)
        yield


def person(number: int) -> tuple[Image.Image, np.ndarray]:
    """A street photo of 60 x 90 and its mask: a shirt on trousers, somewhere on a noisy ground, a bag beside them."""
    random = np.random.default_rng(number)
    ground = random.integers(60, 120, (90, 60, 3), dtype=np.uint8)
    x, y = int(random.integers(4, 24)), int(random.integers(4, 12))
    places = {1: (x, y, x + 28, y + 30), 2: (x + 4, y + 30, x + 24, y + 72), 3: (x + 28, y + 30, x + 34, y + 40)}
    image, mask = Image.fromarray(ground), Image.new("L", (60, 90))
    for value, (left, top, right, bottom) in places.items():
        colour = tuple(random.integers(130, 255, 3).tolist())
        ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), fill=colour)
        ImageDraw.Draw(mask).rectangle((left, top, right - 1, bottom - 1), fill=value)
    return image, np.asarray(mask)


def write_street(folder: Path, photos: int = 30) -> Path:
    """A set of street photos; returns the folder."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    rows = "".join(f"{value},{label}\n" for value, label in VALUES.items())
    (folder / "labels.csv").write_text(f"value,label\n{rows}", encoding="utf-8")
    for number in range(photos):
        image, mask = person(number)
        image.save(folder / "images" / f"person{number}.jpg", quality=95)
        Image.fromarray(mask).save(folder / "masks" / f"person{number}.png")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("data")
    sets = [write_catalogue(folder / "catalogue", small_rows()), write_street(folder / "street")]
    return [argument for path in sets for argument in ("--data", str(path))]


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def trained(data, cache, tmp_path_factory) -> Path:
    """A finished run without a detector."""
    folder = tmp_path_factory.mktemp("runs")
    everything = ["head", "layer4", "layer3", "layer2", "layer1", "stem"]
    recipe = recipe_file(folder / "small.toml", stages=[stage(everything, height=40, width=32)])
    runs = folder / "runs"
    runs.mkdir()
    arguments = [
        "--recipe",
        str(recipe),
        "--init",
        "none",
        "--runs",
        str(runs),
        "--cache",
        str(cache),
        "--device",
        "cpu",
    ]
    assert main([*data, *arguments]) == 0
    return next(filter(Path.is_dir, runs.iterdir()))


def copied(run: Path, to: Path) -> Path:
    to.mkdir()
    for path in filter(Path.is_file, run.iterdir()):
        (to / path.name).write_bytes(path.read_bytes())
    return to


def test_a_street_photo_says_what_each_cell_shows_and_where_its_garment_ends():
    image, mask = person(0)
    targets = street(image, mask, GROUP_OF, GARMENTS).targets()
    rows, columns = targets.groups.shape
    assert targets.pixels.shape == (rows * CELL, columns * CELL, 3)
    assert set(np.unique(targets.groups)) <= {0, 1, 3, 5}
    for value, group in ((1, 1), (2, 3)):
        ys, xs = np.nonzero(mask == value)
        box = np.array([xs.min() / 60, ys.min() / 90, (xs.max() + 1) / 60, (ys.max() + 1) / 90])
        assert np.abs(targets.boxes[targets.groups == group] - box).max() <= 0.05
    assert not targets.boxes[(targets.groups == 0) | (targets.groups == 5)].any()


def test_a_label_in_no_group_is_not_taught():
    image, mask = person(0)
    suit = np.where(mask == 1, 4, mask).astype(np.uint8)
    scene = street(image, suit, GROUP_OF, GARMENTS)
    assert (scene.groups[suit == 4] == UNKNOWN).all() and not scene.garments[suit == 4].any()


def test_a_mirrored_scene_is_the_scene_left_for_right():
    scene = street(*person(1), GROUP_OF, GARMENTS)
    mirrored = scene.mirrored()
    assert np.array_equal(np.asarray(mirrored.image), np.asarray(scene.image)[:, ::-1])
    assert np.array_equal(mirrored.mirrored().garments, scene.garments)


def test_scenes_side_by_side_keep_their_garments_apart():
    scene = street(*person(2), GROUP_OF, GARMENTS)
    both = beside([scene, scene], upright=False)
    assert both.image.size == (120, 90) and set(np.unique(both.garments)) == {0, 1, 2, 3, 4}
    assert np.array_equal(both.groups[:, 60:], scene.groups)


def test_a_product_is_what_is_not_white_and_one_on_a_person_is_not_taught():
    image = Image.new("RGB", (60, 80), "white")
    ImageDraw.Draw(image).rectangle((10, 20, 49, 69), fill=(40, 60, 150))
    scene = product(image, 3)
    assert (scene.groups[20:70, 10:50] == 3).all() and (scene.groups == BACKGROUND).sum() == 60 * 80 - 50 * 40
    ImageDraw.Draw(image).rectangle((20, 20, 39, 34), fill=(224, 172, 140))  # a face
    worn = product(image, 3)
    assert not worn.garments.any() and (worn.groups[20:70, 10:50] == UNKNOWN).all()


def test_a_garment_on_something_plain_is_found_by_its_colour_and_a_photo_of_one_colour_tells_nothing():
    random = np.random.default_rng(0)
    pixels = random.normal((170, 140, 110), 6, (160, 120, 3))
    pixels[40:130, 30:90] = random.normal((30, 60, 120), 6, (90, 60, 3))
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    scene = phone(image, 2)
    assert scene is not None
    true = np.zeros((160, 120), bool)
    true[40:130, 30:90] = True
    found = scene.garments > 0
    assert (found & true).sum() / (found | true).sum() > 0.85
    assert phone(Image.new("RGB", (120, 160), (90, 90, 90)), 2) is None


def test_a_cell_is_taught_its_distances_and_gets_its_box_back():
    distances = torch.log(torch.tensor([2.5, 1.5, 3.5, 4.5]) / SPAN).view(1, 4, 1, 1).expand(1, 4, 6, 8)
    assert torch.allclose(boxes_of(distances)[0, 3, 5], torch.tensor([3.0, 2.0, 9.0, 8.0]))
    one = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    assert torch.allclose(iou(one, torch.tensor([[1.0, 0.0, 3.0, 2.0]])), torch.tensor([1 / 3]))


def outputs_for(groups: torch.Tensor, box: tuple[float, float, float, float]) -> torch.Tensor:
    """What a perfect head says of (h, w) groups where every garment has one box, in cells."""
    rows, columns = groups.shape
    outputs = torch.zeros(1, 12, rows, columns)
    outputs[0, :7].scatter_(0, groups.long()[None], 12.0)
    x, y = torch.arange(columns) + 0.5, (torch.arange(rows) + 0.5)[:, None].expand(rows, columns)
    sides = [x.expand(rows, columns) - box[0], y - box[1], box[2] - x.expand(rows, columns), box[3] - y]
    outputs[0, 7:11] = torch.log(torch.stack(sides).clamp_min(0.1) / SPAN)
    outputs[0, 11] = 8
    return outputs


def test_the_loss_is_least_for_what_is_right_and_blind_to_what_is_not_taught():
    groups = torch.zeros(1, 6, 8, dtype=torch.uint8)
    groups[0, 1:5, 2:6] = 1
    boxes = torch.zeros(1, 6, 8, 4)
    boxes[0, 1:5, 2:6] = torch.tensor([2 / 8, 1 / 6, 6 / 8, 5 / 6])
    weights = torch.ones(7)
    right = loss(outputs_for(groups[0], (2, 1, 6, 5)), groups, boxes, weights)
    assert right < 0.05
    assert loss(outputs_for(groups[0], (0, 0, 8, 6)), groups, boxes, weights) > right + 0.3
    assert loss(outputs_for(torch.zeros(6, 8), (2, 1, 6, 5)), groups, boxes, weights) > right + 1
    unknown = groups.clone()
    unknown[0, 0] = UNKNOWN
    wrong = outputs_for(groups[0], (2, 1, 6, 5))
    wrong[0, :7, 0] = torch.tensor([0.0, 12, 0, 0, 0, 0, 0])[:, None]
    assert loss(wrong, unknown, boxes, weights) < 0.05
    assert torch.isfinite(loss(outputs_for(groups[0] * 0, (2, 1, 6, 5)), groups * 0, boxes * 0, weights))


def test_a_head_for_projected_maps_says_the_same_for_the_maps_themselves():
    torch.manual_seed(0)
    channels, kept = (20, 30, 40), (6, 8, 10)
    samples = [torch.randn(200, c) @ torch.randn(c, c) + 3 for c in channels]
    project = Projection.fitted(samples, kept)
    head = DetectorHead(7, kept).eval()
    maps = [torch.randn(1, c, 16 // s, 8 // s) for c, s in zip(channels, (1, 2, 4), strict=True)]
    with torch.no_grad():
        assert torch.allclose(head.with_projection(project)(*maps), head(*project(maps)), atol=1e-4)


def drawn_scenes(number: int = 6) -> list[dict[str, torch.Tensor]]:
    """Scenes as they lie on disk, with random maps."""
    torch.manual_seed(1)
    found = []
    for i in range(number):
        targets = street(*person(i), GROUP_OF, GARMENTS).targets()
        rows, columns = targets.groups.shape
        maps = {f"maps{k}": torch.randn(8, rows >> k, columns >> k).half() for k in range(3)}
        found.append(maps | {"groups": torch.tensor(targets.groups), "boxes": torch.tensor(targets.boxes).half()})
    return found


def test_training_goes_on_from_its_checkpoint_as_if_never_stopped(tmp_path, monkeypatch):
    given = drawn_scenes()
    training = DetectorTraining(epochs=3, batch_size=2)
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    whole = fit.fit(given, 7, 4, training, tmp_path / "whole")
    save, saved = fit.save_checkpoint, []

    def stop(state, path):
        save(state, path)
        saved.append(path)
        if len(saved) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fit, "save_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            fit.fit(given, 7, 4, training, tmp_path / "stopped")
    resumed = fit.fit(given, 7, 4, training, tmp_path / "stopped")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_run_gets_a_detector_with_its_hash_and_rows_even_if_killed_between(
    trained, data, cache, tmp_path, monkeypatch, capsys
):
    run = copied(trained, tmp_path / "run")
    before = Run.load(run)
    measured = before.read_json("metrics.json")
    arguments = [*data, "--cache", str(cache), "find", str(run)]

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(command, "fit", die)
        assert main(arguments) == 130
    assert not (run / DETECTOR).exists() and Run.load(run).manifest == before.manifest
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    found = Run.load(run)
    assert found.path(DETECTOR).stat().st_size <= 8_000_000
    rows = found.read_json("metrics.json")["detector"]
    assert rows["test"]["street"]["recall"]["n"] > 0
    assert f"n = {rows['test']['street']['recall']['n']}" in printed
    assert found.manifest["detector"]["groups"][:5] == ["background", "upper", "outer", "lower", "dress"]
    assert before.manifest["files"].items() - found.manifest["files"].items() == {
        ("metrics.json", before.manifest["files"]["metrics.json"])
    }
    assert found.read_json("metrics.json").items() >= measured.items()
    assert not list(cache.glob("detector-*")), "features and checkpoint go when the detector is whole"
    for one in Classifier(found).find(person(0)[0], out_of_scope=True):
        assert one.region.right <= 60 and one.region.bottom <= 90
    recipe, photos = pipeline.trained_on(found, data[1::2], cache)
    again = command.remeasure_detector(found, pipeline.Examples(photos, recipe.class_list()))
    assert again == rows["test"] and Run.load(run).manifest["detector"] == found.manifest["detector"]


def test_without_street_photos_there_is_no_detector_and_the_message_says_why(
    trained, data, cache, tmp_path, monkeypatch
):
    run = Run.load(copied(trained, tmp_path / "run"))
    recipe, photos = pipeline.trained_on(run, data[1::2], cache)
    examples = pipeline.Examples(photos, recipe.class_list())
    monkeypatch.setattr(pipeline.Examples, "street_files", lambda *_: [])
    with pytest.raises(InvalidData, match="street photos with masks"):
        command.add_detector(run, examples, DetectorTraining(), cache)


def test_two_products_on_a_sheet_have_the_boxes_of_what_is_not_white():
    images = [Image.new("RGB", (60, 80), "white") for _ in range(2)]
    for image in images:
        ImageDraw.Draw(image).rectangle((10, 20, 49, 69), fill=(40, 60, 150))
    for beside_, second in ((True, Region(70, 20, 110, 70)), (False, Region(10, 100, 50, 150))):
        sheet, boxes = product_sheet(*images, beside=beside_)
        assert boxes == [Region(10, 20, 50, 70), second]
        assert sheet.size == ((120, 80) if beside_ else (60, 160))


def test_a_share_of_nothing_is_not_measured():
    assert share([]) == {"n": 0, "value": None}
    assert share([True, False])["value"] == 0.5
