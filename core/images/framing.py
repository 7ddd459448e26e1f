"""Where a photo's content lies: a uniform border, such as white padding or black bars, is cut off before the letterbox."""

from __future__ import annotations

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]

LONG_SIDE = 128  # pixels at which borders are looked for
TOLERANCE = 14  # of 255: how far the pixels of a uniform border may differ from its colour
UNIFORM = 0.98  # share of a line's pixels that must have the border's colour
MARGIN = 0.02  # of the content's longer side, kept around it
LEAST_CONTENT = 0.12  # of either side; a photo with less than that inside its border is taken whole


def framed(image: Image.Image, box: Box | None = None) -> Box:
    """The part of a photo, or of a box on it, inside its uniform border.

    A border counts where at least two sides have lines of one colour: padding, bars or a plain backdrop have; a plain garment cut
    off at one side has not.

    Args:
        image: upright RGB photo.
        box: left, top, right, bottom in its pixels, inside it; the whole photo if None.

    Returns:
        left, top, right, bottom in pixels of the photo, inside the box; the box itself where there is no border.
    """
    whole = box or (0, 0, image.width, image.height)
    region = image if box is None else image.crop(box)
    factor = max(1, max(region.size) // LONG_SIDE)
    pixels = np.asarray(region.reduce(factor) if factor > 1 else region, np.int16)  # (h, w, 3)
    rows, columns = pixels.shape[:2]
    left, top, right, bottom = _inside_border(pixels)
    if right - left < LEAST_CONTENT * columns or bottom - top < LEAST_CONTENT * rows:
        return whole
    if (left, top, right, bottom) == (0, 0, columns, rows):
        return whole
    margin = max(1, round(MARGIN * max(right - left, bottom - top)))
    return (
        whole[0] + max(0, left - margin) * factor,
        whole[1] + max(0, top - margin) * factor,
        min(whole[2], whole[0] + (right + margin) * factor),
        min(whole[3], whole[1] + (bottom + margin) * factor),
    )


def _inside_border(pixels: np.ndarray) -> Box:
    """left, top, right, bottom of what the border leaves, in pixels of the (h, w, 3) array."""
    rows, columns = pixels.shape[:2]
    lines = (pixels[:, 0], pixels[0], pixels[:, -1], pixels[-1])  # the outermost: left, top, right, bottom
    colours = [np.median(line, axis=0) for line in lines]
    plain = [_share_near(line, colour) >= UNIFORM for line, colour in zip(lines, colours, strict=True)]
    border = _shared_colour(colours, plain)
    if border is None:
        return 0, 0, columns, rows
    near = (np.abs(pixels - border) <= TOLERANCE).all(axis=2)  # (h, w)
    top, bottom = _without_ends(near.mean(axis=1))
    left, right = _without_ends(near[top:bottom].mean(axis=0)) if top < bottom else (0, 0)  # pyright: ignore[reportIndexIssue]
    return left, top, right, bottom


def _share_near(line: np.ndarray, colour: np.ndarray) -> float:
    return float((np.abs(line - colour) <= TOLERANCE).all(axis=1).mean())


def _shared_colour(colours: list[np.ndarray], plain: list[bool]) -> np.ndarray | None:
    """The colour that at least two plain sides have, None if there is none."""
    sides = [colour for colour, is_plain in zip(colours, plain, strict=True) if is_plain]
    for i, colour in enumerate(sides):
        if any(np.abs(colour - other).max() <= TOLERANCE for other in sides[i + 1 :]):
            return colour
    return None


def _without_ends(shares: np.ndarray) -> tuple[int, int]:
    """First and one past the last line that is not of the border, given each line's share of the border's colour."""
    content = np.flatnonzero(shares < UNIFORM)
    return (int(content[0]), int(content[-1]) + 1) if len(content) else (0, 0)
