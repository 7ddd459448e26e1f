"""Garments that people wear, cut out of street photos by masks that label every pixel."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator

import numpy as np
from PIL import Image
from scipy import ndimage

Box = tuple[int, int, int, int]

PREFIX = "worn "  # before a mask's label, since another data set may have the same word
BACKDROP = "background"  # label of mask value 0, and of boxes that show nothing else
LEAST_AREA = 0.004  # share of the photo below which a label is left out
LEAST_PART = 0.1  # share of a label's pixels below which a connected part is noise
EXACT, CUT_OUT = "box", "cut-out"
JITTERED = ("jittered 1", "jittered 2", "jittered 3", "jittered 4")
INWARD, OUTWARD = 0.08, 0.25  # how far a jittered box's sides move, as a share of the box
BACKDROP_SIDES = (0.25, 0.6)  # of a box of background, as a share of the photo's sides
BACKDROP_TRIES = 20


def read_mask(data: bytes) -> np.ndarray:
    """Label values, uint8 (height, width), of a mask's PNG."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        return np.array(image if image.mode in ("L", "P") else image.convert("L"))


def garments(mask: np.ndarray, labels: dict[int, str]) -> Iterator[tuple[str, Box]]:
    """Label and box (left, top, right, bottom) of everything in a mask that is large enough.

    Args:
        mask: label values, (height, width).
        labels: label value to label; pixels of other values are nothing.
    """
    for value in np.unique(mask):
        label = labels.get(int(value), BACKDROP)
        if label != BACKDROP and (mask == value).mean() >= LEAST_AREA:
            yield label, bounds(main_parts(mask == value))


def main_parts(area: np.ndarray) -> np.ndarray:
    """The area without its small connected parts."""
    parts = np.empty(area.shape, np.int32)
    ndimage.label(area, output=parts)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return (sizes >= LEAST_PART * area.sum())[parts]


def bounds(area: np.ndarray) -> Box:
    """left, top, right, bottom of what is true, at least one cell being so."""
    rows, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def backdrop_box(mask: np.ndarray, name: str) -> Box | None:
    """A box that shows nothing but background, always the same one for the same photo; None if none is found."""
    height, width = mask.shape
    random = _random(name, BACKDROP)
    for _ in range(BACKDROP_TRIES):
        w, h = (round(side * random.uniform(*BACKDROP_SIDES)) for side in (width, height))
        left, top = random.integers(0, width - w + 1), random.integers(0, height - h + 1)
        if (mask[top : top + h, left : left + w] == 0).mean() > 0.98:
            return int(left), int(top), int(left) + w, int(top) + h
    return None


def jittered(box: Box, size: tuple[int, int], name: str, view: str) -> Box:
    """The box as a person might have drawn it: each side moved at random, inside the photo of that (width, height)."""
    random = _random(name, view)
    left, top, right, bottom = box
    x, y = right - left, bottom - top
    moves = random.uniform(-INWARD, OUTWARD, 4)
    return (
        max(0, round(left - moves[0] * x)),
        max(0, round(top - moves[1] * y)),
        min(size[0], round(right + moves[2] * x)),
        min(size[1], round(bottom + moves[3] * y)),
    )


def cut_out(image: Image.Image, area: np.ndarray) -> Image.Image:
    """The photo with white wherever `area`, bool (height, width), is false."""
    return Image.composite(image, Image.new("RGB", image.size, "white"), Image.fromarray(area))


def _random(name: str, view: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{name}/{view}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
