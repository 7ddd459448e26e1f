"""The colours of the product, one place for pages, charts and exports. Each has a contrast of 3 at least with light and dark ground.

Categorical colours are Paul Tol's and Okabe-Ito's colour-blind-safe hues; sequential scales are perceptually uniform.
"""

from __future__ import annotations

from zlib import crc32

GROUP = {"Tops": "#3b7dd8", "Bottoms": "#d17a22"}
OTHER = "#8a8f98"
NOTE = "#5f6673"  # small print on the white of an export
MUTED = {"light": NOTE, "dark": OTHER}  # text that matters less, by the theme
TRAIN = "#5b8fd6"
VALIDATION = "#2f6fd0"
GOOD = "#1b9e77"
WARN = "#d17a22"
BAD = "#d1495b"
# Boxes on a photo, by their number, cycling (Okabe-Ito, without black and yellow, which vanish on photos; those least like a group first).
REGION = ("#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#0072b2", "#e69f00")
# Lines of several runs or stages; the last two are darker than Okabe and Ito's, which vanish on white.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b97f00", "#2c93cf")
DIVERGING = "RdBu"
# Heat maps over photos: lightness rises evenly, so it reads for colour-blind people, and no red is in it, so it reads on red plaid as on
# denim, white and black. Its darkest part, which vanishes on dark cloth, is left out.
HEAT, HEAT_FROM = "Viridis", 0.28

CONTOUR_RIM = "#1c2430"  # under contour lines, which alone would vanish on white cloth


def group_colour(group: str) -> str:
    """Colour of a class group, the same wherever it is shown; those of other class lists have one by their name."""
    return GROUP.get(group) or SERIES[crc32(group.encode()) % len(SERIES)]
