"""What else can be said of a garment: its colour, pattern and collar, and the section of the catalogue it would stand in.

Each attribute has a light head, a multinomial logistic regression over what is at hand after the forward pass: the network's pooled
features or, for the colour, which the network learns to ignore, the colours of the garment's pixels. `train.attributes` fits and
measures the heads; those that are not clearly better than always giving the most frequent value are never shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load_file

from core.artifacts.run import RESTORE_HINT, Run
from core.errors import BrokenRun
from core.images.letterbox import BACKGROUND, Box
from core.inference.postprocess import softmax

ATTRIBUTES = ("colour", "pattern", "collar", "section")  # in the order in which they are said
ATTRIBUTES_FILE, HEADS_FILE = "attributes.json", "attributes.safetensors"
LEAST_PROBABILITY = 0.5  # below which a value is not given
BINS = (6, 8, 8)  # of lightness and the two colour axes of CIELAB
LOWEST, HIGHEST = (
    np.array([0, -50, -50]),
    np.array([100, 60, 60]),
)  # of CIELAB; colours beyond fall into the outermost bins
BIN_COUNT = BINS[0] * BINS[1] * BINS[2]
COLOURS = 2 * BIN_COUNT  # numbers that describe a garment's colours
BACKDROP_TOLERANCE = 24  # of 255: how far the pixels of a plain background may differ from its colour
PLAIN = 0.6  # share of the photo's edge that must have the background's colour
LEAST_GARMENT = 0.05  # share of the photo below which an outline is none: a white garment on white
MIDDLE = 0.6  # share of half a side at which a pixel's weight has fallen to 1/e
STEP, LEVELS = 8, 32  # of each colour channel, which is rounded
EVERY = 2  # so manieth pixel is looked at
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_PLACES = np.array([LEVELS**2, LEVELS, 1])
_WHITE_POINT = np.array([0.9505, 1.0, 1.089])  # D65


@dataclass(frozen=True)
class Attribute:
    """One thing said of a garment.

    Args:
        name: one of ATTRIBUTES.
        value: such as `navy`, `checked`, `polo collar`, `men's section`.
        probability: calibrated, in [0, 1].
    """

    name: str
    value: str
    probability: float


def in_words(attributes: Sequence[Attribute]) -> str:
    """Attributes in one line, such as `Navy · checked · men's section`; empty if there are none."""
    line = " · ".join(attribute.value for attribute in attributes)
    return line[:1].upper() + line[1:]


@dataclass(frozen=True)
class Head:
    """One attribute's linear head.

    Args:
        name: of the attribute.
        values: that it tells apart.
        classes: of garments that have the attribute.
        source: `features` or `colours`, what it looks at.
        weight: float32 (n_values, 2048 or COLOURS).
        bias: float32 (n_values,).
    """

    name: str
    values: tuple[str, ...]
    classes: frozenset[str]
    source: str
    weight: np.ndarray
    bias: np.ndarray

    def probabilities(self, seen: np.ndarray) -> np.ndarray:
        """Calibrated probability of each value, (..., d) -> (..., n_values)."""
        return softmax(seen @ self.weight.T + self.bias)


@dataclass(frozen=True)
class Attributes:
    """A run's heads that may be shown, read-only; none in runs of earlier versions."""

    heads: tuple[Head, ...] = ()

    @classmethod
    def load(cls, run: Run) -> Attributes:
        """The heads of a run. Raises BrokenRun if their files are damaged or do not belong together."""
        if not run.has(ATTRIBUTES_FILE):
            return cls()
        described, path = run.read_json(ATTRIBUTES_FILE), run.path(HEADS_FILE)
        try:
            tensors = load_file(path)
            heads = [
                Head(
                    head["name"],
                    tuple(head["values"]),
                    frozenset(head["classes"]),
                    head["source"],
                    _shaped(tensors[f"{head['name']}.weight"], len(head["values"]), 2),
                    _shaped(tensors[f"{head['name']}.bias"], len(head["values"]), 1),
                )
                for head in described["attributes"]
                if head["shown"]
            ]
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise BrokenRun(
                f"{path} and {ATTRIBUTES_FILE} beside it do not belong together ({error!r:.200}). {RESTORE_HINT}"
            ) from None
        return cls(tuple(sorted(heads, key=lambda head: ATTRIBUTES.index(head.name))))

    def of(self, label: str, pooled: np.ndarray, colours: np.ndarray) -> tuple[Attribute, ...]:
        """What can be said of a garment of a class, in the order of ATTRIBUTES.

        Args:
            label: its class.
            pooled: features averaged over the photo, (2048,).
            colours: of its pixels, as `garment_colours` gives them.
        """
        seen = {"features": pooled, "colours": colours}
        said = [_most_probable(head, seen[head.source]) for head in self.heads if label in head.classes]
        return tuple(attribute for attribute in said if attribute.probability >= LEAST_PROBABILITY)


def _most_probable(head: Head, seen: np.ndarray) -> Attribute:
    probability = head.probabilities(seen)
    best = int(probability.argmax())
    return Attribute(head.name, head.values[best], float(probability[best]))


def _shaped(tensor: np.ndarray, values: int, dimensions: int) -> np.ndarray:
    if len(tensor) != values or tensor.ndim != dimensions:
        raise ValueError(f"{tensor.shape} is no head of {values} values")
    return tensor.astype(np.float32)


def garment_colours(pixels: np.ndarray, heat: np.ndarray | None = None) -> np.ndarray:
    """Which colours a garment has: the square roots of a histogram of its pixels in CIELAB, then twice the histogram, float32 (COLOURS,).

    The roots show traces of a colour, the histogram which one prevails; with both, a linear head tells more colours apart than with either.

    On a plain background these are the pixels inside its outline, those in the middle of the photo counting most, where it shows less of a
    model's skin and other clothes; elsewhere pixels count by the heat of their place.

    Args:
        pixels: uint8 (height, width, 3), the network's input.
        heat: (h, w) over the input, not negative: where the network sees the garment; everywhere alike if None or all 0.
    """
    left, top, right, bottom = _without_padding(pixels)
    photo = pixels[top:bottom:EVERY, left:right:EVERY]
    weight = _outlined(photo)
    if weight is not None:
        weight = weight * _middle(pixels.shape[:2])[top:bottom:EVERY, left:right:EVERY]
    else:
        weight = _spread(heat, pixels.shape[:2])[top:bottom:EVERY, left:right:EVERY]
    codes = (photo // STEP).reshape(-1, 3) @ _PLACES  # few colours stand for many pixels, which saves time
    by_code = np.bincount(codes, weight.ravel(), minlength=LEVELS**3)
    present = np.flatnonzero(by_code)
    colours = present[:, None] // _PLACES % LEVELS * STEP + STEP // 2
    histogram = _histogram(_lab(colours), by_code[present])
    shares = histogram / histogram.sum()
    return np.concatenate([np.sqrt(shares), 2 * shares]).astype(np.float32)


def _without_padding(pixels: np.ndarray) -> Box:
    """left, top, right, bottom inside the letterbox's white, which is on two sides at most; white on all four is the photo's own."""
    height, width = pixels.shape[:2]
    coloured = (pixels != BACKGROUND).any(axis=2)
    rows, columns = np.flatnonzero(coloured.any(axis=1)), np.flatnonzero(coloured.any(axis=0))
    if len(rows) == height and len(columns):
        return int(columns[0]), 0, int(columns[-1]) + 1, height
    if len(columns) == width and len(rows):
        return 0, int(rows[0]), width, int(rows[-1]) + 1
    return 0, 0, width, height


def _outlined(photo: np.ndarray) -> np.ndarray | None:
    """What is not of a plain background that reaches the edge, 1.0 or 0.0 of shape (h, w); None if the background is not plain."""
    edge = np.concatenate([photo[0], photo[-1], photo[:, 0], photo[:, -1]]).astype(np.int16)
    colour = np.median(edge, axis=0)
    if (np.abs(edge - colour) <= BACKDROP_TOLERANCE).all(axis=1).mean() < PLAIN:
        return None
    near = (np.abs(photo - colour) <= BACKDROP_TOLERANCE).all(axis=2)
    garment = ~_reached_from_the_edge(near)
    return garment.astype(float) if garment.mean() >= LEAST_GARMENT else None


def _reached_from_the_edge(open_cells: np.ndarray) -> np.ndarray:
    """The open cells that a path of open ones, side by side, joins to the edge; bool (h, w).

    As by scipy.ndimage.label, without waiting a fifth of a second for that to be loaded before the first answer.
    """
    reached = open_cells.copy()
    reached[1:-1, 1:-1] = False
    while True:
        by_rows = _filled_along_rows(open_cells, reached)
        grown = _filled_along_rows(open_cells.T, by_rows.T).T
        if (grown == reached).all():
            return reached
        reached = grown


def _filled_along_rows(open_cells: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """With one cell of a row's run of open ones, all of the run is reached."""
    closed = ~open_cells
    starts = closed | np.pad(closed, ((0, 0), (1, 0)), constant_values=True)[:, :-1]
    run = np.cumsum(starts) - 1
    return open_cells & (np.bincount(run, reached.ravel()) > 0)[run].reshape(open_cells.shape)


@lru_cache(4)
def _middle(size: tuple[int, ...]) -> np.ndarray:
    """Weight by place in an input of (height, width) pixels: 1 in its middle, 0.5 halfway to a side, 0.06 at its edge."""
    rows, columns = (np.linspace(-1, 1, side) / MIDDLE for side in size)
    return np.exp(-(rows[:, None] ** 2) - columns**2)


def _spread(heat: np.ndarray | None, size: tuple[int, ...]) -> np.ndarray:
    """The heat over an input of (height, width) pixels, at most 1; a tenth of it everywhere, for a map may miss parts."""
    if heat is None or heat.max() <= 0:
        return np.ones(size, np.float32)
    image = Image.fromarray((heat / heat.max()).astype(np.float32))
    return 0.1 + 0.9 * np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def _lab(colours: np.ndarray) -> np.ndarray:
    """sRGB in [0, 255], (n, 3), to CIELAB, (n, 3)."""
    c = colours / 255
    linear = np.where(c > 0.04045, ((c + 0.055) / 1.055) ** 2.4, c / 12.92)
    xyz = linear @ _TO_XYZ.T / _WHITE_POINT
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def _histogram(lab: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted histogram of colours (n, 3) over BINS, (BIN_COUNT,); each colour shares its weight among the eight bins around it."""
    last = np.array(BINS) - 1
    place = np.clip((lab - LOWEST) / (HIGHEST - LOWEST) * last, 0, last - 1e-6)
    low = place.astype(int)
    above = place - low
    histogram = np.zeros(BIN_COUNT)
    for corner in np.ndindex(2, 2, 2):
        share = weight * np.where(corner, above, 1 - above).prod(axis=1)
        histogram += np.bincount(np.ravel_multi_index(tuple((low + corner).T), BINS), share, minlength=BIN_COUNT)
    return histogram
