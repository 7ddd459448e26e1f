"""Letterboxing keeps shape, aspect ratio and, where nothing needs resampling, every pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.images.framing import framed
from core.images.letterbox import content_box, letterbox, network_input

HEIGHT, WIDTH = 96, 72
sides = st.integers(1, 300)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 200, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@given(width=sides, height=sides, target_height=st.integers(1, 200), target_width=st.integers(1, 200))
def test_content_keeps_its_aspect_ratio_within_a_pixel_and_lies_centred(width, height, target_height, target_width):
    left, top, right, bottom = content_box((width, height), target_height, target_width)
    assert 0 <= left < right <= target_width
    assert 0 <= top < bottom <= target_height
    scale = min(target_width / width, target_height / height)
    assert abs(right - left - width * scale) <= 1
    assert abs(bottom - top - height * scale) <= 1
    assert target_width - right - left in (0, 1)
    assert target_height - bottom - top in (0, 1)


def test_a_photo_of_the_inputs_size_is_copied_pixel_for_pixel():
    photo = noise(WIDTH, HEIGHT)
    assert np.array_equal(letterbox(photo, HEIGHT, WIDTH), np.asarray(photo))


def test_a_region_of_the_inputs_size_is_copied_pixel_for_pixel():
    photo = noise(200, 300)
    box = (17, 23, 17 + WIDTH, 23 + HEIGHT)
    assert np.array_equal(letterbox(photo, HEIGHT, WIDTH, box), np.asarray(photo.crop(box)))


def test_pixels_outside_the_region_have_no_influence():
    photo, box = noise(200, 300), (50, 60, 150, 220)
    painted = Image.new("RGB", photo.size, "red")
    painted.paste(photo.crop(box), box[:2])
    assert np.array_equal(letterbox(photo, HEIGHT, WIDTH, box), letterbox(painted, HEIGHT, WIDTH, box))


@pytest.mark.parametrize("size", [(300, 100), (100, 400), (96, 96)])
def test_padding_is_white_and_content_is_not(size):
    pixels = letterbox(Image.new("RGB", size, (10, 20, 30)), HEIGHT, WIDTH)
    left, top, right, bottom = content_box(size, HEIGHT, WIDTH)
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[top:bottom, left:right] = True
    assert (pixels[inside] == (10, 20, 30)).all()
    assert (pixels[~inside] == 255).all()
    assert not inside.all()


@pytest.mark.parametrize("size", [(1, 20000), (20000, 1), (1, 1), (2, 3)])
def test_extreme_sizes_keep_at_least_one_pixel(size):
    pixels = letterbox(Image.new("RGB", size), HEIGHT, WIDTH)
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == 0).any()


def test_shrinking_is_antialiased():
    """Lines of one pixel, black and white in turn, become even grey; picking every n-th pixel would keep them black or white."""
    lines = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (1920, 720))).convert("RGB")
    pixels = letterbox(lines, HEIGHT, WIDTH)
    assert np.abs(pixels.astype(int) - 127).max() <= 2


def test_the_two_step_reduction_equals_the_fair_filter():
    photo = noise(1440, 1920).resize((3000, 4000), Image.Resampling.BICUBIC)
    fair = np.asarray(photo.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(letterbox(photo, HEIGHT, WIDTH) - fair).max() <= 3


def test_the_networks_input_is_the_letterbox_of_what_lies_inside_the_border():
    canvas = Image.new("RGB", (120, 120), "white")
    canvas.paste(noise(60, 80), (30, 20))
    seen = network_input(canvas, HEIGHT, WIDTH)
    assert seen.frame == framed(canvas) == (28, 18, 92, 102)
    assert np.array_equal(seen.pixels, letterbox(canvas, HEIGHT, WIDTH, seen.frame))
    assert seen.content == content_box((64, 84), HEIGHT, WIDTH)
    assert seen.share == pytest.approx((28 / 120, 18 / 120, 92 / 120, 102 / 120))


def test_the_networks_input_of_a_photo_without_a_border_is_its_letterbox():
    photo = noise(200, 150)
    seen = network_input(photo, HEIGHT, WIDTH)
    assert np.array_equal(seen.pixels, letterbox(photo, HEIGHT, WIDTH))
    assert (seen.frame, seen.share) == ((0, 0, 200, 150), (0, 0, 1, 1))


def test_of_a_box_the_share_is_that_of_the_box():
    canvas = Image.new("RGB", (200, 200), "white")
    canvas.paste(noise(60, 80), (100, 100))
    seen = network_input(canvas, HEIGHT, WIDTH, (80, 90, 180, 190))
    assert seen.frame == (98, 98, 162, 182)
    assert seen.share == pytest.approx((0.18, 0.08, 0.82, 0.92))
