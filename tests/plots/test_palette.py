"""What is to be read has a contrast of 4.5 with its ground, what is to be seen one of 3 (WCAG 2 AA), in light and in dark."""

import tomllib

import pytest
from plotly.colors import hex_to_rgb

from core.plots import confusion, history, palette
from tests.conftest import ROOT

THEME = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"]
SCHEMES = ("light", "dark")
READ, SEEN = 4.5, 3.0
GRAPHICS = {
    *palette.GROUP.values(),
    *palette.SERIES,
    palette.OTHER,
    palette.TRAIN,
    palette.VALIDATION,
    palette.GOOD,
    palette.WARN,
    palette.BAD,
}
SCALES = {confusion.VALIDATION, confusion.WARN}  # of the matrix, and of a difference of two

Colour = tuple[float, float, float]


def rgb(colour: str) -> Colour:
    return hex_to_rgb(colour)


def luminance(colour: Colour) -> float:
    """Relative luminance as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Colour, other: Colour) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def over(colour: str, ground: str, opacity: float) -> Colour:
    """A colour that lets a ground shine through."""
    pairs = zip(rgb(colour), rgb(ground), strict=True)
    return tuple(opacity * above + (1 - opacity) * below for above, below in pairs)


def test_contrast_is_that_of_wcag():
    assert contrast(rgb("#ffffff"), rgb("#000000")) == pytest.approx(21)
    assert contrast(rgb("#777777"), rgb("#ffffff")) == pytest.approx(
        4.48, abs=0.005
    )  # the well-known grey that just fails


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("ground", ["backgroundColor", "secondaryBackgroundColor"])
@pytest.mark.parametrize("text", ["textColor", "primaryColor", "linkColor"])
def test_the_themes_text_can_be_read(scheme: str, ground: str, text: str):
    assert contrast(rgb(THEME[scheme][text]), rgb(THEME[scheme][ground])) >= READ


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("colour", sorted(GRAPHICS))
def test_bars_and_lines_can_be_seen(scheme: str, colour: str):
    assert contrast(rgb(colour), rgb(THEME[scheme]["backgroundColor"])) >= SEEN


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("colour", sorted(SCALES))
def test_numbers_in_the_fullest_cell_can_be_read(scheme: str, colour: str):
    cell = over(colour, THEME[scheme]["backgroundColor"], confusion.STRONGEST)
    for ink in (THEME[scheme]["textColor"], confusion.INK[scheme]):
        assert contrast(rgb(ink), cell) >= READ


@pytest.mark.parametrize("ground", [history.JOINS, history.TRAINS, history.FROZEN])
def test_white_on_a_block_of_the_network_can_be_read(ground: str):
    assert contrast(rgb("#ffffff"), rgb(ground)) >= READ


def test_small_print_of_an_export_can_be_read():
    assert contrast(rgb(palette.NOTE), rgb("#ffffff")) >= READ
