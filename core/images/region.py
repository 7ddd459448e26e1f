"""Boxes: rectangles in pixels of the upright photo, and their way from the drawing canvas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from core.errors import InvalidRegion

Size = tuple[int, int]
Box = tuple[int, int, int, int]

MIN_SIDE = 8  # pixels of the photo; less shows no garment
STROKE_WIDTH = 2  # of a rectangle on the canvas, in its pixels
STRAY_SIDE = 2 * STROKE_WIDTH  # the canvas makes a click into a rectangle of one to two strokes
_ORIGIN = {"left": 0.0, "top": 0.0, "center": 0.5, "right": 1.0, "bottom": 1.0}


@dataclass(frozen=True)
class Region:
    """A rectangle in pixels of the upright photo; `right` and `bottom` are not part of it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.bottom - self.top

    @property
    def box(self) -> Box:
        """(left, top, right, bottom), as Pillow and `core.images.letterbox.letterbox` take it."""
        return self.left, self.top, self.right, self.bottom

    def box_in(self, image_size: Size, photo_size: Size) -> Box:
        """The region in pixels of an image that shows the whole photo at another size; at least one pixel, inside the image."""
        x, y = image_size[0] / photo_size[0], image_size[1] / photo_size[1]
        left, top = min(int(self.left * x), image_size[0] - 1), min(int(self.top * y), image_size[1] - 1)
        right, bottom = min(round(self.right * x), image_size[0]), min(round(self.bottom * y), image_size[1])
        return left, top, max(right, left + 1), max(bottom, top + 1)


def iou(a: Region, b: Region) -> float:
    """Intersection over union of two regions, in [0, 1]."""
    shared = _shared(a, b)
    return shared / (a.width * a.height + b.width * b.height - shared)


def contained(a: Region, b: Region) -> float:
    """Share of the smaller of two regions that lies in the other, in [0, 1]."""
    return _shared(a, b) / min(a.width * a.height, b.width * b.height)


def _shared(a: Region, b: Region) -> int:
    width = max(0, min(a.right, b.right) - max(a.left, b.left))
    height = max(0, min(a.bottom, b.bottom) - max(a.top, b.top))
    return width * height


def clamp(region: Region, width: int, height: int) -> Region:
    """The part of a region that lies in a photo of `width` x `height` pixels.

    Raises:
        InvalidRegion: that part is empty, or a side of it is below MIN_SIDE (below the photo's own side, if that is less).
    """
    left, right = max(region.left, 0), min(region.right, width)
    top, bottom = max(region.top, 0), min(region.bottom, height)
    if left >= right or top >= bottom:
        raise InvalidRegion(
            f"The region from ({region.left}, {region.top}) to ({region.right}, {region.bottom}) lies outside the photo, "
            f"which has {width} x {height} pixels. Draw it on the photo."
        )
    if right - left < min(MIN_SIDE, width) or bottom - top < min(MIN_SIDE, height):
        raise InvalidRegion(
            f"The region has {right - left} x {bottom - top} pixels of the photo, too few to show a garment. "
            f"Draw it at least {MIN_SIDE} x {MIN_SIDE} pixels large."
        )
    return Region(left, top, right, bottom)


def parse_roi(text: str) -> Region:
    """Region from `X,Y,W,H` as the command line takes it: left, top, width and height in pixels of the upright photo.

    Raises:
        InvalidRegion: these are not four whole numbers, or width or height is not positive.
    """
    try:
        left, top, width, height = (int(part) for part in text.split(","))
    except ValueError:
        left = top = width = height = 0
    if width <= 0 or height <= 0:
        raise InvalidRegion(
            f"A region is X,Y,W,H: four whole numbers, left, top, width and height in pixels of the upright photo, "
            f"such as 120,40,300,400. Found {text[:60]!r}."
        )
    return Region(left, top, left + width, top + height)


def regions_from_canvas(objects: list[dict[str, Any]], canvas_size: Size, photo_size: Size) -> list[Region]:
    """Regions drawn on the canvas, in the order drawn; they may reach outside the photo (see `clamp`).

    Args:
        objects: `json_data["objects"]` of streamlit-drawable-canvas. Only rectangles count. A resized one has its factor in
            `scaleX` and `scaleY`, a turned one an `angle` (its upright bounds are taken).
        canvas_size: (width, height) of the canvas, which shows the whole photo.
        photo_size: (width, height) of the upright photo.

    Returns:
        Regions, without the specks that mere clicks leave.
    """
    x, y = photo_size[0] / canvas_size[0], photo_size[1] / canvas_size[1]
    bounds = [_bounds(thing) for thing in objects if _is_rectangle(thing)]
    return [
        Region(round(left * x), round(top * y), round(right * x), round(bottom * y))
        for left, top, right, bottom in bounds
        if max(right - left, bottom - top) > STRAY_SIDE
    ]


def _is_rectangle(thing: dict[str, Any]) -> bool:
    numbers = [thing.get(name) for name in ("left", "top", "width", "height")]
    return thing.get("type") == "Rect" and all(isinstance(n, int | float) and math.isfinite(n) for n in numbers)


def _bounds(rectangle: dict[str, Any]) -> tuple[float, float, float, float]:
    """Upright bounds of a Fabric rectangle in canvas pixels; `left` and `top` place its origin, about which it turns."""
    width = rectangle["width"] * rectangle.get("scaleX", 1)
    height = rectangle["height"] * rectangle.get("scaleY", 1)
    start_x = -_ORIGIN[rectangle.get("originX", "left")] * width
    start_y = -_ORIGIN[rectangle.get("originY", "top")] * height
    angle = math.radians(rectangle.get("angle", 0))
    corners = [(start_x + a * width, start_y + b * height) for a in (0, 1) for b in (0, 1)]
    xs = [rectangle["left"] + u * math.cos(angle) - v * math.sin(angle) for u, v in corners]
    ys = [rectangle["top"] + u * math.sin(angle) + v * math.cos(angle) for u, v in corners]
    return min(xs), min(ys), max(xs), max(ys)
