"""Drawn samples: one for each class, on white, the same for the same seed, and told apart by more than their names."""

import tomllib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.images.decode import Photo
from core.images.letterbox import letterbox
from core.images.region import Region
from core.inference.classifier import Classifier
from core.samples.garments import (
    GALLERY_SEEDS,
    OUT_OF_SCOPE,
    OUTFIT,
    SAMPLE_NAMES,
    gallery_photo,
    out_of_scope,
    outfit,
    sample,
)
from tests.conftest import ROOT

SMALL = (60, 80)
WORN = {
    "Tops",
    "Sweaters",
    "Blazers",
    "Waistcoat",
    "Trousers",
    "Swimwear",
}  # whose wearers an edge of the photo cuts off
MISSED = {"Waistcoat", "Trousers"}
REFUSED = {"Swimwear"}  # named rightly, but perhaps at or below the threshold: the shipped network trained on few
CLASSES = ROOT / "train" / "classes" / "garments15.toml"


def ink(image: Image.Image) -> np.ndarray:
    """Where an image is not white, boolean (height, width)."""
    return np.asarray(image.convert("L")) < 245


def test_there_is_a_sample_of_each_class_of_the_published_list():
    groups = tomllib.loads(CLASSES.read_text(encoding="utf-8"))["groups"]
    assert list(SAMPLE_NAMES) == [name for names in groups.values() for name in names]


def test_an_unknown_class_has_no_sample():
    with pytest.raises(KeyError, match="Hats"):
        sample("Hats")


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_a_sample_stands_centred_on_white_and_fills_the_photo(name):
    for seed in range(4):
        drawn = sample(name, seed, (90, 120))
        assert (drawn.mode, drawn.size) == ("RGB", (90, 120))
        rows, columns = np.nonzero(ink(drawn))
        assert rows.min() > 0 or name in WORN
        assert rows.max() < 119 or name in WORN
        assert columns.min() > 0
        assert columns.max() < 89
        assert abs((columns.min() + columns.max()) / 2 - 44.5) < 6
        assert rows.max() - rows.min() > 45


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_a_seed_always_draws_the_same_and_another_seed_something_else(name):
    first, again, other = (sample(name, seed, SMALL).tobytes() for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", ["Tshirts", "Jackets", "Blazers", "Shorts"])
def test_a_seed_draws_the_same_garment_at_any_size(name):
    for seed in range(3):
        small, large = (
            sample(name, seed, (90, 120)),
            sample(name, seed, (360, 480)).resize((90, 120), Image.Resampling.BOX),
        )
        assert np.abs(np.asarray(small, int) - np.asarray(large, int)).mean() < 8


def test_samples_fit_any_size():
    assert sample("Jeans", size=(200, 100)).size == (200, 100)
    assert out_of_scope(1, (64, 64)).size == (64, 64)


def test_the_things_out_of_scope_are_three_kinds_in_turn():
    shapes = [ink(out_of_scope(seed, SMALL)).sum() for seed in range(3)]
    assert len(set(shapes)) == 3


@pytest.mark.parametrize("seed", range(6))
def test_an_outfits_boxes_are_true_and_apart(seed):
    photo, boxes = outfit(seed, (240, 320))
    (top, upper), (bottom, lower) = boxes.items()
    assert top in SAMPLE_NAMES[:8]
    assert bottom in SAMPLE_NAMES[8:]
    assert upper[3] < lower[1]
    dark = ink(photo)
    inside = np.zeros_like(dark)
    for left, above, right, below in (upper, lower):
        inside[above:below, left:right] = True
        rows, columns = np.nonzero(dark[above:below, left:right])
        assert rows.min() <= 2
        assert columns.min() <= 2
        assert rows.max() >= below - above - 3
        assert columns.max() >= right - left - 3
    assert not dark[~inside].any()


def test_classes_can_be_told_apart_by_the_nearest_of_a_few_others():
    """A nearest neighbour on raw pixels finds the class of most samples, so that a network has something to learn."""

    def features(seeds):
        photos = [
            letterbox(sample(name, seed, SMALL).convert("L").convert("RGB"), 40, 30)
            for name in SAMPLE_NAMES
            for seed in seeds
        ]
        return np.stack(photos)[..., 0].reshape(len(photos), -1).astype(np.float32)

    known, asked = features(range(6)), features(range(6, 9))
    distances = ((asked[:, None] - known[None]) ** 2).sum(axis=2)
    predicted = distances.argmin(axis=1) // 6
    accuracy = (predicted == np.repeat(np.arange(len(SAMPLE_NAMES)), 3)).mean()
    assert accuracy > 0.6


def as_photo(image: Image.Image) -> Photo:
    return Photo(image, "drawn", "PNG", "", *image.size)


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    return Classifier.load()


def gallery_names() -> list[Any]:
    """Names of the gallery's garments; what the shipped network is known to miss is expected to fail, and tells when it does not."""
    missed = pytest.mark.xfail(strict=True, reason="the shipped network calls it another class")
    return [pytest.param(name, marks=missed) if name in MISSED else name for name in SAMPLE_NAMES]


@pytest.mark.parametrize("name", gallery_names())
def test_the_shipped_network_names_each_garment_of_the_gallery(shipped, name):
    answer = shipped.answer(shipped.read([(as_photo(gallery_photo(name)), None)])[0])
    assert answer.label == name
    assert answer.in_scope or name in REFUSED


def test_the_shipped_network_refuses_what_is_no_garment(shipped):
    photos = [out_of_scope(seed) for seed in range(3)] + [gallery_photo(OUT_OF_SCOPE)]
    assert not any(shipped.answer(reading).in_scope for reading in shipped.read([(as_photo(p), None) for p in photos]))


def test_the_shipped_detector_boxes_each_garment_of_the_gallerys_outfit_and_the_network_names_them(shipped):
    if not shipped.finds:
        pytest.skip("the shipped run has no detector")
    photo, truth = as_photo(gallery_photo(OUTFIT)), outfit(GALLERY_SEEDS[OUTFIT])[1]
    found = shipped.find(photo)
    assert [one.answer.label for one in found] == list(truth)
    upper, lower = (Region(*box) for box in truth.values())
    for one, own, other in ((found[0], upper, lower), (found[1], lower, upper)):
        assert covered(own, one.region) > 0.9
        assert covered(other, one.region) < 0.3


def covered(garment: Region, by: Region) -> float:
    """Share of a garment's box that lies in another box."""
    width = max(0, min(garment.right, by.right) - max(garment.left, by.left))
    height = max(0, min(garment.bottom, by.bottom) - max(garment.top, by.top))
    return width * height / (garment.width * garment.height)
