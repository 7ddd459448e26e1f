"""Find the garments in a photo: a second head on the network's features says what each cell of the photo shows and where its garment ends.

The photo is looked at whole, in its own proportions. Cells that agree on their garment's box are one garment, so one that hair or a bag
cuts in two stays one, and two that touch stay two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from threading import Lock

import numpy as np
import onnxruntime
from PIL import Image

from core.artifacts.run import Run
from core.images.decode import Photo
from core.images.outline import Outline, outline_of
from core.images.region import MIN_SIDE, Region
from core.inference.detector_graph import DETECTOR, OUTPUT, DetectorSettings, detector_graph
from core.inference.postprocess import softmax
from core.inference.providers import CPU

CELL = 8  # pixels of the input that a cell stands for
STEP = 32  # sides of the input are multiples of it
AREA = 384 * 288  # pixels of the input, about
MOST_STEPS, LEAST_STEPS = 24, 3  # of a side, however long and thin the photo is
SPAN = 8.0  # cells from a cell to the sides of its garment's box, where the head says 0
SIDES = 4
# These were chosen on validation street photos; docs/experiments.md has the figures.
GARMENT = 0.45  # probability of any garment from which on a cell belongs to one
AGREEMENT = 0.5  # IoU of the boxes of two cells of one garment, at least
SAME = 0.4  # share of the smaller box inside the other from which on two finds of one group are one garment
SAME_OF_OTHER_GROUPS = 0.65  # IoU of the boxes from which on two finds of two groups are one
LEAST_CELLS = 0.003  # share of the cells below which a garment is too small
FILLED = 0.3  # share of its box that a garment's cells take, from which on the score is that of its cells
FINER = 4  # times the cells, for outlines
EDGE = 0.5  # of the smoothed mask


@dataclass(frozen=True)
class Proposal:
    """A garment that the detector saw.

    Args:
        region: its box, in pixels of the upright photo.
        outline: a polygon round what is to be seen of it, likewise.
        group: what it seems to be, such as outer.
        score: how sure the detector is, in [0, 1].
        share: of the photo, that lies inside the outline.
    """

    region: Region
    outline: Outline
    group: str
    score: float
    share: float


@dataclass(frozen=True)
class Garment:
    """A garment in the grid of cells.

    Args:
        box: left, top, right, bottom in cells.
        cells: those that show it, bool (rows, columns).
        groups: sum of each group's probability over its cells, (groups,).
        score: how sure the detector is, in [0, 1].
    """

    box: np.ndarray
    cells: np.ndarray
    groups: np.ndarray
    score: float


def has_detector(run: Run) -> bool:
    """Whether a run can find garments."""
    return run.has(DETECTOR)


def grid_size(width: int, height: int) -> tuple[int, int]:
    """(height, width) of the input for a photo of a size: about AREA pixels, in its proportions as far as multiples of STEP allow."""
    scale = math.sqrt(AREA / (width * height)) / STEP
    rows, columns = (min(MOST_STEPS, max(LEAST_STEPS, round(side * scale))) for side in (height, width))
    return rows * STEP, columns * STEP


class Detector:
    """Finds garments with a run's network and its detector; safe to call from several threads, which take turns.

    Args:
        run: a run with a detector.
        busy: as of `core.inference.engine.Engine`.

    Raises:
        BrokenRun: the run has no detector, or its files are damaged.
    """

    def __init__(self, run: Run, busy: bool = False):
        model, self.settings = detector_graph(run)
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(not busy)))
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[CPU])
        self._turn = Lock()

    def propose(self, photo: Photo) -> list[Proposal]:
        """Garments of a photo, from its top to its bottom; none if there are none."""
        cells = self.cells(photo.image)
        found = [garment for garment in garments(cells, self.settings) if garment.score >= self.settings.least_score]
        proposals = [_proposal(garment, self.settings, photo) for garment in found]
        proposals = [one for one in proposals if min(one.region.width, one.region.height) >= MIN_SIDE]
        return sorted(proposals, key=lambda proposal: (proposal.region.top, proposal.region.left))

    def cells(self, image: Image.Image) -> np.ndarray:
        """What the head says of an upright RGB photo, float32 (groups + 5, rows, columns)."""
        height, width = grid_size(*image.size)
        seen = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
        with self._turn:
            (cells,) = self._session.run([OUTPUT], {"pixels": np.asarray(seen)[None]})
        return np.asarray(cells)[0]


def garments(cells: np.ndarray, settings: DetectorSettings) -> list[Garment]:
    """Garments by what the head says of the cells, (groups + 5, rows, columns), the surest first."""
    n_groups = len(settings.groups)
    groups = np.moveaxis(softmax(np.moveaxis(cells[:n_groups], 0, -1)), -1, 0)[1 : settings.garments + 1]
    sure = groups.sum(axis=0) / (1 + np.exp(-cells[-1]))
    boxes, group = boxes_of(cells[n_groups : n_groups + SIDES]), groups.argmax(axis=0)
    left = groups.sum(axis=0) > GARMENT
    found: list[Garment] = []
    while left.any():
        seed = np.unravel_index(np.argmax(np.where(left, sure, -1)), left.shape)
        members = left & (group == group[seed]) & (box_iou(boxes, boxes[seed]) >= AGREEMENT)
        members[seed] = True
        left &= ~members
        if members.mean() >= LEAST_CELLS:
            found.append(_garment(members, boxes, sure, groups))
    return _distinct(sorted(found, key=lambda one: one.score, reverse=True))


def boxes_of(distances: np.ndarray) -> np.ndarray:
    """Logarithms of distances (4, rows, columns) to boxes left, top, right, bottom in cells, inside the grid, (rows, columns, 4)."""
    rows, columns = distances.shape[1:]
    left, top, right, bottom = SPAN * np.exp(distances.clip(-6, 3))
    x, y = np.arange(columns) + 0.5, (np.arange(rows) + 0.5)[:, None]
    boxes = np.stack([x - left, y - top, x + right, y + bottom], axis=2)
    return boxes.clip(0, [columns, rows, columns, rows])


def box_iou(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (..., 4) with one box (4,)."""
    shared = _shared(boxes, box)
    return shared / np.maximum(_area(boxes) + _area(box) - shared, 1e-6)


def _shared(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    width = np.minimum(boxes[..., 2], box[2]) - np.maximum(boxes[..., 0], box[0])
    height = np.minimum(boxes[..., 3], box[3]) - np.maximum(boxes[..., 1], box[1])
    return width.clip(0) * height.clip(0)


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _garment(members: np.ndarray, boxes: np.ndarray, sure: np.ndarray, groups: np.ndarray) -> Garment:
    """The garment of cells that agree: its box is half way from the mean of theirs to the bounds of the cells.

    A find of few cells in a large box is rather the rest of another garment, so its score is lower.
    """
    weights = sure[members]
    rows, columns = np.flatnonzero(members.any(axis=1)), np.flatnonzero(members.any(axis=0))
    bounds = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
    box = (np.average(boxes[members], axis=0, weights=weights) + bounds) / 2
    filled = members.sum() / ((box[2] - box[0]) * (box[3] - box[1]))
    score = float(weights.mean() * min(1.0, filled / FILLED) ** 0.5)
    return Garment(box, members, groups[:, members].sum(axis=1), score)


def _distinct(found: list[Garment]) -> list[Garment]:
    """One garment for those that lie in one another: the surest one's box, the cells of all."""
    kept: list[Garment] = []
    for one in found:
        same = next((i for i, other in enumerate(kept) if _same(one, other)), None)
        if same is None:
            kept.append(one)
        else:
            other = kept[same]
            kept[same] = Garment(other.box, other.cells | one.cells, other.groups + one.groups, other.score)
    return kept


def _same(one: Garment, other: Garment) -> bool:
    if one.groups.argmax() != other.groups.argmax():
        return bool(box_iou(one.box, other.box) >= SAME_OF_OTHER_GROUPS)
    smaller = np.minimum(_area(one.box), _area(other.box))
    return bool(_shared(one.box, other.box) >= SAME * smaller)


def _proposal(garment: Garment, settings: DetectorSettings, photo: Photo) -> Proposal:
    rows, columns = garment.cells.shape
    scale = np.array([photo.width / columns, photo.height / rows])
    left, top = np.floor(garment.box[:2] * scale + 0.5).astype(int)
    right, bottom = np.floor(garment.box[2:] * scale + 0.5).astype(int)
    region = Region(int(left), int(top), max(int(right), int(left) + 1), max(int(bottom), int(top) + 1))
    mask = _finer(garment.cells, garment.box)
    outline = tuple((float(x * scale[0] / FINER), float(y * scale[1] / FINER)) for x, y in outline_of(mask))
    group = settings.groups[1 + int(garment.groups.argmax())]
    return Proposal(region, outline, group, garment.score, float(mask.mean()))


def _finer(cells: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The cells inside the box with a smooth border, bool (FINER * rows, FINER * columns)."""
    rows, columns = cells.shape
    smooth = Image.fromarray(cells.astype(np.float32)).resize((FINER * columns, FINER * rows), Image.Resampling.BICUBIC)
    inside = np.zeros((FINER * rows, FINER * columns), bool)
    left, top, right, bottom = np.rint(FINER * box).astype(int)
    inside[top:bottom, left:right] = True
    return (np.asarray(smooth) > EDGE) & inside
