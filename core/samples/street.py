"""A street drawn in code: people in front of houses, each in a top and a bottom, with a true box for every garment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from core.samples import garments
from core.samples.garments import Box, Cut
from core.samples.sketch import SUPERSAMPLE, Colour, Drawing, Fabric, Point, curve, symmetric, tone

SIZE = (1200, 900)
SEED = 4  # of the street that the product offers
BLUR = 0.0045  # of the background, as a share of the photo's width: the people are in focus
FEET, GROUND = 0.955, 0.7  # heights of the feet and of the houses' foot, as shares of the photo's
TALL = 0.86  # height of a person, likewise
CROWN, SOLE = -30, 632  # heights of a person's head and feet on its sheet, in units
BELT = 258  # height of its waist there

SKINS = (Fabric((226, 182, 152)), Fabric((168, 116, 84)), Fabric((206, 160, 128)), Fabric((120, 80, 60)))
HAIRS = (Fabric((52, 38, 32)), Fabric((30, 26, 26)), Fabric((122, 82, 48)), Fabric((66, 46, 36)))
SHOES = (Fabric((240, 240, 238)), Fabric((52, 40, 34)), Fabric((36, 40, 48)))
WALLS = ((206, 190, 170), (178, 152, 132), (196, 200, 204), (170, 178, 182))
SKY_ABOVE, SKY_BELOW, PAVEMENT, ROAD = (170, 198, 226), (226, 232, 236), (190, 188, 184), (150, 150, 152)
GLASS, LEAF, BARK, AWNING = (116, 136, 152), (106, 134, 92), (106, 92, 80), (142, 96, 88)


@dataclass(frozen=True)
class _Person:
    """Somebody in the street.

    Args:
        x: of the middle, as a share of the photo's width.
        top, bottom: class and cloth of the garments.
        long_hair: whether the hair reaches the shoulders.
        scale: size beside the others'.
    """

    x: float
    top: tuple[str, Fabric]
    bottom: tuple[str, Fabric]
    long_hair: bool = False
    scale: float = 1.0


PEOPLE = (
    _Person(0.2, ("Sweatshirts", Fabric((44, 104, 84))), ("Jeans", Fabric((52, 76, 118))), scale=0.97),
    _Person(
        0.5,
        ("Tshirts", Fabric((240, 240, 244), "stripes", (40, 60, 110))),
        ("Skirts", Fabric((120, 46, 58))),
        long_hair=True,
        scale=0.95,
    ),
    _Person(0.8, ("Shirts", Fabric((168, 196, 224), "pinstripes", (70, 90, 130))), ("Shorts", Fabric((88, 96, 72)))),
)


def street(size: tuple[int, int] = SIZE) -> tuple[Image.Image, list[tuple[str, Box]]]:
    """The street that the product offers as a sample.

    Args:
        size: (width, height) in pixels; about 4 to 3.

    Returns:
        RGB image, and class with true box (left, top, right, bottom) in pixels of every garment, from left to right, the tops first.
    """
    rng = np.random.default_rng(SEED)
    picture = _background((size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE), rng)
    found = [named for number, person in enumerate(PEOPLE) for named in _stand(picture, person, number, rng)]
    boxes = [(name, _smaller(box)) for name, box in found]
    return picture.resize(size, Image.Resampling.LANCZOS), boxes


def _smaller(box: Box) -> Box:
    left, top, right, bottom = (round(side / SUPERSAMPLE) for side in box)
    return left, top, right, bottom


# People


def _stand(picture: Image.Image, person: _Person, number: int, rng: np.random.Generator) -> list[tuple[str, Box]]:
    """Draw a person; the classes of the garments with their boxes in the picture."""
    width, height = picture.size
    unit = person.scale * TALL * height / (SOLE - CROWN)
    angle = np.radians(rng.normal(0, 0.8))
    turn = unit * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    s = Drawing(picture, (person.x * width, FEET * height), (0, SOLE), turn, rng, rng.spawn(1)[0])
    skin, hair = SKINS[number % len(SKINS)], HAIRS[number % len(HAIRS)]
    _shadow(picture, person.x * width, FEET * height, 120 * unit)
    if person.long_hair:
        garments.long_hair(s, hair)
    _legs(s, skin, SHOES[number % len(SHOES)])
    (upper, cloth), (lower, trousers) = person.top, person.bottom
    below = _extent(picture, lambda: BOTTOMS[lower](s, trousers))
    _upper_body(s, upper, skin, hair)
    above = _extent(picture, lambda: TOPS[upper](s, cloth))
    return [(upper, above), (lower, below)]


def _upper_body(s: Drawing, worn: str, skin: Fabric, hair: Fabric) -> None:
    """What shows of it beside the garment."""
    garments.hands(s, HANDS[worn], skin)
    if worn in SHOULDERS:
        garments.arms(s, skin, SHOULDERS[worn])
    s.lower(-COLLAR.get(worn, 0))
    garments.head(s, skin, hair)
    s.lower(COLLAR.get(worn, 0))


def _extent(picture: Image.Image, draw: Callable[[], None]) -> Box:
    """Box of what drawing changes in a picture."""
    before = picture.copy()
    draw()
    changed = ImageChops.difference(before, picture).convert("L").point([0] * 12 + [255] * 244)
    return changed.getbbox() or (0, 0, *picture.size)


def _legs(s: Drawing, skin: Fabric, shoes: Fabric) -> None:
    outer = curve([(46, 300), (66, 380), (56, 460), (54, 520), (38, 604)])
    inner = curve([(22, 606), (24, 520), (16, 460), (6, 380)])
    s.cloths([*outer, *inner], skin, 4, 0.4)
    s.cloths(curve([(16, 590), (46, 590), (62, 618), (48, 630), (26, 630), (14, 618)]), shoes, 4, 0.4)
    s.lines([(18, 624), (56, 622)], tone(shoes.colour, 0.6), 2)


def _lowered(distance: float, draw: Callable[[Drawing, Fabric], None]) -> Callable[[Drawing, Fabric], None]:
    """A garment of a sheet of its own, put on further down."""

    def lowered(s: Drawing, fabric: Fabric) -> None:
        s.lower(distance)
        draw(s, fabric)
        s.lower(-distance)

    return lowered


def _tshirt(s: Drawing, fabric: Fabric) -> None:
    cut = Cut(30, 24, shoulder=78, chest=68, waist=64, hem=68, length=290)
    garments.top(s, fabric, cut)
    s.line(cut.neckline, tone(fabric.colour, 0.8), 5)


def _sweatshirt(s: Drawing, fabric: Fabric) -> None:
    cut = Cut(27, 16, shoulder=86, chest=80, waist=80, hem=76, length=312, sleeve="long", ribs=True)
    garments.top(s, fabric, cut)
    s.line(cut.neckline, tone(fabric.colour, 0.8), 9)
    s.cloth(symmetric([(34, 218), (58, 252), (58, 280), (0, 282)]), fabric.plain(), 2, 0.2)
    s.lines([(34, 218), (58, 252), (58, 280)], fabric.seam, 1.1)


TOPS = {"Tshirts": _tshirt, "Shirts": garments.shirt, "Sweatshirts": _sweatshirt}
HANDS = {"Tshirts": 98, "Shirts": 104, "Sweatshirts": 110}  # where the hands hang, in units from the middle
SHOULDERS = {"Tshirts": 70, "Shirts": 76}  # width of bare arms, where a garment may show them
COLLAR = {"Shirts": 4}  # units by which the head is higher, over a collar
BOTTOMS = {
    "Jeans": _lowered(BELT - 30, garments.jeans),
    "Skirts": _lowered(BELT - 104, garments.skirt),
    "Shorts": _lowered(BELT - 82, garments.shorts),
}


def _shadow(picture: Image.Image, x: float, y: float, reach: float) -> None:
    """Soft, on the ground under the feet."""
    mask = Image.new("L", (round(2.4 * reach), round(0.6 * reach)))
    ImageDraw.Draw(mask).ellipse((0.2 * reach, 0.15 * reach, 2.2 * reach, 0.45 * reach), fill=120)
    mask = mask.filter(ImageFilter.GaussianBlur(reach / 9))
    picture.paste((40, 42, 50), (round(x - 1.2 * reach), round(y - 0.34 * reach)), mask)


# What is behind them


def _background(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Houses, a tree and the pavement, out of focus and with the grain of a photo."""
    width, height = size[0] // 4, size[1] // 4
    image = _gradient((width, height), SKY_ABOVE, SKY_BELOW)
    draw = ImageDraw.Draw(image)
    foot = round(GROUND * height)
    edges = [0, 0.27, 0.62, 1]
    for number, (left, right) in enumerate(zip(edges, edges[1:], strict=False)):
        _house(draw, (left * width, (0.02 + 0.07 * (number % 2)) * height, right * width, foot), WALLS[number])
    ground = _gradient((width, height - foot), tone(PAVEMENT, 0.9), tone(PAVEMENT, 1.05))
    image.paste(ground, (0, foot))
    _pavement(draw, width, height, foot)
    _tree(draw, 0.66 * width, foot, height, rng)
    image = image.filter(ImageFilter.GaussianBlur(BLUR * width)).resize(size, Image.Resampling.BICUBIC)
    grain = rng.normal(0, 2.5, (size[1], size[0], 1))
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))


def _gradient(size: tuple[int, int], above: Colour, below: Colour) -> Image.Image:
    share = np.linspace(0, 1, size[1])[:, None, None]
    rows = (1 - share) * np.array(above) + share * np.array(below)
    return Image.fromarray(np.broadcast_to(rows, (size[1], size[0], 3)).astype(np.uint8))


def _house(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], wall: Colour) -> None:
    """A front with rows of windows, and a shop below."""
    left, top, right, bottom = box
    draw.rectangle(box, fill=wall)
    draw.rectangle((left, top, right, top + 0.02 * (bottom - top)), fill=tone(wall, 0.8))
    width, height = right - left, bottom - top
    for row in range(2):
        for column in range(3):
            x, y = left + width * (0.11 + 0.29 * column), top + height * (0.08 + 0.27 * row)
            _window(draw, (x, y, x + 0.19 * width, y + 0.19 * height), wall)
    shop = top + 0.66 * height
    _window(draw, (left + 0.07 * width, shop + 0.07 * height, left + 0.62 * width, bottom - 0.02 * height), wall)
    _window(draw, (left + 0.7 * width, shop + 0.05 * height, left + 0.9 * width, bottom), wall)
    draw.rectangle((left + 0.04 * width, shop - 0.03 * height, right - 0.04 * width, shop + 0.05 * height), fill=AWNING)


def _window(draw: ImageDraw.ImageDraw, box: Sequence[float], wall: Colour) -> None:
    left, top, right, bottom = box
    draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=tone(wall, 1.12))
    draw.rectangle((left, top, right, bottom), fill=GLASS)
    draw.polygon([(left, top), (left + 0.6 * (right - left), top), (left, bottom)], fill=tone(GLASS, 1.15))


def _pavement(draw: ImageDraw.ImageDraw, width: int, height: int, foot: int) -> None:
    """Slabs in perspective."""
    vanishing: Point = (0.5 * width, foot - 0.35 * height)
    for share in np.linspace(-1.2, 2.2, 18):
        x = float(share) * width
        at_foot = vanishing[0] + (x - vanishing[0]) * (foot - vanishing[1]) / (height - vanishing[1])
        draw.line([(x, height), (at_foot, foot)], fill=tone(PAVEMENT, 0.86))
    for share in (0.0, 0.12, 0.28, 0.5, 0.8):
        y = foot + share * (height - foot)
        draw.line([(0, y), (width, y)], fill=tone(PAVEMENT, 0.86))


def _tree(draw: ImageDraw.ImageDraw, x: float, foot: int, height: int, rng: np.random.Generator) -> None:
    draw.rectangle((x - 0.008 * height, 0.3 * height, x + 0.008 * height, foot + 0.02 * height), fill=BARK)
    for _ in range(60):
        dx, dy = rng.normal(0, 0.07 * height), rng.normal(0, 0.08 * height)
        r = rng.uniform(0.02, 0.045) * height
        leaf = tone(LEAF, rng.uniform(0.8, 1.15))
        draw.ellipse((x + dx - r, 0.2 * height + dy - r, x + dx + r, 0.2 * height + dy + r), fill=leaf)
