"""From a photo to the network's input: one function for the trainer, the tests and the dashboard."""

from __future__ import annotations

import numpy as np
from PIL import Image

BACKGROUND = (255, 255, 255)  # the catalogue's photos lie on white
# Pillow shrinks by a whole factor first and by the filter after; from 3 on the result is that of the filter alone.
REDUCING_GAP = 3.0

Box = tuple[int, int, int, int]


def content_box(size: tuple[int, int], height: int, width: int) -> Box:
    """Where a photo lies in its letterboxed input.

    Args:
        size: (width, height) of the photo or region, in pixels.
        height: of the input, in pixels.
        width: likewise.

    Returns:
        (left, top, right, bottom) in pixels of the input; at least one pixel in either direction.
    """
    scale = min(width / size[0], height / size[1])
    content_width, content_height = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    left, top = (width - content_width) // 2, (height - content_height) // 2
    return left, top, left + content_width, top + content_height


def letterbox(image: Image.Image, height: int, width: int, box: Box | None = None) -> np.ndarray:
    """Scale a photo to fit an input, keeping its aspect ratio, centred on white.

    Args:
        image: upright RGB photo.
        height: of the input, in pixels.
        width: likewise.
        box: region of the photo (left, top, right, bottom) in its pixels, inside it; the whole photo if None. Pixels
            outside the region have no influence.

    Returns:
        uint8 of shape (height, width, 3), RGB. A region that has the input's size already is copied, not resampled.
    """
    region = image if box is None else image.crop(box)
    left, top, right, bottom = content_box(region.size, height, width)
    scaled = region.resize((right - left, bottom - top), Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)
    canvas = Image.new("RGB", (width, height), BACKGROUND)
    canvas.paste(scaled, (left, top))
    return np.array(canvas)
