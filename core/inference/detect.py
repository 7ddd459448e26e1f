"""Find the garments in a photo: a second head on the network's features says what every cell of a photo shows and where its garment ends.

The photo is looked at whole, at the proportions that it has. Cells of one garment agree on its box, so a garment that hair or a bag cuts
in two stays one, and two that touch stay two.
"""

from __future__ import annotations

import math

CELL = 8  # pixels of the input that a cell of the finder's answer stands for
STEP = 32  # sides of the input are multiples of it
AREA = 384 * 288  # pixels of the input, about
MOST_STEPS, LEAST_STEPS = 24, 3  # of a side, however long and thin the photo is


def grid_size(width: int, height: int) -> tuple[int, int]:
    """(height, width) of the input for a photo of a size: about AREA pixels, in its proportions as far as multiples of STEP allow."""
    scale = math.sqrt(AREA / (width * height)) / STEP
    rows, columns = (min(MOST_STEPS, max(LEAST_STEPS, round(side * scale))) for side in (height, width))
    return rows * STEP, columns * STEP
