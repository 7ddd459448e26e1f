"""A drawing kit for garments: cloth with light, folds, weave and seams, drawn larger than asked and shrunk.

A sheet is 300 units wide and 400 high; x counts from its centre line, y from its top. Symmetric things are given by their right
half and mirrored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Point = tuple[float, float]
Points = Sequence[Point]
Box = tuple[int, int, int, int]

SHEET_WIDTH, SHEET_HEIGHT = 300, 400
SUPERSAMPLE = 2
WHITE = (255, 255, 255)
OFF_WHITE = (238, 239, 242)


def tone(colour: Colour, factor: float) -> Colour:
    """A colour made darker (factor below 1) or lighter."""
    red, green, blue = (int(min(255, max(0, channel * factor))) for channel in colour)
    return red, green, blue


def mirrored(points: Points) -> list[Point]:
    """The same points on the other side of the centre line."""
    return [(-x, y) for x, y in points]


def symmetric(right: Points) -> list[Point]:
    """Closed outline from its right half, given from top to bottom."""
    return [*right, *mirrored(right)[::-1]]


def arc(x: float, y: float, rx: float, ry: float, start: float, stop: float) -> list[Point]:
    """Points on an ellipse about (x, y); angles in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(start, stop, 25))
    return [(x + rx * float(np.cos(angle)), y + ry * float(np.sin(angle))) for angle in angles]


def curve(points: Points, rounds: int = 3) -> list[Point]:
    """A smooth line along points, its ends kept (Chaikin's corner cutting)."""
    line = np.array(points, float)
    for _ in range(rounds):
        near, far = 0.75 * line[:-1] + 0.25 * line[1:], 0.25 * line[:-1] + 0.75 * line[1:]
        line = np.concatenate([line[:1], np.stack([near, far], axis=1).reshape(-1, 2)[1:-1], line[-1:]])
    return [(float(x), float(y)) for x, y in line]


@dataclass(frozen=True)
class Fabric:
    """Cloth.

    Args:
        colour: of the ground.
        pattern: plain, stripes, pinstripes, checks or band.
        second: colour of the pattern and of trimmings.
        grain: strength of the noise.
        knit: strength of fine vertical ribs.
    """

    colour: Colour
    pattern: str = "plain"
    second: Colour = OFF_WHITE
    grain: float = 0.015
    knit: float = 0.0

    @property
    def seam(self) -> Colour:
        """Colour in which seams show: darker, on near-black cloth lighter."""
        return tone(self.colour, 0.66 if sum(self.colour) > 150 else 1.7)

    def plain(self, factor: float = 1.0) -> Fabric:
        """The same cloth without its pattern, darker or lighter."""
        return replace(self, colour=tone(self.colour, factor), pattern="plain")

    def ribbed(self) -> Fabric:
        """Cuffs and waistbands of the same yarn."""
        return replace(self.plain(0.86), knit=0.1)

    def weave(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Colours (h, w, 3), grey levels, at sheet coordinates x and y (h, w)."""
        match self.pattern:
            case "stripes":
                cover = 1.0 * (y % 30 < 12)
            case "pinstripes":
                cover = 0.7 * (x % 9 < 1.6)
            case "checks":
                cover = 0.4 * (x % 26 < 9) + 0.4 * (y % 26 < 9)
            case "band":
                cover = 1.0 * ((y > 150) & (y < 186))
            case _:
                cover = np.zeros_like(x)
        cover = cover[..., None]
        colours = (1 - cover) * np.array(self.colour, float) + cover * np.array(self.second, float)
        ribs = 1 + self.knit * np.sin(x * 2 * np.pi / 3.2) if self.knit else np.ones_like(x)
        return colours * ribs[..., None]


class Drawing:
    """A picture being drawn on, at places in units of a sheet.

    Args:
        image: RGB, changed in place.
        origin: where the point `middle` of the sheet lies in it, in pixels.
        middle: that point, in units.
        turn: from units to pixels, (2, 2): scale and tilt.
        rng: source of what is left to chance.
        texture: source of the folds and the grain, of its own, so that the size in pixels changes nothing else.
    """

    def __init__(
        self,
        image: Image.Image,
        origin: Point,
        middle: Point,
        turn: np.ndarray,
        rng: np.random.Generator,
        texture: np.random.Generator,
    ):
        self.image, self.rng, self._texture, self._turn = image, rng, texture, turn
        self.unit = float(np.hypot(*turn[:, 0]))  # pixels, of the lengths given in units
        self._origin, self._middle = np.array(origin, float), np.array(middle, float)

    def lower(self, distance: float) -> None:
        """Draw everything from now on so many units further down."""
        self._middle = self._middle - (0, distance)

    def _place(self, points: Points) -> list[Point]:
        """Pixels of points in sheet units."""
        placed = (np.array(points) - self._middle) @ self._turn.T + self._origin
        return [(float(x), float(y)) for x, y in placed]

    def _coordinates(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Sheet coordinates x and y (h, w) of the pixels in a box."""
        back = np.linalg.inv(self._turn)
        dx = np.arange(box[0], box[2])[None, :] - self._origin[0]
        dy = np.arange(box[1], box[3])[:, None] - self._origin[1]
        return back[0, 0] * dx + back[0, 1] * dy, back[1, 0] * dx + back[1, 1] * dy + self._middle[1]

    def _mask(self, outline: Points, rounding: float) -> tuple[Image.Image, Box]:
        """Coverage of a closed outline, its corners rounded by blurring and sharpening again, and where it lies."""
        sigma = max(0.8, rounding * self.unit / 2)
        points = np.array(self._place(outline))
        start = np.maximum(np.floor(points.min(axis=0) - 3 * sigma), 0).astype(int)
        stop = np.minimum(np.ceil(points.max(axis=0) + 3 * sigma), self.image.size).astype(int)
        mask = Image.new("L", (int(stop[0] - start[0]), int(stop[1] - start[1])))
        ImageDraw.Draw(mask).polygon([tuple(point) for point in points - start], fill=255)
        gain = max(1.0, sigma * 1.25)
        sharpened = [int((v - 127.5) * gain + 127.5) for v in range(256)]
        return mask.filter(ImageFilter.GaussianBlur(sigma)).point(sharpened), (*start.tolist(), *stop.tolist())

    def _shade(self, mask: Image.Image, fabric: Fabric, depth: float) -> np.ndarray:
        """Light on the cloth (h, w): darker towards its edges, with soft folds and grain."""
        blurred = mask.reduce(4).filter(ImageFilter.GaussianBlur(9 * self.unit / 4))
        edge = np.asarray(blurred.resize(mask.size, Image.Resampling.BILINEAR), float) / 255
        grid = Image.fromarray(self._texture.normal(0, 1, (4, 9)).astype(np.float32))
        folds = np.asarray(grid.resize(mask.size, Image.Resampling.BICUBIC))
        grain = fabric.grain * self._texture.standard_normal(edge.shape, np.float32)
        return (1 - depth + depth * 1.06 * edge) * (1 + 0.035 * folds + grain)

    def cloth(self, outline: Points, fabric: Fabric, rounding: float = 4, depth: float = 0.34) -> None:
        """Lay a piece of cloth; `rounding` of its corners in units, `depth` says how dark its edges are (0 to 1)."""
        mask, box = self._mask(outline, rounding)
        pixels = fabric.weave(*self._coordinates(box)) * self._shade(mask, fabric, depth)[..., None]
        self.image.paste(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), box[:2], mask)

    def cloths(self, outline: Points, fabric: Fabric, rounding: float = 4, depth: float = 0.34) -> None:
        """A piece of cloth and its mirror image."""
        self.cloth(outline, fabric, rounding, depth)
        self.cloth(mirrored(outline), fabric, rounding, depth)

    def fade(self, x: float, y: float, rx: float, ry: float, strength: float) -> None:
        """Bleach an ellipse softly, here and on the other side."""
        mask = Image.new("L", self.image.size)
        for side in (x, -x):
            ImageDraw.Draw(mask).polygon(self._place(arc(side, y, rx, ry, 0, 360)), fill=int(255 * strength))
        self.image.paste(WHITE, mask=mask.filter(ImageFilter.GaussianBlur(rx * self.unit / 2)))

    def line(self, points: Points, colour: Colour, width: float = 1.2) -> None:
        """A seam, a cord, a zip; width in units."""
        pixels = max(1, round(width * self.unit))
        ImageDraw.Draw(self.image).line(self._place(points), fill=colour, width=pixels, joint="curve")

    def lines(self, points: Points, colour: Colour, width: float = 1.2) -> None:
        """A line and its mirror image."""
        self.line(points, colour, width)
        self.line(mirrored(points), colour, width)

    def button(self, x: float, y: float, colour: Colour, radius: float = 2.6) -> None:
        """A round button with a darker rim."""
        ((px, py),) = self._place([(x, y)])
        for share, fill in ((1.0, tone(colour, 0.6)), (0.7, colour)):
            r = max(0.6, share * radius * self.unit)
            ImageDraw.Draw(self.image).ellipse((px - r, py - r, px + r, py + r), fill=fill)


class Sketch(Drawing):
    """A white sheet being drawn on, tilted and scaled a little so that no two seeds lie alike.

    Args:
        size: (width, height) of the finished image, in pixels.
        rng: source of the pose, the folds and the grain.
    """

    def __init__(self, size: tuple[int, int], rng: np.random.Generator):
        self.size, texture = size, rng.spawn(1)[0]
        image = Image.new("RGB", (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE), WHITE)
        unit = SUPERSAMPLE * min(size[0] / SHEET_WIDTH, size[1] / SHEET_HEIGHT)
        angle, scale = np.radians(rng.normal(0, 1.2)), unit * rng.uniform(0.95, 1.02)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        super().__init__(image, (image.width / 2, image.height / 2), (0, SHEET_HEIGHT / 2), turn, rng, texture)
        self.unit = unit  # without the scale, so that lines and corners are the same in all seeds

    def finished(self) -> Image.Image:
        """The drawing at the size asked for."""
        return self.image.resize(self.size, Image.Resampling.LANCZOS)
