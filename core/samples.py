"""Sample photos drawn in code: one garment of each class, an outfit of two, and things that are no garment.

They stand in for a photo where a visitor has none, and for a data set where a test needs a small one. Garments are laid out in units of
a 300 x 400 sheet, drawn larger than asked and shrunk, in the manner of a catalogue: centred on white, softly lit.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]
Box = tuple[int, int, int, int]

SHEET = (300, 400)
CENTRE = SHEET[0] / 2
SUPERSAMPLE = 2
WHITE = (255, 255, 255)

BRIGHT = (
    (38, 92, 158),
    (196, 52, 58),
    (40, 128, 96),
    (232, 168, 48),
    (122, 72, 140),
    (44, 48, 56),
    (226, 110, 90),
    (90, 170, 190),
)
MUTED = (
    (58, 74, 104),
    (120, 46, 58),
    (88, 96, 72),
    (146, 118, 92),
    (70, 72, 78),
    (176, 170, 160),
    (36, 42, 56),
    (104, 84, 110),
)
PALE = ((168, 196, 224), (240, 240, 244), (236, 200, 204), (206, 222, 200), (222, 208, 236), (246, 230, 196))
DENIM = ((62, 90, 134), (44, 60, 94), (110, 142, 180), (36, 44, 62), (84, 112, 150))
SUIT = ((40, 46, 66), (74, 76, 82), (34, 34, 38), (150, 130, 106), (92, 60, 52))


def _tone(colour: Colour, factor: float) -> Colour:
    """A colour made darker (factor below 1) or lighter."""
    red, green, blue = (int(min(255, max(0, channel * factor))) for channel in colour)
    return red, green, blue


def _mirrored(points: Points) -> Points:
    return [(2 * CENTRE - x, y) for x, y in points]


def _symmetric(*right: tuple[float, float]) -> Points:
    """Closed outline from its right half, given as (distance from the centre line, y) from top to bottom."""
    half = [(CENTRE + dx, y) for dx, y in right]
    return half + _mirrored(half)[::-1]


def _arc(x: float, y: float, rx: float, ry: float, start: float, stop: float) -> Points:
    """Points on an ellipse, angles in degrees clockwise from the right."""
    angles = np.radians(np.linspace(start, stop, 25))
    return [(x + rx * float(np.cos(a)), y + ry * float(np.sin(a))) for a in angles]


@dataclass(frozen=True)
class _Fabric:
    """Cloth: its colour, a pattern in a second colour, grain (strength of the noise) and knit (strength of the ribs)."""

    colour: Colour
    pattern: str = "plain"
    second: Colour = WHITE
    grain: float = 0.015
    knit: float = 0.0

    @property
    def seam(self) -> Colour:
        return _tone(self.colour, 0.66) if sum(self.colour) > 150 else _tone(self.colour, 1.7)

    def plain(self, factor: float = 1.0) -> _Fabric:
        return replace(self, colour=_tone(self.colour, factor), pattern="plain")

    def weave(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Colours (h, w, 3) at sheet coordinates x (w,) and y (h,)."""
        across, down = x[None, :], y[:, None]
        covers = {
            "plain": np.zeros((len(y), len(x))),
            "stripes": (down % 30 < 12) * np.ones_like(across),
            "pinstripes": (across % 9 < 1.6) * np.ones_like(down) * 0.7,
            "checks": ((across % 26 < 9) * 0.5 + (down % 26 < 9) * 0.5) * 0.8,
            "band": ((down > 150) & (down < 186)) * np.ones_like(across),
        }
        cover = covers[self.pattern][..., None]
        colours = (1 - cover) * np.array(self.colour, float) + cover * np.array(self.second, float)
        return colours * (1 + self.knit * np.sin(across * 2 * np.pi / 3.2))[..., None]


class _Sketch:
    """A sheet being drawn on, tilted and scaled a little so that no two seeds lie alike."""

    def __init__(self, size: tuple[int, int], rng: np.random.Generator):
        self.size, self.rng = size, rng
        self.image = Image.new("RGB", (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE), WHITE)
        self.unit = SUPERSAMPLE * min(size[0] / SHEET[0], size[1] / SHEET[1])  # pixels
        angle, scale = np.radians(rng.normal(0, 1.2)), self.unit * rng.uniform(0.95, 1.02)
        self.turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def place(self, points: Points) -> Points:
        """Pixels of points in sheet units."""
        middle = np.array(self.image.size) / 2
        return [tuple(row) for row in (np.array(points) - np.array(SHEET) / 2) @ self.turn.T + middle]

    def _mask(self, outline: Points, rounding: float) -> Image.Image:
        """Coverage of a closed outline, its corners rounded by blurring and sharpening again."""
        mask = Image.new("L", self.image.size)
        ImageDraw.Draw(mask).polygon(self.place(outline), fill=255)
        sigma = max(0.8, rounding * self.unit / 2)
        gain = max(1.0, sigma * 1.25)
        return mask.filter(ImageFilter.GaussianBlur(sigma)).point(lambda v: (v - 127.5) * gain + 127.5)

    def _shade(self, mask: Image.Image, fabric: _Fabric, depth: float) -> np.ndarray:
        """Light on the cloth (h, w): darker towards its edges, with soft folds and grain."""
        small = mask.reduce(4)
        blurred = small.filter(ImageFilter.GaussianBlur(9 * self.unit / 4)).resize(mask.size, Image.Resampling.BILINEAR)
        edge = np.asarray(blurred, float) / 255
        grid = Image.fromarray(self.rng.normal(0, 1, (4, 9)).astype(np.float32))
        folds = np.asarray(grid.resize(mask.size, Image.Resampling.BICUBIC))
        grain = self.rng.normal(0, fabric.grain, edge.shape)
        return (1 - depth + depth * 1.15 * edge) * (1 + 0.035 * folds + grain)

    def cloth(self, outline: Points, fabric: _Fabric, rounding: float = 4, depth: float = 0.34) -> None:
        """Lay a piece of cloth; `depth` is how dark its edges are."""
        mask = self._mask(outline, rounding)
        box = mask.getbbox()
        if box is None:
            return
        mask = mask.crop(box)
        x = (np.arange(box[0], box[2]) - self.image.width / 2) / self.unit + CENTRE
        y = (np.arange(box[1], box[3]) - self.image.height / 2) / self.unit + SHEET[1] / 2
        pixels = fabric.weave(x, y) * self._shade(mask, fabric, depth)[..., None]
        self.image.paste(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), box[:2], mask)

    def both(self, outline: Points, fabric: _Fabric, rounding: float = 4, depth: float = 0.34) -> None:
        """Lay a piece of cloth and its mirror image."""
        self.cloth(outline, fabric, rounding, depth)
        self.cloth(_mirrored(outline), fabric, rounding, depth)

    def line(self, points: Points, colour: Colour, width: float = 1.2) -> None:
        """A seam, a cord, a zip."""
        pixels = max(1, round(width * self.unit))
        ImageDraw.Draw(self.image).line(self.place(points), fill=colour, width=pixels, joint="curve")

    def lines(self, points: Points, colour: Colour, width: float = 1.2) -> None:
        """A line and its mirror image."""
        self.line(points, colour, width)
        self.line(_mirrored(points), colour, width)

    def button(self, x: float, y: float, colour: Colour, radius: float = 2.6) -> None:
        """A round button with a lighter middle."""
        ((px, py),) = self.place([(x, y)])
        for r, fill in ((radius, _tone(colour, 0.6)), (radius * 0.7, colour)):
            r = max(0.6, r * self.unit)
            ImageDraw.Draw(self.image).ellipse((px - r, py - r, px + r, py + r), fill=fill)

    def finished(self) -> Image.Image:
        """The drawing at the size asked for."""
        return self.image.resize(self.size, Image.Resampling.LANCZOS)


# Tops ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cut:
    """Measures of a top, in sheet units; widths are from the centre line."""

    neck: float = 30
    depth: float = 24
    vee: bool = False
    shoulder: float = 84
    chest: float = 76
    waist: float = 74
    hem: float = 75
    length: float = 322
    sleeve: str = "short"
    rib: bool = False


NECK_Y, SHOULDER_Y, ARMPIT_Y, WAIST_Y = 62, 76, 142, 230


def _neckline(cut: _Cut) -> Points:
    """Front neckline from the right to the left."""
    if cut.vee:
        return [(CENTRE + cut.neck, NECK_Y), (CENTRE, NECK_Y + cut.depth), (CENTRE - cut.neck, NECK_Y)]
    return _arc(CENTRE, NECK_Y, cut.neck, cut.depth, 0, 180)


def _sleeves(s: _Sketch, fabric: _Fabric, cut: _Cut) -> None:
    shoulder, inner = CENTRE + cut.shoulder, CENTRE + cut.chest - 6
    top = [(shoulder - 14, SHOULDER_Y - 6), (shoulder + 3, SHOULDER_Y + 4)]
    if cut.sleeve == "short":
        s.both([*top, (shoulder + 32, 148), (shoulder + 2, 168), (inner, ARMPIT_Y + 4)], fabric, 5)
        s.lines([(shoulder + 29, 143), (shoulder - 1, 163)], fabric.seam, 0.9)
    if cut.sleeve == "long":
        elbow = (shoulder + 22, 186)
        cuff = [(shoulder + 34, 300), (shoulder + 36, 322), (shoulder + 11, 324), (shoulder + 8, 302)]
        s.both([*top, elbow, *cuff, (shoulder - 4, 204), (inner, ARMPIT_Y + 4)], fabric, 5)
        if cut.rib:
            s.both(cuff, replace(fabric.plain(0.86), knit=0.1), 2)
        else:
            s.lines([cuff[0], cuff[3]], fabric.seam, 0.9)


def _body(s: _Sketch, fabric: _Fabric, cut: _Cut) -> None:
    right = [(CENTRE + cut.shoulder, SHOULDER_Y), (CENTRE + cut.shoulder - 4, 104), (CENTRE + cut.chest, ARMPIT_Y)]
    right += [(CENTRE + cut.waist, WAIST_Y), (CENTRE + cut.hem, cut.length - 8), (CENTRE + cut.hem - 3, cut.length)]
    sag = [(CENTRE, cut.length + 4)]
    s.cloth(_neckline(cut)[::-1] + right + sag + _mirrored(right)[::-1], fabric, 4)


def _top(s: _Sketch, fabric: _Fabric, cut: _Cut) -> None:
    """Back of the neck, sleeves, body, and ribs or seams."""
    back = _arc(CENTRE, NECK_Y - 1, cut.neck, 7, 0, 180) if cut.depth > 8 else []
    if back:
        s.cloth([*_neckline(cut), *_arc(CENTRE, NECK_Y, cut.neck, 5, 180, 360)], fabric.plain(0.62), 2)
    if cut.sleeve in ("short", "long"):
        _sleeves(s, fabric, cut)
    _body(s, fabric, cut)
    if cut.sleeve in ("short", "long"):
        armhole = [(cut.shoulder - 2, 80), (cut.shoulder - 8, 106), (cut.chest - 2, ARMPIT_Y)]
        s.lines([(CENTRE + dx, y) for dx, y in armhole], fabric.seam, 0.9)
    if cut.rib:
        hem = _symmetric((cut.hem, cut.length - 20), (cut.hem - 5, cut.length), (0, cut.length + 4))
        s.cloth(hem, replace(fabric.plain(0.86), knit=0.1), 2)
    else:
        s.line(
            [(CENTRE - cut.hem + 1, cut.length - 7), (CENTRE, cut.length - 3), (CENTRE + cut.hem - 1, cut.length - 7)],
            fabric.seam,
            0.9,
        )


def _collar(s: _Sketch, fabric: _Fabric, spread: float = 34, drop: float = 34) -> None:
    """Two leaves of a shirt collar, over its stand."""
    s.cloth(
        [*_arc(CENTRE, NECK_Y - 4, 27, 9, 180, 360), *_arc(CENTRE, NECK_Y + 2, 27, 8, 0, 180)], fabric.plain(0.6), 2
    )
    leaf = [
        (CENTRE + 24, NECK_Y - 10),
        (CENTRE + spread + 4, NECK_Y + 10),
        (CENTRE + spread - 8, NECK_Y + drop),
        (CENTRE + 1, NECK_Y + 14),
    ]
    s.both(leaf, fabric.plain(1.04), 2, 0.25)
    s.lines([leaf[1], leaf[2], leaf[3]], fabric.seam, 1.0)


def _buttons(s: _Sketch, first: float, last: float, count: int, colour: Colour, x: float = CENTRE) -> None:
    for y in np.linspace(first, last, count):
        s.button(x, float(y), colour)


def _zip(s: _Sketch, top: float, bottom: float, fabric: _Fabric) -> None:
    s.line([(CENTRE, top), (CENTRE, bottom)], _tone(fabric.colour, 0.45), 4)
    s.line([(CENTRE, top), (CENTRE, bottom)], (186, 188, 192), 1.6)
    s.line([(CENTRE, top + 2), (CENTRE, top + 12)], (210, 212, 216), 3)


def _tshirts(s: _Sketch, fabric: _Fabric) -> None:
    neck = float(s.rng.uniform(27, 33))
    cut = _Cut(
        neck=neck, depth=float(s.rng.uniform(20, 30)), vee=s.rng.random() < 0.2, length=float(s.rng.uniform(308, 326))
    )
    _top(s, fabric, cut)
    s.line(_neckline(cut), _tone(fabric.colour, 0.8), 5)
    if fabric.pattern == "plain" and s.rng.random() < 0.7:
        s.cloth(_arc(CENTRE, 168, 26, 26, 0, 360), _Fabric(fabric.second), 1, 0.05)
        s.line([(CENTRE - 30, 206), (CENTRE + 30, 206)], fabric.second, 6)


def _shirts(s: _Sketch, fabric: _Fabric) -> None:
    long = s.rng.random() < 0.7
    cut = _Cut(
        neck=26, depth=16, shoulder=82, chest=75, waist=70, hem=72, length=326, sleeve="long" if long else "short"
    )
    _top(s, fabric, cut)
    s.lines([(CENTRE + 6, NECK_Y + 16), (CENTRE + 6, cut.length + 2)], fabric.seam, 0.9)
    pocket = [(CENTRE + 26, 136), (CENTRE + 58, 136), (CENTRE + 58, 170), (CENTRE + 42, 177), (CENTRE + 26, 170)]
    s.cloth(pocket, fabric, 2, 0.2)
    s.line([*pocket, pocket[0]], fabric.seam, 1)
    _collar(s, fabric)
    _buttons(s, NECK_Y + 34, cut.length - 22, 6, (236, 234, 228))


def _tops(s: _Sketch, fabric: _Fabric) -> None:
    """A woman's sleeveless top: scoop neck, straps, gathered under the bust, flared."""
    strap = float(s.rng.uniform(40, 54))
    cut = _Cut(
        neck=strap - 16,
        depth=float(s.rng.uniform(44, 56)),
        shoulder=strap,
        chest=60,
        waist=52,
        hem=float(s.rng.uniform(66, 80)),
        length=float(s.rng.uniform(296, 318)),
        sleeve="none",
    )
    _top(s, fabric, cut)
    s.line(_neckline(cut), fabric.seam, 2)
    s.line([(CENTRE - 57, 186), (CENTRE, 192), (CENTRE + 57, 186)], fabric.seam, 2)
    for dx in (-44, -30, -16, 0, 16, 30, 44):
        s.line([(CENTRE + dx, 190), (CENTRE + dx * 1.1, 190 + float(s.rng.uniform(22, 60)))], fabric.seam, 0.9)


def _sweatshirts(s: _Sketch, fabric: _Fabric) -> None:
    cut = _Cut(neck=30, depth=20, shoulder=88, chest=82, waist=82, hem=78, length=322, sleeve="long", rib=True)
    _top(s, fabric, cut)
    if s.rng.random() < 0.65:
        hood = [(CENTRE + 44, 82), (CENTRE + 46, 52), (CENTRE + 26, 30), (CENTRE, 24)]
        s.cloth(hood + _mirrored(hood)[::-1] + [(CENTRE, 108)], fabric, 10)
        s.cloth(_arc(CENTRE, 66, 26, 30, 0, 360), fabric.plain(0.5), 2)
        s.lines([(CENTRE + 13, 92), (CENTRE + 16, 150)], fabric.second, 2.2)
    else:
        s.line(_neckline(cut), _tone(fabric.colour, 0.8), 8)
    pouch = _symmetric((34, 232), (58, 268), (58, 296), (0, 298))
    s.cloth(pouch, fabric.plain(), 3, 0.2)
    s.line([*pouch, pouch[0]], fabric.seam, 1.1)


def _jackets(s: _Sketch, fabric: _Fabric) -> None:
    cut = _Cut(neck=28, depth=6, shoulder=88, chest=82, waist=80, hem=78, length=312, sleeve="long", rib=True)
    _top(s, fabric, cut)
    if s.rng.random() < 0.5:
        for y in range(118, 290, 28):
            s.line([(CENTRE - 78, y), (CENTRE + 78, y)], fabric.seam, 1.4)
    else:
        yoke = [(CENTRE, 116), (CENTRE + 78, 134), (CENTRE + 84, 84), (CENTRE + 28, NECK_Y)]
        s.both([*yoke, (CENTRE, NECK_Y)], fabric.plain(1.3), 1, 0.2)
    s.cloth(_symmetric((26, 38), (30, 66), (0, 76)), fabric.plain(0.85), 3)
    _zip(s, 44, cut.length, fabric)
    s.lines([(CENTRE + 58, 216), (CENTRE + 44, 256)], _tone(fabric.colour, 0.4), 3.4)
    s.lines([(CENTRE + 58, 216), (CENTRE + 44, 256)], (170, 172, 176), 1.2)


def _sweaters(s: _Sketch, fabric: _Fabric) -> None:
    cut = _Cut(
        neck=27, depth=64, vee=True, shoulder=82, chest=76, waist=76, hem=73, length=318, sleeve="long", rib=True
    )
    knitted = replace(fabric, knit=0.07, grain=0.035)
    _top(s, knitted, cut)
    s.line(_neckline(cut), _tone(fabric.colour, 0.78), 8)
    if fabric.pattern == "plain":
        for dx in (-40, 40):
            for y in range(150, 290, 14):
                s.line([(CENTRE + dx - 7, y), (CENTRE + dx, y + 9), (CENTRE + dx + 7, y)], fabric.seam, 1.4)


def _lapels(s: _Sketch, fabric: _Fabric, close: float) -> None:
    lapel = [(CENTRE + 26, NECK_Y - 8), (CENTRE + 46, 98), (CENTRE + 36, 106), (CENTRE + 50, 114), (CENTRE + 2, close)]
    s.both(lapel, fabric.plain(1.1), 1, 0.3)
    s.lines([lapel[0], *lapel[1:]], fabric.seam, 1.2)


def _blazers(s: _Sketch, fabric: _Fabric) -> None:
    cut = _Cut(neck=27, depth=130, vee=True, shoulder=88, chest=80, waist=70, hem=80, length=334, sleeve="long")
    close = NECK_Y + cut.depth
    shirt = _Fabric((244, 244, 248))
    _top(s, fabric, replace(cut, depth=12))
    s.cloth([*_neckline(cut), (CENTRE - 20, 54), (CENTRE + 20, 54)], shirt, 1, 0.2)
    _collar(s, shirt, 24, 30)
    tie = [(CENTRE - 6, 76), (CENTRE + 6, 76), (CENTRE + 9, 160), (CENTRE, close - 2), (CENTRE - 9, 160)]
    if s.rng.random() < 0.5:
        s.cloth(tie, _Fabric(fabric.second), 1)
    else:
        _buttons(s, 90, close - 24, 3, (225, 225, 228))
    s.cloth([(CENTRE - 30, 340), (CENTRE, 270), (CENTRE + 30, 340)], _Fabric(WHITE, grain=0), 2, 0)
    _lapels(s, fabric, close)
    s.line([(CENTRE + 1, close), (CENTRE + 1, 272)], fabric.seam, 1.4)
    _buttons(s, close + 8, close + 44, 2, _tone(fabric.colour, 0.7))
    s.both([(CENTRE + 30, 254), (CENTRE + 66, 250), (CENTRE + 66, 264), (CENTRE + 30, 268)], fabric.plain(0.86), 1)
    s.line([(CENTRE + 40, 146), (CENTRE + 64, 142)], fabric.seam, 3)


def _waistcoat(s: _Sketch, fabric: _Fabric) -> None:
    lining = fabric.plain(0.62)
    s.cloth(_symmetric((34, 62), (56, 74), (54, 130), (66, 160), (64, 290), (0, 292)), lining, 4)
    front = [(CENTRE + 32, 60), (CENTRE + 58, 72), (CENTRE + 54, 118), (CENTRE + 72, 152), (CENTRE + 66, 222)]
    front += [(CENTRE + 70, 288), (CENTRE + 34, 322), (CENTRE - 3, 294), (CENTRE - 3, 176)]
    s.cloth(_mirrored(front), fabric, 3)
    s.cloth(front, fabric, 3)
    s.lines([(CENTRE + 32, 62), (CENTRE + 3, 176)], fabric.seam, 2)
    s.line([(CENTRE - 3, 176), (CENTRE - 3, 294)], fabric.seam, 1.4)
    _buttons(s, 186, 284, 5, _tone(fabric.colour, 0.6), CENTRE + 4)
    s.lines([(CENTRE + 28, 252), (CENTRE + 58, 244)], fabric.seam, 4)
    s.lines([(CENTRE + 30, 180), (CENTRE + 54, 174)], fabric.seam, 3)


# Bottoms ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Legs:
    """Measures of a pair of legs, in sheet units; widths are from the centre line."""

    waist: float = 50
    hip: float = 66
    knee: tuple[float, float] = (10, 58)  # inner and outer
    hem: tuple[float, float] = (14, 58)
    top: float = 30
    length: float = 374
    band: float = 16

    @property
    def crotch(self) -> float:
        return self.top + 108


def _trousers_shape(s: _Sketch, fabric: _Fabric, legs: _Legs) -> None:
    """Two legs that meet at the crotch, and a waistband."""
    knee_y = (legs.crotch + legs.length) / 2
    outer = [(CENTRE, legs.top), (CENTRE + legs.waist, legs.top), (CENTRE + legs.hip, legs.crotch - 24)]
    outer += [(CENTRE + legs.knee[1], knee_y), (CENTRE + legs.hem[1], legs.length)]
    inner = [(CENTRE + legs.hem[0], legs.length + 2), (CENTRE + legs.knee[0], knee_y), (CENTRE + 1, legs.crotch)]
    s.both([*outer, *inner, (CENTRE - 1, legs.crotch - 10)], fabric, 4, 0.4)
    s.cloth(_symmetric((6, legs.top + 4), (12, legs.crotch - 22), (0, legs.crotch - 6)), fabric, 6, 0.1)
    s.line([(CENTRE, legs.top + legs.band), (CENTRE, legs.crotch)], fabric.seam, 1.2)
    s.cloth(
        _symmetric((legs.waist, legs.top), (legs.waist + 3, legs.top + legs.band), (0, legs.top + legs.band + 4)),
        fabric.plain(0.9),
        2,
        0.2,
    )
    s.lines(
        [(CENTRE + legs.hem[0] + 1, legs.length - 7), (CENTRE + legs.hem[1] - 1, legs.length - 8)], fabric.seam, 0.9
    )


def _fly(s: _Sketch, legs: _Legs, colour: Colour) -> None:
    top = legs.top + legs.band + 3
    s.line([(CENTRE + 13, top), (CENTRE + 12, legs.crotch - 40), (CENTRE, legs.crotch - 26)], colour, 1.1)
    s.button(CENTRE, legs.top + legs.band / 2 + 2, _tone(colour, 1.1), 3)


def _belt_loops(s: _Sketch, legs: _Legs, fabric: _Fabric) -> None:
    for dx in (-legs.waist * 0.75, -legs.waist * 0.35, legs.waist * 0.35, legs.waist * 0.75):
        s.line([(CENTRE + dx, legs.top - 1), (CENTRE + dx, legs.top + legs.band + 4)], fabric.seam, 4)


def _jeans(s: _Sketch, fabric: _Fabric) -> None:
    flare = float(s.rng.uniform(-8, 8))
    legs = _Legs(hem=(16 - flare / 2, 58 + flare))
    denim = replace(fabric, grain=0.07)
    _trousers_shape(s, denim, legs)
    thread = (206, 150, 84)
    worn = replace(denim.plain(1.3), grain=0.08)
    s.both(_arc(CENTRE + 36, 176, 8, 52, 0, 360), worn, 22, 0.75)
    s.lines(_arc(CENTRE + legs.hip, legs.top + legs.band, 36, 28, 100, 176), thread, 1.2)
    s.lines([(CENTRE + legs.hip - 3, 110), (CENTRE + legs.hem[1] - 4, legs.length)], thread, 0.8)
    _belt_loops(s, legs, denim)
    _fly(s, legs, thread)


def _trousers(s: _Sketch, fabric: _Fabric) -> None:
    legs = _Legs(waist=48, hip=62, knee=(11, 54), hem=(15, float(s.rng.uniform(48, 56))))
    _trousers_shape(s, fabric, legs)
    s.lines([(CENTRE + 36, 84), (CENTRE + 33, 230), (CENTRE + 33, legs.length - 4)], _tone(fabric.colour, 1.25), 1.4)
    s.lines([(CENTRE + 38, legs.top + legs.band + 3), (CENTRE + 58, 98)], fabric.seam, 1.6)
    _belt_loops(s, legs, fabric)
    _fly(s, legs, fabric.seam)


def _shorts(s: _Sketch, fabric: _Fabric) -> None:
    length = float(s.rng.uniform(246, 276))
    legs = _Legs(waist=64, hip=86, knee=(8, 92), hem=(10, 96), top=96, length=length + 30, band=18)
    _trousers_shape(s, fabric, legs)
    s.lines([(CENTRE + 58, legs.top + 24), (CENTRE + 78, legs.top + 72)], fabric.seam, 1.6)
    if s.rng.random() < 0.5:
        s.lines([(CENTRE + 5, legs.top + 12), (CENTRE + 14, legs.top + 62)], fabric.second, 2.6)
    else:
        pocket = [(CENTRE + 52, 206), (CENTRE + 86, 204), (CENTRE + 88, 246), (CENTRE + 54, 248)]
        s.both(pocket, fabric.plain(0.94), 2, 0.2)
        s.lines([*pocket, pocket[0]], fabric.seam, 1.1)
        _belt_loops(s, legs, fabric)
        _fly(s, legs, fabric.seam)


def _skirts(s: _Sketch, fabric: _Fabric) -> None:
    hem, bottom = float(s.rng.uniform(92, 116)), float(s.rng.uniform(272, 306))
    hem_line = _arc(CENTRE, bottom - 6, hem, 14, 0, 180)
    s.cloth([*hem_line, (CENTRE - 52, 104), (CENTRE + 52, 104)], fabric, 3, 0.4)
    for share in np.linspace(-0.85, 0.85, 9):
        dx, sag = float(share), 14 * float(np.sqrt(1 - share**2)) - 8
        s.line([(CENTRE + 50 * dx, 124), (CENTRE + hem * dx, bottom + sag)], fabric.seam, 1.6)
        s.line([(CENTRE + 50 * dx + 2, 124), (CENTRE + hem * dx + 4, bottom + sag)], _tone(fabric.colour, 1.2), 1.2)
    s.cloth(_symmetric((51, 98), (54, 118), (0, 124)), fabric.plain(0.8), 2, 0.2)


def _track_pants(s: _Sketch, fabric: _Fabric) -> None:
    legs = _Legs(waist=52, hip=70, knee=(9, 66), hem=(15, float(s.rng.uniform(54, 66))), band=20)
    _trousers_shape(s, fabric, legs)
    side = [(CENTRE + legs.hip - 3, 112), (CENTRE + legs.knee[1] - 5, 256), (CENTRE + legs.hem[1] - 5, legs.length)]
    s.lines(side, fabric.second, 4)
    s.lines([(x - 8, y) for x, y in side], fabric.second, 2)
    s.cloth(_symmetric((52, 30), (55, 50), (0, 54)), replace(fabric.plain(0.85), knit=0.16), 3, 0.2)
    s.line([(CENTRE - 4, 44), (CENTRE - 10, 92)], fabric.second, 2.4)
    s.line([(CENTRE + 4, 44), (CENTRE + 8, 84)], fabric.second, 2.4)


def _leggings(s: _Sketch, fabric: _Fabric) -> None:
    legs = _Legs(waist=38, hip=54, knee=(10, 40), hem=(12, 30), band=12)
    _trousers_shape(s, fabric, legs)
    for y in (240, 252, 350, 360):
        s.lines([(CENTRE + 14, y), (CENTRE + 24, y + 4)], fabric.seam, 1)


def _swimwear(s: _Sketch, fabric: _Fabric) -> None:
    """A one-piece suit: thin straps, scoop, waist, high legs."""
    s.lines([(CENTRE + 30, 128), (CENTRE + 34, 46)], fabric.seam, 7)
    side = [(44, 110), (54, 146), (44, 206), (62, 272), (56, 290), (34, 310), (14, 350)]
    body = [*_arc(CENTRE, 112, 26, 34, 180, 0)[::-1], *[(CENTRE + dx, y) for dx, y in side]]
    body += _mirrored([(CENTRE + dx, y) for dx, y in side])[::-1]
    s.cloth(body, fabric, 5, 0.45)
    s.lines([(CENTRE + 44, 118), (CENTRE + 38, 206), (CENTRE + 56, 282)], fabric.second, 4)
    s.lines([(CENTRE + 59, 288), (CENTRE + 34, 311), (CENTRE + 15, 348)], fabric.seam, 2)


# What is no garment --------------------------------------------------------------------------------------------------


def _mug(s: _Sketch, fabric: _Fabric) -> None:
    s.line(_arc(CENTRE + 74, 206, 42, 52, -90, 90), fabric.colour, 18)
    s.cloth([*_arc(CENTRE, 290, 76, 22, 0, 180), (CENTRE - 80, 120), (CENTRE + 80, 120)], fabric, 5, 0.4)
    s.cloth(_arc(CENTRE, 120, 80, 22, 0, 360), fabric.plain(1.2), 1, 0.2)
    s.cloth(_arc(CENTRE, 123, 70, 16, 0, 360), _Fabric((74, 44, 28)), 1, 0.2)


def _shoe(s: _Sketch, fabric: _Fabric) -> None:
    upper = [(30, 262), (34, 190), (58, 172), (110, 180), (150, 216), (214, 236), (262, 250), (274, 270)]
    s.cloth([*upper, (274, 282), (28, 282)], fabric, 10, 0.4)
    s.cloth([(26, 274), (276, 272), (272, 298), (30, 300)], _Fabric((236, 236, 232)), 6, 0.3)
    for i in range(4):
        s.line([(112 + 22 * i, 186 + 13 * i), (96 + 22 * i, 214 + 10 * i)], (244, 244, 244), 5)
    s.line([(60, 268), (130, 222), (170, 262)], fabric.second, 8)


def _bag(s: _Sketch, fabric: _Fabric) -> None:
    s.line(_arc(CENTRE, 170, 58, 96, 180, 360), _tone(fabric.colour, 0.7), 10)
    s.cloth(_symmetric((92, 156), (112, 322), (0, 330)), fabric, 8, 0.4)
    s.cloth(_symmetric((94, 156), (88, 214), (0, 232)), fabric.plain(0.88), 8, 0.3)
    s.button(CENTRE, 222, (206, 176, 96), 8)


# The catalogue -------------------------------------------------------------------------------------------------------

Draw = Callable[[_Sketch, _Fabric], None]

_GARMENTS: dict[str, tuple[Draw, tuple[Colour, ...], tuple[str, ...]]] = {
    "Tshirts": (_tshirts, BRIGHT, ("plain", "stripes")),
    "Shirts": (_shirts, PALE + BRIGHT[:2], ("plain", "checks", "pinstripes")),
    "Tops": (_tops, BRIGHT[4:] + PALE[2:], ("plain", "pinstripes")),
    "Sweatshirts": (_sweatshirts, BRIGHT, ("plain", "band")),
    "Jackets": (_jackets, MUTED + BRIGHT[:2], ("plain",)),
    "Sweaters": (_sweaters, MUTED, ("plain", "stripes")),
    "Blazers": (_blazers, SUIT, ("plain", "pinstripes")),
    "Waistcoat": (_waistcoat, SUIT, ("plain", "pinstripes")),
    "Jeans": (_jeans, DENIM, ("plain",)),
    "Trousers": (_trousers, SUIT + MUTED[2:4], ("plain",)),
    "Shorts": (_shorts, MUTED, ("plain", "checks")),
    "Skirts": (_skirts, BRIGHT, ("plain", "checks")),
    "Track Pants": (_track_pants, MUTED, ("plain",)),
    "Leggings": (_leggings, BRIGHT, ("plain",)),
    "Swimwear": (_swimwear, BRIGHT, ("plain", "stripes")),
}
_OBJECTS: tuple[Draw, ...] = (_mug, _shoe, _bag)

SAMPLE_NAMES = tuple(_GARMENTS)


def _drawn(
    draw: Draw, colours: tuple[Colour, ...], patterns: tuple[str, ...], key: str, seed: int, size: tuple[int, int]
) -> Image.Image:
    rng = np.random.default_rng([zlib.crc32(key.encode()), seed])
    colour = _tone(colours[seed % len(colours)], float(rng.uniform(0.92, 1.08)))
    second = WHITE if sum(colour) < 480 else (70, 90, 130)
    fabric = _Fabric(colour, str(rng.choice(patterns)), second)
    sketch = _Sketch(size, rng)
    draw(sketch, fabric)
    return sketch.finished()


def sample(name: str, seed: int = 0, size: tuple[int, int] = (480, 640)) -> Image.Image:
    """A drawn garment.

    Args:
        name: one of SAMPLE_NAMES; KeyError otherwise.
        seed: chooses colour, pattern, proportions and pose; the same seed draws the same pixels.
        size: (width, height) in pixels.

    Returns:
        RGB image on white.
    """
    draw, colours, patterns = _GARMENTS[name]
    return _drawn(draw, colours, patterns, name, seed, size)


def out_of_scope(seed: int = 0, size: tuple[int, int] = (480, 640)) -> Image.Image:
    """A mug, a shoe or a bag, in turn by the seed."""
    draw = _OBJECTS[seed % len(_OBJECTS)]
    return _drawn(draw, BRIGHT, ("plain",), draw.__name__, seed, size)


def _trimmed(image: Image.Image) -> Image.Image:
    """The part of an image that is not white."""
    return image.crop(
        ImageChops.difference(image, Image.new("RGB", image.size, WHITE)).point(lambda v: 255 * (v > 8)).getbbox()
    )


def outfit(seed: int = 0, size: tuple[int, int] = (480, 640)) -> tuple[Image.Image, dict[str, Box]]:
    """A top above a bottom, with a gap between them.

    Returns:
        RGB image on white, and class name to true box (left, top, right, bottom) in pixels, the top first.
    """
    rng = np.random.default_rng(seed)
    names = str(rng.choice(SAMPLE_NAMES[:8])), str(rng.choice(SAMPLE_NAMES[8:]))
    image, boxes = Image.new("RGB", size, WHITE), {}
    width, height = size
    for name, top in zip(names, (0.03, 0.52), strict=True):
        garment = _trimmed(sample(name, seed, size))
        scale = min(0.45 * height / garment.height, 0.8 * width / garment.width)
        garment = garment.resize(
            (round(garment.width * scale), round(garment.height * scale)), Image.Resampling.LANCZOS
        )
        left, upper = (width - garment.width) // 2, round(top * height)
        image.paste(garment, (left, upper))
        boxes[name] = (left, upper, left + garment.width, upper + garment.height)
    return image, boxes
