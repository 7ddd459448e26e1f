"""Outlines: polygons round the true cells of a mask, and back to masks."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

Point = tuple[float, float]
Outline = tuple[Point, ...]  # corners (x, y) in order; the last joins the first

LEAST_PART = 0.1  # share of a mask below which a connected part is left out
TURNS = {
    (1, 0): (0, 1),
    (0, 1): (-1, 0),
    (-1, 0): (0, -1),
    (0, -1): (1, 0),
}  # direction of an edge to the one on its right


def outline_of(mask: np.ndarray, tolerance: float = 1.0) -> Outline:
    """The polygon round a mask, bool (height, width), with corners in cells from the top left; empty if the mask is.

    Holes are filled. Parts that do not touch are joined by lines without width, so that one polygon holds them all.

    Args:
        mask: true inside.
        tolerance: how far the polygon may lie from the edges of the cells, in cells.
    """
    from scipy import ndimage  # the first page, which finds nothing, need not wait for it

    parts = np.empty(mask.shape, np.int32)
    ndimage.label(np.asarray(ndimage.binary_fill_holes(mask), bool), output=parts)
    sizes = np.bincount(parts.ravel())[1:]
    order = [int(i) for i in np.argsort(-sizes, kind="stable") if sizes[i] >= LEAST_PART * sizes.sum()]
    polygon: list[Point] = []
    for number in order:
        polygon = _joined(polygon, _simplified(_border(parts == number + 1), tolerance))
    return tuple(polygon)


def _border(part: np.ndarray) -> list[Point]:
    """Corners of the outer border of one connected part without holes, clockwise from its top left."""
    padded = np.pad(part, 1)
    rows, columns = np.nonzero(part)
    row, column = int(rows[0]), int(columns[rows == rows[0]].min())
    start = point = (column, row)
    direction = (1, 0)
    corners: list[Point] = []
    while True:
        corners.append(point)
        point = (point[0] + direction[0], point[1] + direction[1])
        direction = _next_direction(padded, point, direction)
        if point == start and direction == (1, 0):
            return corners


def _next_direction(padded: np.ndarray, point: tuple[int, int], direction: tuple[int, int]) -> tuple[int, int]:
    """Where the border goes on from a corner, the part lying on its right: cells that touch by a corner only are apart."""
    right = TURNS[direction]
    left = (-right[0], -right[1])
    if not _inside(padded, point, direction, right):
        return right
    return left if _inside(padded, point, direction, left) else direction


def _inside(padded: np.ndarray, point: tuple[int, int], direction: tuple[int, int], side: tuple[int, int]) -> bool:
    """Whether the cell ahead of a corner, on one side of the direction, belongs to the part."""
    column = point[0] + (min(direction[0] + side[0], 0))
    row = point[1] + (min(direction[1] + side[1], 0))
    return bool(padded[row + 1, column + 1])


def _simplified(corners: list[Point], tolerance: float) -> list[Point]:
    """Fewer corners, none of those left out farther than the tolerance from the polygon (Ramer 1972, Douglas and Peucker 1973)."""
    points = np.array([*corners, corners[0]], float)
    farthest = int(np.argmax(np.hypot(*(points - points[0]).T)))
    kept = np.zeros(len(points), bool)
    kept[[0, farthest, -1]] = True
    spans = [(0, farthest), (farthest, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        distances = _distances(points[first + 1 : last], points[first], points[last])
        middle = first + 1 + int(distances.argmax())
        if distances.max() > tolerance:
            kept[middle] = True
            spans += [(first, middle), (middle, last)]
    return [(float(x), float(y)) for x, y in points[:-1][kept[:-1]]]


def _distances(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Of points, (n, 2), from the line through two others."""
    along = end - start
    length = np.hypot(*along)
    offsets = points - start
    return np.abs(along[0] * offsets[:, 1] - along[1] * offsets[:, 0]) / length if length else np.hypot(*offsets.T)


def _joined(polygon: list[Point], other: list[Point]) -> list[Point]:
    """Two polygons as one, by a line there and back between their nearest corners."""
    if not polygon:
        return other
    gaps = np.linalg.norm(np.array(polygon)[:, None] - np.array(other)[None], axis=2)
    i, j = np.unravel_index(gaps.argmin(), gaps.shape)
    return [*polygon[: i + 1], *other[j:], *other[: j + 1], *polygon[i:]]


def mask_of(outline: Outline, size: tuple[int, int]) -> np.ndarray:
    """Whether each pixel lies inside, bool (height, width), for a size (width, height)."""
    image = Image.new("1", size)
    if len(outline) > 2:
        ImageDraw.Draw(image).polygon([(x - 0.5, y - 0.5) for x, y in outline], fill=1)
    return np.asarray(image, bool)


def holds(outline: Outline, point: Point) -> bool:
    """Whether a point lies inside, by the crossings of a ray to its right."""
    x, y = point
    inside = False
    for (x0, y0), (x1, y1) in zip(outline, (*outline[1:], *outline[:1]), strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside
