"""Uniform borders are cut off, and nothing else is: padding, bars and plain backdrops go, garments and scenes stay whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.images.framing import LEAST_CONTENT, MARGIN, framed


def scene(width: int, height: int, seed: int = 0) -> Image.Image:
    """A photo without any uniform line."""
    return Image.fromarray(np.random.default_rng(seed).integers(20, 230, (height, width, 3), dtype=np.uint8))


def padded(photo: Image.Image, left: int, top: int, right: int, bottom: int, colour="white") -> Image.Image:
    canvas = Image.new("RGB", (left + photo.width + right, top + photo.height + bottom), colour)
    canvas.paste(photo, (left, top))
    return canvas


def margin(width: int, height: int) -> int:
    return max(1, round(MARGIN * max(width, height)))


@pytest.mark.parametrize("colour", ["white", "black", (60, 140, 200)])
def test_padding_of_any_colour_goes_but_for_a_thin_margin(colour):
    m = margin(60, 80)
    assert framed(padded(scene(60, 80), 20, 10, 15, 25, colour)) == (20 - m, 10 - m, 80 + m, 90 + m)


@pytest.mark.parametrize(("sides", "expected"), [((30, 0, 30, 0), (28, 0, 92, 80)), ((0, 30, 0, 30), (0, 28, 60, 112))])
def test_bars_on_two_opposite_sides_go(sides, expected):
    assert framed(padded(scene(60, 80), *sides, "black")) == expected


def test_a_portrait_padded_to_a_square_is_framed_as_the_portrait():
    square = padded(scene(60, 100), 20, 0, 20, 0)
    left, top, right, bottom = framed(square)
    assert (top, bottom) == (0, 100) and (20 - left, right - 80) == (2, 2)


@pytest.mark.parametrize(("left", "top"), [(0, 0), (60, 0), (0, 80), (60, 80)])
def test_a_photo_in_a_corner_of_its_canvas_is_found(left, top):
    m = margin(40, 40)
    found = framed(padded(scene(40, 40), left, top, 60 - left, 80 - top))
    assert found == (max(0, left - m), max(0, top - m), min(100, left + 40 + m), min(120, top + 40 + m))


def test_a_photo_without_a_border_is_taken_whole():
    assert framed(scene(100, 120)) == (0, 0, 100, 120)


def test_a_plain_garment_that_reaches_one_side_is_not_cut():
    photo = scene(80, 100)
    photo.paste((200, 30, 40), (0, 60, 80, 100))  # a plain skirt, cut off by the photo's lower edge
    assert framed(photo) == (0, 0, 80, 100)


def test_two_plain_sides_of_different_colours_are_no_border():
    photo = scene(80, 100)
    photo.paste((250, 250, 250), (0, 0, 80, 20))
    photo.paste((90, 90, 90), (0, 80, 80, 100))
    assert framed(photo) == (0, 0, 80, 100)


@pytest.mark.parametrize("colour", ["white", "black", (10, 200, 90)])
@pytest.mark.parametrize("size", [(1, 1), (3, 500), (60, 80), (400, 300)])
def test_a_photo_of_one_colour_is_taken_whole(colour, size):
    assert framed(Image.new("RGB", size, colour)) == (0, 0, *size)


def test_specks_in_a_border_are_not_taken_for_a_photo():
    side = 100
    tiny = round(LEAST_CONTENT * side) - 2
    photo = padded(scene(tiny, tiny), 40, 40, side - 40 - tiny, side - 40 - tiny)
    assert framed(photo) == (0, 0, side, side)


def test_noise_of_compression_in_a_border_is_no_content():
    noisy = np.asarray(padded(scene(60, 80), 20, 20, 20, 20)).astype(int)
    noisy -= np.random.default_rng(1).integers(0, 8, noisy.shape)
    m = margin(60, 80)
    assert framed(Image.fromarray(noisy.clip(0, 255).astype(np.uint8))) == (20 - m, 20 - m, 80 + m, 100 + m)


def test_of_a_box_only_its_own_border_counts():
    photo = padded(scene(60, 80), 20, 10, 15, 25)
    assert framed(photo, (30, 20, 70, 80)) == (30, 20, 70, 80)
    m = margin(60, 80)
    assert framed(photo, (5, 5, 90, 100)) == (20 - m, 10 - m, 80 + m, 90 + m)


def test_a_large_photo_is_framed_within_a_few_of_its_pixels():
    left, top, right, bottom = framed(padded(scene(1200, 1600), 300, 200, 300, 200))
    inside = (300, 200, 1500, 1800)
    for found, wanted, sign in zip((left, top, right, bottom), inside, (-1, -1, 1, 1), strict=True):
        assert 0 <= sign * (found - wanted) <= MARGIN * 1600 + 2 * (2000 // 128)


sides = st.integers(0, 40)


@given(sides, sides, sides, sides, st.integers(1, 90), st.integers(1, 90), st.sampled_from(["white", "black", "navy"]))
def test_whatever_the_padding_the_frame_lies_in_the_photo_and_holds_its_content_or_everything(
    left, top, right, bottom, width, height, colour
):
    photo = padded(scene(width, height), left, top, right, bottom, colour)
    found = framed(photo)
    assert 0 <= found[0] < found[2] <= photo.width and 0 <= found[1] < found[3] <= photo.height
    assert found[0] <= left + 1 and found[1] <= top + 1
    assert found[2] >= left + width - 1 and found[3] >= top + height - 1
