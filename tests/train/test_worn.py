"""Worn garments: boxes from masks, boxes as people draw them, cut-outs on white, the same every time."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from train import worn

LABELS = {0: "background", 1: "jeans", 2: "coat"}


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def mask() -> np.ndarray:
    """Jeans of 20 x 30 pixels, a coat of 10 x 10, and a speck of coat far away."""
    values = np.zeros((80, 60), np.uint8)
    values[40:70, 10:30] = 1
    values[5:15, 35:45] = 2
    values[75:77, 55:57] = 2
    return values


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_mask_keeps_its_values_in_grey_and_in_a_palette(mask, mode):
    image = Image.fromarray(mask)
    if mode == "P":
        image = image.convert("P", palette=Image.Palette.ADAPTIVE)
        image.putdata(mask.ravel().tolist())
    np.testing.assert_array_equal(worn.read_mask(png(image)), mask)


def test_a_garment_lies_in_the_box_of_its_mask_without_specks(mask):
    assert list(worn.garments(mask, LABELS)) == [("jeans", (10, 40, 30, 70)), ("coat", (35, 5, 45, 15))]


def test_values_without_a_label_and_labels_too_small_to_see_are_left_out(mask):
    mask[0, 0] = 9
    mask[5:15, 35:45] = 0
    assert [label for label, _ in worn.garments(mask, LABELS)] == ["jeans"]


def test_two_legs_of_one_garment_lie_in_one_box(mask):
    mask[40:70, 18:22] = 0
    assert list(worn.garments(mask, LABELS))[0] == ("jeans", (10, 40, 30, 70))


sides = st.integers(0, 400)


@given(sides, sides, st.integers(1, 200), st.integers(1, 200), st.sampled_from(worn.JITTERED), st.text(max_size=5))
def test_a_jittered_box_stays_near_the_garment_and_inside_the_photo(left, top, width, height, view, name):
    size = (left + width + 30, top + height + 10)
    box = (left, top, left + width, top + height)
    moved = worn.jittered(box, size, name, view)
    assert worn.jittered(box, size, name, view) == moved
    assert 0 <= moved[0] < moved[2] <= size[0] and 0 <= moved[1] < moved[3] <= size[1]
    for side, before, length, sign in zip(moved, box, (width, height) * 2, (-1, -1, 1, 1), strict=True):
        assert -worn.INWARD * length - 0.5 <= sign * (side - before) <= worn.OUTWARD * length + 0.5


def test_views_and_photos_are_jittered_differently():
    box, size = (100, 100, 200, 300), (400, 400)
    boxes = {worn.jittered(box, size, name, view) for name in ("1/jeans", "2/jeans") for view in worn.JITTERED}
    assert len(boxes) == 8


def test_a_box_of_background_shows_nothing_else_and_is_the_same_every_time(mask):
    found = [worn.backdrop_box(mask, str(name)) for name in range(20)]
    assert found == [worn.backdrop_box(mask, str(name)) for name in range(20)]
    boxes = [box for box in found if box]
    assert len(set(boxes)) > 10
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= 60 and 0 <= top < bottom <= 80
        assert (mask[top:bottom, left:right] == 0).mean() > 0.98


def test_a_photo_full_of_garments_has_no_box_of_background():
    assert worn.backdrop_box(np.ones((80, 60), np.uint8), "full") is None


def test_a_cut_out_is_the_photo_inside_its_mask_and_white_outside(mask):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 200, (80, 60, 3), dtype=np.uint8))
    pixels, area = np.asarray(worn.cut_out(image, mask == 1)), mask == 1
    np.testing.assert_array_equal(pixels[area], np.asarray(image)[area])
    assert (pixels[~area] == 255).all()
