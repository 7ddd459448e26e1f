"""The drawn street: six garments on three people, with true boxes, which the shipped network finds and names."""

import numpy as np
import pytest
from PIL import Image

from core.images.decode import Photo
from core.inference.classifier import Classifier
from core.samples.garments import SAMPLE_NAMES, STREET, gallery_photo
from core.samples.street import street

LEAST_OVERLAP = 0.5


def overlap(one, other) -> float:
    """Intersection over union of two boxes."""
    width = max(0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (areas - width * height)


def test_three_people_wear_a_top_above_a_bottom_and_stand_apart():
    image, garments = street((400, 300))
    assert image.size == (400, 300)
    tops, bottoms = garments[::2], garments[1::2]
    assert {name for name, _ in tops} <= set(SAMPLE_NAMES[:8]) and {name for name, _ in bottoms} <= set(
        SAMPLE_NAMES[8:]
    )
    assert len({name for name, _ in garments}) == 6
    for (_, upper), (_, lower) in zip(tops, bottoms, strict=True):
        assert upper[1] < lower[1] and upper[3] < lower[3] and abs((upper[0] + upper[2]) - (lower[0] + lower[2])) < 40
    for (_, left), (_, right) in zip(tops, tops[1:], strict=False):
        assert left[2] < right[0]
    assert all(0 <= box[0] < box[2] <= 400 and 0 <= box[1] < box[3] <= 300 for _, box in garments)


def test_the_street_is_always_the_same_and_its_tile_shows_its_middle():
    first, again = street((200, 150))[0], street((200, 150))[0]
    assert np.array_equal(np.asarray(first), np.asarray(again))
    tile = gallery_photo(STREET, (90, 120))
    middle = gallery_photo(STREET).crop((263, 0, 938, 900)).resize((90, 120), Image.Resampling.BICUBIC)
    assert np.abs(np.asarray(tile, int) - np.asarray(middle, int)).mean() < 4


def test_the_shipped_detector_boxes_each_garment_of_the_street_and_the_network_names_it():
    classifier = Classifier.load()
    if not classifier.finds:
        pytest.skip("the shipped run has no detector")
    image, garments = street()
    found = classifier.find(Photo(image, "street", "drawn", "", *image.size))
    for name, box in garments:
        boxes = [
            (one.region.left, one.region.top, one.region.right, one.region.bottom)
            for one in found
            if one.answer.label == name
        ]
        assert any(overlap(box, other) > LEAST_OVERLAP for other in boxes), name
