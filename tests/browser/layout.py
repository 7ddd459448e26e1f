"""Pictures of pages compared tolerantly: new figures and other antialiasing pass, a block that moved, vanished or overflows does not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

CELL = 16  # pixels of the page a pixel of a baseline stands for
MOST_CHANGED = 0.06  # share of cells that may differ, in any part of a page
PART = 54  # rows of cells: about a window
CLEARLY = 16  # of 255: how much darker or lighter a cell must be to differ
BASELINES = Path(__file__).parent / "baselines"


def shrunk(screenshot: bytes) -> Image.Image:
    """A screenshot in grey, each CELL x CELL pixels averaged."""
    image = Image.open(io.BytesIO(screenshot)).convert("L")
    return image.resize((image.width // CELL, image.height // CELL), Image.Resampling.BOX)


def changed(before: Image.Image, after: Image.Image) -> float:
    """Share of cells that differ clearly, in [0, 1], in the part of the page where most do; 1 if the sizes differ.

    Each is blurred first, so that a cell's shift is no change.
    """
    if before.size != after.size:
        return 1.0
    a, b = (_blurred(image) for image in (before, after))
    parts = np.array_split(np.abs(a - b) > CLEARLY, max(1, round(before.height / PART)))
    return max(float(part.mean()) for part in parts)


def _blurred(image: Image.Image) -> np.ndarray:
    """Averages over 3 x 3 cells."""
    padded = np.pad(np.asarray(image, np.float32), 1, mode="edge")
    rows, columns = image.height, image.width
    return np.mean([padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)], axis=0)
