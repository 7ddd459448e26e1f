"""From a photo to the network's input: one function for the trainer, the tests and the dashboard."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from core.images.framing import framed

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


class Input(NamedTuple):
    """A photo or box made ready for the network.

    Args:
        pixels: uint8 (height, width, 3), letterboxed.
        frame: what of the photo it shows: left, top, right, bottom in pixels of the photo.
        content: where that lies in it: left, top, right, bottom in pixels of the input.
        share: the frame as shares of the sides of the photo or box: left, top, right, bottom in [0, 1].
    """

    pixels: np.ndarray
    frame: Box
    content: Box
    share: tuple[float, float, float, float]


def network_input(image: Image.Image, height: int, width: int, box: Box | None = None) -> Input:
    """What the network sees of a photo: without its uniform border (see `core.images.framing`), letterboxed.

    Args:
        image: upright RGB photo.
        height: of the input, in pixels.
        width: likewise.
        box: region of the photo (left, top, right, bottom) in its pixels, inside it; the whole photo if None.
    """
    frame = framed(image, box)
    size = (frame[2] - frame[0], frame[3] - frame[1])
    left, top, right, bottom = box or (0, 0, *image.size)
    x, y = right - left, bottom - top
    share = ((frame[0] - left) / x, (frame[1] - top) / y, (frame[2] - left) / x, (frame[3] - top) / y)
    return Input(letterbox(image, height, width, frame), frame, content_box(size, height, width), share)
