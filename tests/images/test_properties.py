"""Properties of photos: brighter, sharper and larger photos have larger values, whatever size they were decoded at."""

import numpy as np
from PIL import Image, ImageFilter

from core.images.properties import PROPERTIES, properties


def measured(image: Image.Image) -> dict[str, float]:
    return dict(zip(PROPERTIES, properties(image, image.size), strict=True))


def noise(size: tuple[int, int] = (300, 400)) -> Image.Image:
    blocks = np.random.default_rng(0).integers(0, 256, (24, 18, 3), np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)


def test_white_is_brighter_than_black_and_has_no_contrast():
    white, black = (measured(Image.new("RGB", (60, 80), colour)) for colour in ("white", "black"))
    assert (white["brightness"], black["brightness"]) == (255, 0)
    assert white["contrast"] == white["sharpness"] == 0


def test_a_blurred_photo_is_less_sharp():
    assert measured(noise().filter(ImageFilter.GaussianBlur(6)))["sharpness"] < measured(noise())["sharpness"] / 4


def test_size_and_proportions_are_the_photos_own():
    values = properties(noise((30, 40)), (3000, 2000))
    assert dict(zip(PROPERTIES, values, strict=True))["megapixels"] == 6
    assert dict(zip(PROPERTIES, values, strict=True))["proportions"] == 1.5


def test_the_smallest_photo_has_finite_values():
    assert np.isfinite(properties(Image.new("L", (1, 1)), (1, 1))).all()
