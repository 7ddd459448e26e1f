"""Attributes: colours come from the garment's pixels, heads say only what they may, damaged files are told."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from scipy import ndimage
from scipy.special import softmax

from core.artifacts.run import Run, sha256_of
from core.errors import BrokenRun
from core.images.letterbox import letterbox
from core.inference import attributes
from core.inference.attributes import (
    ATTRIBUTES_FILE,
    COLOURS,
    HEADS_FILE,
    Attribute,
    Attributes,
    Head,
    _lab,
    garment_colours,
    in_words,
)
from core.inference.classifier import Classifier
from core.inference.postprocess import Controls


def on(background: tuple[int, int, int], colour: tuple[int, int, int] = (20, 30, 90)) -> np.ndarray:
    """A garment of one colour in the middle of an input of 96x72."""
    pixels = np.full((96, 72, 3), background, np.uint8)
    pixels[24:72, 18:54] = colour
    return pixels


def test_cielab_is_that_of_known_colours():
    """Values by Bruce Lindbloom's calculator, sRGB with D65."""
    found = _lab(np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 128]], np.uint8))
    expected = [[100, 0, 0], [0, 0, 0], [53.2, 80.1, 67.2], [13.0, 47.5, -64.7]]
    np.testing.assert_allclose(found, expected, atol=0.3)


def test_a_plain_background_has_no_part_in_the_colours():
    np.testing.assert_allclose(garment_colours(on((255, 255, 255))), garment_colours(on((30, 200, 60))), atol=1e-6)


def test_nor_has_the_letterbox():
    narrow = Image.fromarray(on((30, 200, 60))[20:76, 10:62])
    boxed, plain = (
        garment_colours(pixels)[: COLOURS // 2] for pixels in (letterbox(narrow, 96, 72), on((30, 200, 60)))
    )
    assert boxed @ plain > 0.95


def test_without_a_plain_background_pixels_count_by_the_heat_of_their_place():
    pixels = np.random.default_rng(0).integers(0, 256, (96, 72, 3), np.uint8)
    pixels[:48] = (200, 20, 20)
    pixels[0, ::2] = 0  # no plain edge
    top, bottom = np.zeros((2, 3, 3), np.float32)
    top[0], bottom[2] = 1, 1
    red = garment_colours(on((255, 255, 255), (200, 20, 20)))
    assert red @ garment_colours(pixels, top) > red @ garment_colours(pixels) > red @ garment_colours(pixels, bottom)


def test_the_shares_of_the_colours_sum_to_one_whatever_the_photo():
    random = np.random.default_rng(0)
    photos = [on((255, 255, 255)), np.full((96, 72, 3), 255, np.uint8), np.zeros((96, 72, 3), np.uint8)]
    photos += [
        random.integers(0, 256, (96, 72, 3), np.uint8),
        np.where(np.eye(96, 72)[..., None], 0, [255] * 3).astype(np.uint8),
    ]
    for photo in photos:
        colours = garment_colours(photo, np.zeros((3, 3), np.float32))
        assert colours.shape == (COLOURS,) and (colours[: COLOURS // 2] ** 2).sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(colours[COLOURS // 2 :], 2 * colours[: COLOURS // 2] ** 2, atol=1e-5)


def head(name: str, values: tuple[str, ...], classes: set[str], bias: list[float], source: str = "features") -> Head:
    size = COLOURS if source == "colours" else 2048
    return Head(name, values, frozenset(classes), source, np.zeros((len(values), size), np.float32), np.array(bias))


def test_only_attributes_that_a_class_has_are_said_and_only_values_that_are_likely():
    heads = (
        head("colour", ("navy", "red"), {"Shirts", "Jeans"}, [3, 0], "colours"),
        head("pattern", ("checked", "solid", "striped"), {"Shirts"}, [0.1, 0, 0]),
        head("section", ("men's section", "women's section"), {"Shirts"}, [0, 2]),
    )
    seen = np.zeros(2048), np.zeros(COLOURS)
    said = Attributes(heads).of("Shirts", *seen)
    assert said == (
        Attribute("colour", "navy", pytest.approx(softmax([3, 0])[0])),
        Attribute("section", "women's section", pytest.approx(softmax([0, 2])[1])),
    )
    assert [attribute.value for attribute in Attributes(heads).of("Jeans", *seen)] == ["navy"]
    assert Attributes(heads).of("Skirts", *seen) == Attributes().of("Shirts", *seen) == ()


def test_attributes_read_as_one_line():
    said = [
        Attribute("colour", "navy", 0.9),
        Attribute("pattern", "checked", 0.8),
        Attribute("section", "men's section", 0.7),
    ]
    assert in_words(said) == "Navy · checked · men's section"
    assert in_words([]) == ""


def with_heads(run: Run, folder, heads: list[dict], tensors: dict[str, np.ndarray], **manifest) -> Run:
    """A copy of a run with attributes."""
    folder = shutil.copytree(run.folder, folder)
    (folder / ATTRIBUTES_FILE).write_text(json.dumps({"attributes": heads}))
    save_file(tensors, folder / HEADS_FILE)
    files = run.manifest["files"] | {name: sha256_of(folder / name) for name in (ATTRIBUTES_FILE, HEADS_FILE)}
    return Run(folder, run.manifest | manifest | {"files": files})


@pytest.fixture
def described() -> list[dict]:
    classes = [
        "Tshirts",
        "Shirts",
        "Tops",
        "Sweatshirts",
        "Jackets",
        "Sweaters",
        "Blazers",
        "Waistcoat",
        "Jeans",
        "Trousers",
    ]
    classes += ["Shorts", "Skirts", "Track Pants", "Leggings", "Swimwear"]
    common = {"classes": classes, "shown": True}
    return [
        {"name": "pattern", "values": ["checked", "solid"], "source": "features", **common},
        {"name": "colour", "values": ["navy", "red"], "source": "colours", **common},
        {"name": "collar", "values": ["hood", "no collar"], "source": "features", **common | {"shown": False}},
    ]


@pytest.fixture
def tensors() -> dict[str, np.ndarray]:
    sizes = {"pattern": 2048, "colour": COLOURS, "collar": 2048}
    weights = {f"{name}.weight": np.zeros((2, size), np.float32) for name, size in sizes.items()}
    return weights | {f"{name}.bias": np.array([2, 0], np.float32) for name in sizes}


def test_an_answer_in_scope_has_the_attributes_that_may_be_shown_in_their_order(
    random_run, tmp_path, described, tensors
):
    classifier = Classifier(with_heads(random_run, tmp_path / "run", described, tensors))
    photo = Image.new("RGB", (60, 80), (20, 30, 90))
    (answer,) = classifier.predict([photo])
    assert answer.in_scope and answer.looks_like is None
    assert [attribute.name for attribute in answer.attributes] == ["colour", "pattern"]
    assert in_words(answer.attributes) == "Navy · checked"


def test_an_answer_out_of_scope_has_none(random_run, tmp_path, described, tensors):
    scope = random_run.manifest["in_scope"] | {"threshold": 1e9}
    classifier = Classifier(with_heads(random_run, tmp_path / "run", described, tensors, in_scope=scope))
    (answer,) = classifier.predict([Image.new("RGB", (60, 80), (20, 30, 90))])
    assert not answer.in_scope and answer.attributes == ()


@pytest.mark.parametrize("fault", ["missing", "shape", "key"])
def test_files_that_do_not_belong_together_are_told(random_run, tmp_path, described, tensors, fault):
    if fault == "missing":
        del tensors["colour.bias"]
    elif fault == "shape":
        tensors["colour.weight"] = np.zeros((3, COLOURS), np.float32)
    else:
        del described[0]["values"]
    with pytest.raises(BrokenRun, match="attributes.json beside it do not belong together"):
        Classifier(with_heads(random_run, tmp_path / "run", described, tensors))


def test_a_run_without_attributes_answers_without_them(random_classifier):
    (reading,) = random_classifier.read_inputs([random_classifier.prepare(_photo())])
    assert random_classifier.answer(reading, Controls()).attributes == ()


def _photo():
    from core.images.decode import Photo

    image = Image.new("RGB", (60, 80), (20, 30, 90))
    return Photo(image, "", "image", "", *image.size)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.75])
def test_what_is_reached_from_the_edge_is_what_a_library_says(share):
    for seed in range(20):
        cells = np.random.default_rng(seed).random((48, 36)) < share
        parts, _ = ndimage.label(cells)
        edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
        expected = np.isin(parts, edge[edge > 0])
        np.testing.assert_array_equal(attributes._reached_from_the_edge(cells), expected)
