"""Heat maps drawn over photos: laid over, as contour lines, and with the photo beside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape

import numpy as np
from PIL import Image, ImageEnhance
from plotly.colors import get_colorscale, sample_colorscale, unlabel_rgb

from core.plots.palette import CONTOUR_RIM, DIVERGING, HEAT, HEAT_FROM

COLOUR_LEFT = 0.35  # of a photo under a heat map
LEVELS = (0.25, 0.5, 0.75)  # of the contour lines, as shares of the largest magnitude
LINES_IN_PICTURE = 100  # a contour line is so many times thinner than the picture's longer side
LEGEND = (
    '<div style="font-size:0.7rem"><div style="height:0.4rem;border-radius:0.2rem;background:linear-gradient(to right, {stops})"></div>'
    '<div style="display:flex;justify-content:space-between;opacity:0.8"><span>{low}</span><span>{high}</span></div></div>'
)
GAP = 8  # pixels between two pictures side by side


def overlay(photo: Image.Image, heat: np.ndarray, opacity: float) -> Image.Image:
    """Lay a heat map over a photo; it covers the more the hotter it is, so cold places stay as they are.

    Args:
        photo: RGB.
        heat: (height, width) in [0, 1], of the photo's size.
        opacity: of the hottest place, in [0, 1].
    """
    return _laid_over(photo, heat, HEAT, heat * opacity)


def muted(photo: Image.Image) -> Image.Image:
    """An RGB photo with most of its colour taken out, so that a heat map's colours read on red plaid as on white cloth."""
    return ImageEnhance.Color(photo).enhance(COLOUR_LEFT)


def contrast_overlay(photo: Image.Image, difference: np.ndarray, opacity: float) -> Image.Image:
    """Lay a difference of two maps over a photo: blue where positive, red where negative, nothing where they agree.

    Args:
        photo: RGB.
        difference: (height, width) in [-1, 1], of the photo's size.
        opacity: of the largest difference, in [0, 1].
    """
    return _laid_over(photo, (difference + 1) / 2, DIVERGING, np.abs(difference) * opacity)


def contour(photo: Image.Image, heat: np.ndarray, opacity: float) -> Image.Image:
    """Draw lines of equal heat at LEVELS on a photo, coloured as `overlay` would; what lies between them stays in sight.

    Args:
        photo: RGB.
        heat: (height, width) in [0, 1], of the photo's size.
        opacity: of the lines, in [0, 1].
    """
    return _lined(photo, heat, LEVELS, heat, HEAT, opacity)


def contrast_contour(photo: Image.Image, difference: np.ndarray, opacity: float) -> Image.Image:
    """Draw lines of equal difference at plus and minus LEVELS on a photo, coloured as `contrast_overlay` would.

    Args:
        photo: RGB.
        difference: (height, width) in [-1, 1], of the photo's size.
        opacity: of the lines, in [0, 1].
    """
    levels = sorted((*LEVELS, *(-level for level in LEVELS)))
    return _lined(photo, difference, levels, (difference + 1) / 2, DIVERGING, opacity)


def side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    """Two RGB pictures of one height in one, on white, GAP pixels apart."""
    sheet = Image.new("RGB", (left.width + GAP + right.width, left.height), "white")
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width + GAP, 0))
    return sheet


def _lined(
    photo: Image.Image, values: np.ndarray, levels: Sequence[float], shades: np.ndarray, scale: str, opacity: float
) -> Image.Image:
    """Lines where values pass a level, in the colours of shades (in [0, 1]), on a dark rim that shows them on white cloth."""
    from scipy.ndimage import morphological_gradient  # the first page, which draws no lines, need not wait for it

    bands = np.digitize(values, levels).astype(np.uint8)
    half = max(1, round(max(photo.size) / LINES_IN_PICTURE / 2))
    line, rim = (morphological_gradient(bands, size=2 * width + 1) > 0 for width in (half, 2 * half))
    rimmed = Image.composite(
        Image.new("RGB", photo.size, CONTOUR_RIM), photo, Image.fromarray(_as_bytes(rim * opacity))
    )
    return _laid_over(rimmed, shades, scale, line * opacity)


def _laid_over(photo: Image.Image, values: np.ndarray, scale: str, alpha: np.ndarray) -> Image.Image:
    colours = _lookup_table(scale)[_as_bytes(values)]  # (height, width, 3)
    return Image.composite(Image.fromarray(colours), photo, Image.fromarray(_as_bytes(alpha)))


def _as_bytes(values: np.ndarray) -> np.ndarray:
    return (values * 255).round().astype(np.uint8)


def legend(low: str, high: str, contrast: bool = False) -> str:
    """The colours of heat maps as HTML, with what their ends mean.

    Args:
        low: meaning of the least; of the most negative in a contrast.
        high: of the most.
        contrast: whether the map is a difference of two.
    """
    colours = _lookup_table(DIVERGING if contrast else HEAT)[::17].tolist()
    stops = ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in colours)
    return LEGEND.format(stops=stops, low=escape(low), high=escape(high))


def colours(contrast: bool = False) -> np.ndarray:
    """The colours of heat maps from the least to the most, uint8 (256, 3); of a contrast, from the most negative."""
    return _lookup_table(DIVERGING if contrast else HEAT)


@cache
def _lookup_table(scale: str) -> np.ndarray:
    """A named Plotly colour scale as uint8 (256, 3)."""
    places = np.linspace(HEAT_FROM if scale == HEAT else 0, 1, 256).tolist()
    sampled = sample_colorscale(get_colorscale(scale), places)
    return np.array([unlabel_rgb(colour) for colour in sampled]).round().astype(np.uint8)
