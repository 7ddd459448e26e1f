"""Sample photos drawn in code: one garment of each class, an outfit of two, and things that are no garment.

They stand in for a photo where a visitor has none, and for a data set where a test needs a small one. In the manner of a
catalogue: one thing, centred on white, softly lit; of kinds that catalogues show worn, on its wearer.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from PIL import Image, ImageOps

from core.samples.sketch import (
    OFF_WHITE,
    WHITE,
    Colour,
    Drawing,
    Fabric,
    Point,
    Points,
    Sketch,
    arc,
    curve,
    mirrored,
    symmetric,
    tone,
)

Box = tuple[int, int, int, int]
DEFAULT_SIZE = (480, 640)
SHOWN = ("Shirts", "Shorts", "Tshirts", "Skirts", "Track Pants", "Jeans")  # the classes that Batch shows

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
LINEN = ((180, 170, 140), (150, 130, 106), (146, 118, 92), (120, 116, 108))
DARK = ((22, 24, 30), (30, 34, 44), (40, 52, 48))
THREAD, METAL, PEARL = (206, 150, 84), (186, 188, 192), (236, 234, 228)
LOWERED = 34  # units by which garments with a wearer lie lower, to leave room for the head
SKIN, HAIR, SHIRT = Fabric((222, 176, 146)), Fabric((48, 36, 32)), Fabric((240, 241, 246))

NECK, SHOULDER, ARMPIT, WAIST = 62, 76, 142, 230  # heights on the sheet


# Who wears it: drawn first, so that the garment covers them


def head(s: Drawing, skin: Fabric = SKIN, hair: Fabric = HAIR) -> None:
    """Neck, face and short hair."""
    s.cloth(arc(0, 8, 29, 32, 180, 360), hair, 4, 0.2)
    s.cloth(symmetric([(15, 20), (16, 58), (46, 72), (0, 100)]), skin.plain(0.9), 4, 0.25)
    face = curve([(26, -2), (26, 22), (15, 44), (0, 48)])
    s.cloth([*face, *mirrored(face)[::-1]], skin, 4, 0.3)
    s.cloth([*arc(0, 6, 29, 32, 178, 362), *curve([(27, 8), (22, -8), (-4, -12), (-22, -6), (-27, 8)])], hair, 3, 0.3)
    for x in (-11, 11):
        s.line(curve([(x - 5, 6), (x, 3), (x + 5, 5)]), hair.colour, 2)
        s.line(curve([(x - 4, 13), (x, 11), (x + 4, 13)]), hair.colour, 2.4)
    s.line(curve([(1, 16), (4, 26), (-3, 28)]), tone(skin.colour, 0.8), 1.6)
    s.line(curve([(-8, 36), (0, 38), (8, 36)]), (176, 98, 92), 2.6)


def long_hair(s: Drawing, hair: Fabric = HAIR) -> None:
    """Down to the shoulders, behind the head."""
    side = curve([(0, -26), (32, -18), (34, 40), (42, 108), (20, 116)])
    s.cloth([*side, *mirrored(side)[::-1]], hair, 5, 0.3)


def arms(s: Drawing, fabric: Fabric, shoulder: float = 76) -> None:
    """Hanging down, to the wrists."""
    outer = curve(
        [(shoulder - 34, 68), (shoulder + 2, 78), (shoulder + 12, 150), (shoulder + 20, 232), (shoulder + 28, 306)]
    )
    inner = curve([(shoulder + 10, 308), (shoulder + 2, 240), (shoulder - 12, 150), (shoulder - 26, 110)])
    s.cloths([*outer, *inner], fabric, 4, 0.35)


def hands(s: Drawing, x: float = 104, skin: Fabric = SKIN) -> None:
    """At the ends of hanging arms."""
    s.cloths(
        curve([(x - 9, 296), (x + 9, 296), (x + 13, 322), (x + 6, 350), (x - 6, 350), (x - 11, 318)]), skin, 4, 0.3
    )


def _hips(s: Drawing, fabric: Fabric) -> None:
    """Trousers from the waist to where the photo ends."""
    s.cloths([(0, 260), (60, 260), (72, 330), (72, 420), (4, 420), (0, 372)], fabric, 4, 0.4)
    s.line([(0, 296), (0, 372)], fabric.seam, 1.6)
    s.lines(curve([(34, 300), (44, 318), (66, 322)]), THREAD, 1.2)


def _man(s: Drawing) -> None:
    s.lower(LOWERED)
    _hips(s, Fabric(DENIM[1], grain=0.05))
    hands(s)
    head(s)


def _man_in_shirt(s: Drawing) -> None:
    """As worn under a waistcoat or a blazer."""
    _man(s)
    arms(s, SHIRT)
    s.cloth(symmetric([(24, 58), (72, 76), (66, 150), (64, 300), (0, 316)]), SHIRT, 4, 0.3)
    s.line([(0, 90), (0, 312)], SHIRT.seam, 0.8)
    s.cloths([(18, 52), (34, 74), (22, 96), (0, 84)], SHIRT.plain(1.04), 2, 0.25)
    s.lines([(34, 74), (22, 96), (0, 84)], SHIRT.seam, 1)
    s.cloth([(-9, 60), (9, 60), (0, 84)], SKIN.plain(0.86), 2, 0.2)


def _woman(s: Drawing) -> None:
    s.lower(LOWERED)
    long_hair(s)
    _hips(s, Fabric(DENIM[1], grain=0.05))
    _bare(s)


def _bare(s: Drawing) -> None:
    """Arms, shoulders and head."""
    hands(s, 90)
    arms(s, SKIN, 62)
    s.cloth(symmetric([(14, 60), (58, 74), (54, 150), (44, 220), (0, 260)]), SKIN, 4, 0.3)
    head(s)


def _swimmer(s: Drawing) -> None:
    s.lower(LOWERED)
    long_hair(s)
    s.cloths([(0, 200), (44, 210), (66, 290), (66, 330), (56, 420), (3, 420), (0, 352)], SKIN, 4, 0.4)
    _bare(s)


def _shirt_and_shoes(s: Drawing) -> None:
    """What shows round a pair of trousers."""
    s.cloth(symmetric([(54, -10), (49, 34), (0, 40)]), SHIRT, 2, 0.25)
    s.cloths(curve([(14, 366), (52, 366), (64, 388), (50, 394), (28, 392), (14, 384)]), Fabric((36, 30, 28)), 3, 0.4)


# Tops


@dataclass(frozen=True)
class Cut:
    """Measures of a top in units of the sheet; widths are from the centre line."""

    neck: float = 30
    depth: float = 24
    vee: bool = False
    shoulder: float = 84
    chest: float = 76
    waist: float = 74
    hem: float = 75
    length: float = 322
    sleeve: str = "short"
    ribs: bool = False

    @property
    def neckline(self) -> list[Point]:
        """From the right to the left."""
        if self.vee:
            return [(self.neck, NECK), (0, NECK + self.depth), (-self.neck, NECK)]
        return arc(0, NECK, self.neck, self.depth, 0, 180)


def top(s: Drawing, fabric: Fabric, cut: Cut) -> None:
    """Sleeves, body, and ribs or seams."""
    if cut.sleeve == "short":
        _short_sleeves(s, fabric, cut)
    elif cut.sleeve == "long":
        _long_sleeves(s, fabric, cut)
    side = curve(
        [
            (cut.shoulder, SHOULDER),
            (cut.shoulder - 5, 106),
            (cut.chest, ARMPIT),
            (cut.waist, WAIST),
            (cut.hem, cut.length - 6),
        ]
    )
    s.cloth([*cut.neckline[::-1], *side, *arc(0, cut.length - 4, cut.hem, 8, 0, 180), *mirrored(side)[::-1]], fabric, 4)
    if cut.sleeve != "none":
        s.lines(curve([(cut.shoulder - 2, 80), (cut.shoulder - 8, 106), (cut.chest - 2, ARMPIT)]), fabric.seam, 0.9)
    if cut.ribs:
        s.cloth(
            [*arc(0, cut.length - 22, cut.hem, 8, 180, 0), *arc(0, cut.length - 3, cut.hem - 3, 8, 0, 180)],
            fabric.ribbed(),
            2,
        )
    else:
        s.line(arc(0, cut.length - 10, cut.hem - 1, 8, 4, 176), fabric.seam, 0.9)


def _unworn_top(s: Drawing, fabric: Fabric, cut: Cut) -> None:
    """As `top`, with the inside of the back in sight."""
    s.cloth([*cut.neckline, *arc(0, NECK, cut.neck, 5, 180, 360)], fabric.plain(0.62), 2)
    top(s, fabric, cut)


def _short_sleeves(s: Drawing, fabric: Fabric, cut: Cut) -> None:
    outer = curve([(cut.shoulder - 14, SHOULDER - 6), (cut.shoulder + 4, SHOULDER + 2), (cut.shoulder + 32, 148)])
    s.cloths([*outer, (cut.shoulder + 2, 168), (cut.chest - 6, ARMPIT + 4)], fabric, 5)
    s.lines([(cut.shoulder + 29, 143), (cut.shoulder - 1, 163)], fabric.seam, 0.9)


def _long_sleeves(s: Drawing, fabric: Fabric, cut: Cut) -> None:
    x = cut.shoulder
    outer = curve([(x - 14, SHOULDER - 6), (x + 4, SHOULDER + 2), (x + 20, 186), (x + 34, 300)])
    inner = curve([(x + 8, 302), (x - 2, 210), (cut.chest - 6, ARMPIT + 4)])
    cuff = [(x + 34, 300), (x + 36, 322), (x + 11, 324), (x + 8, 302)]
    s.cloths([*outer, *cuff[1:3], *inner], fabric, 5)
    if cut.ribs:
        s.cloths(cuff, fabric.ribbed(), 2)
    else:
        s.lines([cuff[0], cuff[3]], fabric.seam, 0.9)


def _collar(s: Drawing, fabric: Fabric, spread: float = 34, drop: float = 34) -> None:
    """Two leaves of a shirt collar, over its stand."""
    s.cloth([*arc(0, NECK - 4, 27, 9, 180, 360), *arc(0, NECK + 2, 27, 8, 0, 180)], fabric.plain(0.7), 2)
    leaf = [(24, NECK - 10), (spread + 4, NECK + 10), (spread - 8, NECK + drop), (1, NECK + 14)]
    s.cloths(leaf, fabric.plain(1.04), 2, 0.25)
    s.lines(leaf[1:], fabric.seam, 1)


def _buttons(s: Drawing, first: float, last: float, count: int, colour: Colour, x: float = 0) -> None:
    for y in np.linspace(first, last, count):
        s.button(x, float(y), colour)


def _patch(s: Drawing, outline: Points, fabric: Fabric) -> None:
    """A pocket sewn on."""
    s.cloth(outline, fabric, 2, 0.2)
    s.line([*outline, outline[0]], fabric.seam, 1.1)


def _tshirt(s: Drawing, fabric: Fabric) -> None:
    neck, depth, length = s.rng.uniform((27, 20, 308), (33, 30, 326))
    cut = Cut(neck, depth, vee=s.rng.random() < 0.2, length=length)
    _unworn_top(s, fabric, cut)
    s.line(cut.neckline, tone(fabric.colour, 0.8), 5)
    if fabric.pattern == "plain" and s.rng.random() < 0.7:
        s.cloth(arc(0, 168, 26, 26, 0, 360), Fabric(fabric.second), 1, 0.05)
        s.line([(-30, 206), (30, 206)], fabric.second, 6)


def shirt(s: Drawing, fabric: Fabric) -> None:
    """Collar, button strip and pocket; long or short sleeves by chance."""
    sleeve = "long" if s.rng.random() < 0.7 else "short"
    _unworn_top(s, fabric, Cut(26, 16, shoulder=82, chest=75, waist=69, hem=73, length=326, sleeve=sleeve))
    s.lines([(6, NECK + 16), (6, 326)], fabric.seam, 0.9)
    _patch(s, [(26, 136), (58, 136), (58, 170), (42, 177), (26, 170)], fabric)
    _collar(s, fabric)
    _buttons(s, NECK + 34, 304, 6, PEARL)


def _blouse(s: Drawing, fabric: Fabric) -> None:
    """A woman's sleeveless top: scoop neck, gathered under the bust, flared."""
    strap, depth, hem, length = s.rng.uniform((40, 44, 66, 296), (54, 56, 80, 318))
    cut = Cut(strap - 16, depth, shoulder=strap, chest=62, waist=50, hem=hem, length=length, sleeve="none")
    top(s, fabric, cut)
    s.line(cut.neckline, fabric.seam, 2)
    s.line(arc(0, 184, 57, 8, 4, 176), fabric.seam, 2)
    for x in (-44, -30, -16, 0, 16, 30, 44):
        s.line([(x, 190), (x * 1.1, 190 + s.rng.uniform(22, 60))], fabric.seam, 0.9)


def _sweatshirt(s: Drawing, fabric: Fabric) -> None:
    cut = Cut(30, 20, shoulder=88, chest=82, waist=82, hem=78, sleeve="long", ribs=True)
    _unworn_top(s, fabric, cut)
    if s.rng.random() < 0.65:
        _hood(s, fabric)
    else:
        s.line(cut.neckline, tone(fabric.colour, 0.8), 8)
    _patch(s, symmetric([(34, 232), (58, 268), (58, 296), (0, 298)]), fabric.plain())


def _hood(s: Drawing, fabric: Fabric) -> None:
    side = curve([(0, 24), (34, 26), (48, 60), (40, 90), (0, 108)])
    s.cloth([*side, *mirrored(side)[::-1]], fabric.plain(), 6)
    s.cloth(arc(0, 66, 26, 30, 0, 360), fabric.plain(0.5), 2)
    s.lines([(13, 92), (16, 150)], fabric.second, 2.2)


def jacket(s: Drawing, fabric: Fabric) -> None:
    """Zipped to a stand collar; quilted, or with a yoke of another tone, by chance."""
    _unworn_top(s, fabric, Cut(28, 6, shoulder=88, chest=82, waist=80, hem=78, length=312, sleeve="long", ribs=True))
    if s.rng.random() < 0.5:
        for y in range(118, 286, 28):  # quilted
            s.line(arc(0, y - 6, 78, 8, 2, 178), fabric.seam, 1.6)
    else:
        s.cloths([(-1, 116), (78, 134), (84, 84), (28, NECK), (-1, NECK)], fabric.plain(1.3), 1, 0.2)
    s.cloth(symmetric([(26, 38), (30, 66), (0, 76)]), fabric.plain(0.85), 3)
    s.line([(0, 44), (0, 312)], tone(fabric.colour, 0.45), 4.4)
    s.line([(0, 44), (0, 312)], METAL, 1.6)
    s.line([(0, 46), (0, 58)], METAL, 3.2)
    s.lines([(58, 216), (44, 256)], tone(fabric.colour, 0.4), 3.4)
    s.lines([(58, 216), (44, 256)], METAL, 1.2)


def _sweater(s: Drawing, fabric: Fabric) -> None:
    """Fine stripes, a deep neck with a rib, long sleeves."""
    cut = Cut(24, 56, vee=True, shoulder=80, chest=72, hem=70, waist=72, length=316, sleeve="long", ribs=True)
    top(s, replace(fabric, knit=0.05, grain=0.03), cut)
    s.cloth([*cut.neckline, (-20, 56), (20, 56)], SHIRT.plain(0.95), 1, 0.2)
    s.line(cut.neckline, tone(fabric.colour, 0.78), 8)


def _blazer(s: Drawing, fabric: Fabric) -> None:
    """Worn open over a shirt: two fronts with lapels, which meet at one button."""
    _long_sleeves(s, fabric, Cut(shoulder=86, chest=78))
    side = curve([(84, SHOULDER), (80, 106), (78, ARMPIT), (68, WAIST), (78, 332)])
    front = [(26, NECK - 6), *side, *curve([(46, 346), (24, 322), (8, 280), (0, 222)]), (0, 196)]
    s.cloths(front, fabric, 3)
    s.lines(curve([(82, 80), (76, 106), (76, ARMPIT)]), fabric.seam, 0.9)
    lapel = [(25, NECK - 8), (46, 100), (36, 107), (50, 116), (2, 204)]
    s.cloths(lapel, fabric.plain(1.12), 1, 0.3)
    s.lines(lapel, fabric.seam, 1.2)
    s.line([(0, 200), (1, 226)], fabric.seam, 1.4)
    s.button(3, 212, tone(fabric.colour, 0.6))
    s.cloths([(32, 254), (64, 250), (64, 262), (32, 266)], fabric.plain(0.86), 1)
    s.line([(40, 146), (62, 142)], fabric.seam, 3)


def _waistcoat(s: Drawing, fabric: Fabric) -> None:
    side = curve([(54, 74), (46, 112), (70, 158), (60, 222), (64, 272)])
    front = [(30, 62), *side, (30, 300), (-3, 276), (-3, 186)]
    s.cloth(mirrored(front), fabric, 3)
    s.cloth(front, fabric, 3)
    s.lines([(30, 64), (3, 186)], fabric.seam, 2)
    s.line([(-3, 186), (-3, 276)], fabric.seam, 1.4)
    _buttons(s, 194, 268, 5, PEARL, x=4)
    s.lines([(26, 244), (54, 238)], fabric.seam, 4)


# Bottoms


@dataclass(frozen=True)
class _Legs:
    """Measures of a pair of legs in units of the sheet; widths are from the centre line, `knee` and `hem` inner and outer."""

    waist: float = 50
    hip: float = 68
    knee: tuple[float, float] = (10, 58)
    hem: tuple[float, float] = (14, 58)
    top: float = 30
    length: float = 374
    band: float = 16

    @property
    def crotch(self) -> float:
        return self.top + 108


def _trousers(s: Drawing, fabric: Fabric, legs: _Legs) -> None:
    """Two legs that meet at the crotch, and a waistband."""
    knee = (legs.crotch + legs.length) / 2
    outer = curve(
        [(legs.waist, legs.top), (legs.hip, legs.crotch - 30), (legs.knee[1], knee), (legs.hem[1], legs.length)]
    )
    inner = curve([(legs.hem[0], legs.length + 2), (legs.knee[0], knee), (1, legs.crotch)])
    s.cloths([(0, legs.top), *outer, *inner, (-1, legs.crotch - 10)], fabric, 4, 0.4)
    s.cloth(symmetric([(6, legs.top + 4), (12, legs.crotch - 22), (0, legs.crotch - 6)]), fabric, 6, 0.1)
    s.line([(0, legs.top + legs.band), (0, legs.crotch)], fabric.seam, 1.2)
    band = [(legs.waist, legs.top), (legs.waist + 3, legs.top + legs.band), (0, legs.top + legs.band + 4)]
    s.cloth(symmetric(band), fabric.plain(0.9), 2, 0.2)
    s.lines([(legs.hem[0] + 1, legs.length - 7), (legs.hem[1] - 1, legs.length - 8)], fabric.seam, 0.9)


def _fly(s: Drawing, fabric: Fabric, legs: _Legs, thread: Colour) -> None:
    """Belt loops, fly and button."""
    for x in (0.35 * legs.waist, 0.75 * legs.waist):
        s.lines([(x, legs.top - 1), (x, legs.top + legs.band + 4)], fabric.seam, 4)
    s.line(curve([(13, legs.top + legs.band + 3), (13, legs.crotch - 36), (0, legs.crotch - 26)]), thread, 1.1)
    s.button(0, legs.top + legs.band / 2 + 2, tone(thread, 1.1), 3)


def jeans(s: Drawing, fabric: Fabric) -> None:
    """Five pockets, faded thighs, stitched seams."""
    flare = s.rng.uniform(-10, 8)
    legs, denim = _Legs(hem=(16 - flare / 2, 58 + flare)), replace(fabric, grain=0.07)
    _trousers(s, denim, legs)
    s.fade(35, 176, 14, 66, 0.3)
    s.lines(arc(legs.hip, legs.top + legs.band, 36, 28, 104, 176), THREAD, 1.2)
    s.lines(curve([(legs.hip - 5, 112), (legs.knee[1] - 3, 256), (legs.hem[1] - 4, legs.length)]), THREAD, 0.8)
    _fly(s, denim, legs, THREAD)


def _suit_trousers(s: Drawing, fabric: Fabric) -> None:
    legs = _Legs(48, 63, knee=(11, 54), hem=(15, s.rng.uniform(50, 56)))
    _trousers(s, fabric, legs)
    s.lines([(36, 84), (33, 230), (33, legs.length - 4)], tone(fabric.colour, 1.25), 1.4)
    s.lines([(38, legs.top + legs.band + 3), (58, 98)], fabric.seam, 1.6)
    _fly(s, fabric, legs, fabric.seam)


def shorts(s: Drawing, fabric: Fabric) -> None:
    """With a cord, or with pockets on the legs, by chance."""
    legs = _Legs(64, 86, knee=(8, 92), hem=(10, 96), top=96, length=s.rng.uniform(276, 306), band=18)
    _trousers(s, fabric, legs)
    s.lines([(58, legs.top + 24), (78, legs.top + 72)], fabric.seam, 1.6)
    if s.rng.random() < 0.5:
        s.lines([(5, legs.top + 12), (14, legs.top + 62)], fabric.second, 2.6)
    else:
        for pocket in ([(52, 206), (86, 204), (88, 246), (54, 248)], [(-52, 206), (-86, 204), (-88, 246), (-54, 248)]):
            _patch(s, pocket, fabric.plain(0.94))
        _fly(s, fabric, legs, fabric.seam)


def skirt(s: Drawing, fabric: Fabric) -> None:
    """Pleated."""
    hem, bottom = s.rng.uniform((92, 272), (116, 306))
    side = curve([(52, 104), (68, 150), (hem, bottom - 6)])
    s.cloth([*side, *arc(0, bottom - 6, hem, 14, 0, 180), *mirrored(side)[::-1]], fabric, 3, 0.4)
    for share in np.linspace(-0.85, 0.85, 9):  # pleats
        pleat = [(50 * share, 124), (62 * share, 150), (hem * share, bottom - 8 + 14 * np.sqrt(1 - share**2))]
        s.line(pleat, fabric.seam, 1.6)
        s.line([(x + 3, y) for x, y in pleat], tone(fabric.colour, 1.2), 1.2)
    s.cloth(symmetric([(51, 98), (54, 118), (0, 124)]), fabric.plain(0.8), 2, 0.2)


def _track_pants(s: Drawing, fabric: Fabric) -> None:
    legs = _Legs(52, 72, knee=(9, 66), hem=(15, s.rng.uniform(54, 66)), band=20)
    _trousers(s, fabric, legs)
    side = curve([(legs.hip - 6, 112), (legs.knee[1] - 5, 256), (legs.hem[1] - 5, legs.length)])
    s.lines(side, fabric.second, 4)
    s.lines([(x - 8, y) for x, y in side], fabric.second, 2)
    s.cloth(symmetric([(52, 30), (55, 50), (0, 54)]), fabric.ribbed(), 3, 0.2)
    s.line([(-4, 44), (-10, 92)], fabric.second, 2.4)
    s.line([(4, 44), (8, 84)], fabric.second, 2.4)


def _leggings(s: Drawing, fabric: Fabric) -> None:
    """Close to the leg: thigh, knee, calf, ankle."""
    outer = curve([(36, 30), (42, 60), (54, 110), (50, 180), (38, 236), (42, 280), (34, 330), (26, 374)])
    inner = curve([(12, 376), (14, 330), (10, 280), (14, 236), (8, 190), (1, 138)])
    s.cloths([(0, 30), *outer, *inner, (-1, 128)], fabric, 3, 0.45)
    s.cloth(symmetric([(6, 34), (10, 116), (0, 130)]), fabric, 6, 0.1)
    s.line([(0, 50), (0, 138)], fabric.seam, 1)
    s.cloth(symmetric([(36, 30), (38, 46), (0, 50)]), fabric.plain(0.88), 2, 0.2)
    for y in (232, 240, 352, 360):
        s.lines(curve([(14, y), (20, y + 4), (27, y + 3)]), fabric.seam, 0.9)


def _swimsuit(s: Drawing, fabric: Fabric) -> None:
    """One piece: straps, scoop, waist, high legs."""
    side = curve([(44, 68), (44, 96), (56, 132), (54, 170), (45, 214), (64, 274), (64, 290)])
    leg = curve([(64, 290), (36, 312), (11, 358)])
    body = [*curve([(36, 66), (35, 100), (22, 128), (0, 132)])[::-1], *side, *leg]
    s.cloth(symmetric(body), fabric, 2, 0.45)
    s.lines(curve([(0, 172), (26, 170), (46, 142)]), fabric.seam, 1.4)
    s.lines(leg, fabric.seam, 2)


# What is no garment


def _mug(s: Drawing, fabric: Fabric) -> None:
    s.line(arc(74, 206, 42, 52, -90, 90), fabric.colour, 18)
    s.cloth([*arc(0, 290, 76, 22, 0, 180), (-80, 120), (80, 120)], fabric, 5, 0.4)
    s.cloth(arc(0, 120, 80, 22, 0, 360), fabric.plain(1.2), 1, 0.2)
    s.cloth(arc(0, 123, 70, 16, 0, 360), Fabric((74, 44, 28)), 1, 0.2)


def _shoe(s: Drawing, fabric: Fabric) -> None:
    upper = [(-120, 262), (-122, 184), (-84, 166), (-40, 182), (-6, 216), (60, 236), (112, 246), (126, 282)]
    s.cloth([*curve(upper), (-122, 282)], fabric, 4, 0.4)
    s.cloth([(-124, 274), (128, 272), (122, 298), (-120, 300)], Fabric((228, 228, 224)), 8, 0.3)
    for i in range(4):
        s.line([(-34 + 20 * i, 190 + 12 * i), (-52 + 20 * i, 212 + 10 * i)], OFF_WHITE, 5)
    s.line(curve([(-86, 268), (-30, 232), (20, 266)]), fabric.second, 8)


def _bag(s: Drawing, fabric: Fabric) -> None:
    s.line(arc(0, 170, 58, 96, 180, 360), tone(fabric.colour, 0.7), 10)
    s.cloth(symmetric([(92, 156), (112, 322), (0, 330)]), fabric, 8, 0.4)
    s.cloth(symmetric([(94, 156), (88, 214), (0, 232)]), fabric.plain(0.88), 8, 0.3)
    s.button(0, 222, THREAD, 8)


# The catalogue

Draw = Callable[[Drawing, Fabric], None]


@dataclass(frozen=True)
class _Article:
    """How something is drawn, and the colours and patterns it comes in."""

    draw: Draw
    colours: tuple[Colour, ...]
    patterns: tuple[str, ...] = ("plain",)
    wearer: Callable[[Drawing], None] | None = None

    def photo(self, name: str, seed: int, size: tuple[int, int]) -> Image.Image:
        """The thing on white, on its wearer if it has one; every seed is another one."""
        key = zlib.crc32(name.encode())
        rng = np.random.default_rng([key, seed])
        colour = tone(self.colours[(key + seed) % len(self.colours)], rng.uniform(0.92, 1.08))
        second = OFF_WHITE if sum(colour) < 480 else (70, 90, 130)
        sketch = Sketch(size, rng)
        if self.wearer:
            self.wearer(sketch)
        self.draw(sketch, Fabric(colour, str(rng.choice(self.patterns)), second))
        return sketch.finished()


_TOPS = {
    "Tshirts": _Article(_tshirt, BRIGHT, ("plain", "stripes")),
    "Shirts": _Article(shirt, PALE + BRIGHT[:2], ("plain", "checks", "pinstripes")),
    "Tops": _Article(_blouse, BRIGHT[4:] + PALE[2:], ("plain", "pinstripes"), wearer=_woman),
    "Sweatshirts": _Article(_sweatshirt, BRIGHT, ("plain", "band")),
    "Jackets": _Article(jacket, BRIGHT),
    "Sweaters": _Article(_sweater, MUTED, ("plain", "stripes"), wearer=_man),
    "Blazers": _Article(_blazer, LINEN, wearer=_man_in_shirt),
    "Waistcoat": _Article(_waistcoat, DARK, wearer=_man_in_shirt),
}
_BOTTOMS = {
    "Jeans": _Article(jeans, DENIM),
    "Trousers": _Article(_suit_trousers, LINEN, wearer=_shirt_and_shoes),
    "Shorts": _Article(shorts, MUTED, ("plain", "checks")),
    "Skirts": _Article(skirt, BRIGHT, ("plain", "checks")),
    "Track Pants": _Article(_track_pants, MUTED),
    "Leggings": _Article(_leggings, BRIGHT),
    "Swimwear": _Article(_swimsuit, DARK, wearer=_swimmer),
}
_GARMENTS = _TOPS | _BOTTOMS
_OTHERS = {"mug": _Article(_mug, BRIGHT), "shoe": _Article(_shoe, BRIGHT), "bag": _Article(_bag, BRIGHT)}

SAMPLE_NAMES = tuple(_GARMENTS)
STREET, OUTFIT, OUT_OF_SCOPE = "A street", "An outfit", "A mug"
GALLERY = (STREET, OUTFIT, *SAMPLE_NAMES, OUT_OF_SCOPE)
GALLERY_SEEDS = {  # of some dozens of drawings of a kind one that the shipped network names surely; 0 of the others
    OUTFIT: 36,  # a shirt above jeans
    "Tops": 5,
    "Sweatshirts": 7,
    "Jackets": 26,
    "Sweaters": 11,
    "Blazers": 29,
    "Waistcoat": 13,
    "Jeans": 18,
    "Shorts": 2,
    "Skirts": 13,
    "Leggings": 15,
    "Swimwear": 10,
}


def gallery_photo(name: str, size: tuple[int, int] | None = None) -> Image.Image:
    """What the classify page offers under a name of GALLERY, as large as it is, or filling a size (width, height)."""
    seed = GALLERY_SEEDS.get(name, 0)
    if name == STREET:
        from core.samples.street import street  # which is made of these garments

        return ImageOps.fit(street()[0], size) if size else street()[0]
    if name == OUTFIT:
        return outfit(seed, size or DEFAULT_SIZE)[0]
    return (out_of_scope if name == OUT_OF_SCOPE else partial(sample, name))(seed, size or DEFAULT_SIZE)


def sample(name: str, seed: int = 0, size: tuple[int, int] = DEFAULT_SIZE) -> Image.Image:
    """A drawn garment.

    Args:
        name: one of SAMPLE_NAMES; KeyError otherwise.
        seed: chooses colour, pattern, proportions and pose; the same seed draws the same pixels.
        size: (width, height) in pixels.

    Returns:
        RGB image on white.
    """
    return _GARMENTS[name].photo(name, seed, size)


def out_of_scope(seed: int = 0, size: tuple[int, int] = DEFAULT_SIZE) -> Image.Image:
    """A mug, a shoe or a bag, in turn by the seed; otherwise as `sample`."""
    name = tuple(_OTHERS)[seed % len(_OTHERS)]
    return _OTHERS[name].photo(name, seed, size)


def outfit(seed: int = 0, size: tuple[int, int] = DEFAULT_SIZE) -> tuple[Image.Image, dict[str, Box]]:
    """A top above a bottom that nobody wears, with a gap between them.

    Returns:
        RGB image on white, and class name to true box (left, top, right, bottom) in pixels, the top first.
    """
    rng = np.random.default_rng(seed)
    image, boxes = Image.new("RGB", size, WHITE), {}
    for articles, height_share in ((_TOPS, 0.03), (_BOTTOMS, 0.52)):
        name = str(rng.choice([name for name, article in articles.items() if not article.wearer]))
        garment = _trimmed(sample(name, seed, size))
        garment = ImageOps.contain(garment, (round(0.8 * size[0]), round(0.45 * size[1])), Image.Resampling.LANCZOS)
        left, top = (size[0] - garment.width) // 2, round(height_share * size[1])
        image.paste(garment, (left, top))
        boxes[name] = (left, top, left + garment.width, top + garment.height)
    return image, boxes


def _trimmed(image: Image.Image) -> Image.Image:
    """The part of an image that is not white."""
    darkness = ImageOps.invert(image.convert("L")).point([0] * 8 + [255] * 248)
    return image.crop(darkness.getbbox())
