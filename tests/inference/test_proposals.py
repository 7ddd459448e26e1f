"""Proposed boxes lie in the photo, and on what speaks for a class. How good they are is measured in benchmarks/find_garments.py."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from core.artifacts.labels import LabelSet
from core.images.decode import Photo
from core.images.region import Region
from core.inference.engine import Activations
from core.inference.proposals import _without_parts, find_garments
from core.samples import garments
from tests.conftest import GROUPS


def photo(image: Image.Image) -> Photo:
    return Photo(image, "drawn", "PNG", "", *image.size)


def speaking(where: dict[int, tuple[slice, slice]]):
    """A classifier whose features speak for the class c wherever `where[c]` says, on a grid of 5 rows and 4 columns."""
    features = np.zeros((2048, 5, 4), np.float32)
    for channel, place in where.items():
        features[channel][place] = 20
    head = np.eye(15, 2048, dtype=np.float32)
    engine = SimpleNamespace(run=lambda pixels: Activations(np.zeros((1, 15)), features[None]))
    return SimpleNamespace(engine=engine, head_weight=head, head_bias=np.zeros(15), labels=LabelSet.from_json(GROUPS))


def test_a_top_above_a_bottom_gives_two_boxes_in_that_order():
    where = {8: (slice(3, 5), slice(1, 3)), 0: (slice(0, 2), slice(1, 3))}
    top, bottom = find_garments(speaking(where), photo(Image.new("RGB", (400, 500))))
    assert top.bottom <= bottom.top + 60
    assert abs((top.left + top.right) / 2 - 200) < 30 and abs((bottom.left + bottom.right) / 2 - 200) < 30


def test_two_kinds_of_one_group_side_by_side_share_a_box():
    where = {0: (slice(1, 4), slice(0, 2)), 1: (slice(1, 4), slice(2, 4))}
    assert len(find_garments(speaking(where), photo(Image.new("RGB", (400, 500))))) == 1


def test_a_photo_where_nothing_stands_out_gives_no_box():
    assert find_garments(speaking({}), photo(Image.new("RGB", (400, 500)))) == []


@pytest.mark.parametrize("size", [(30, 2000), (2000, 30), (5, 5), (900, 1200)])
def test_boxes_lie_in_the_photo_whatever_its_shape(random_classifier, size):
    image = garments.outfit()[0].resize(size)
    for region in find_garments(random_classifier, photo(image)):
        assert 0 <= region.left < region.right <= size[0] and 0 <= region.top < region.bottom <= size[1]


def test_a_box_mostly_inside_a_larger_one_is_a_part_of_it():
    coat, pocket, beside = Region(0, 0, 300, 400), Region(200, 100, 310, 200), Region(250, 0, 500, 400)
    assert _without_parts([pocket, coat, beside]) == [coat, beside]
