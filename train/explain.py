"""How faithful the heat maps are: deletion and insertion curves on test photos, and the pointing game on worn garments.

The maps as served are compared with plain Grad-CAM, which the published project shows: of the class's bare output, at the last block of
layer4, stretched bilinearly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from core.artifacts.run import Run
from core.images.decode import decode_photo
from core.images.letterbox import Input, network_input
from core.images.sources import batched
from core.inference.cam import at_photo_size, class_maps, relative_head
from core.inference.engine import Activations, Engine
from core.inference.faithfulness import SHARES, area_under, deleted, inserted, size_of
from core.inference.onnx_graph import head_of
from core.inference.postprocess import softmax
from train import worn
from train.catalogue import WORN
from train.evaluate import share
from train.meter import meter
from train.splits import SplitData
from train.targets import ClassList
from train.worn import Box

MOST_PHOTOS = 400  # of the test split that have their curves measured, evenly spaced: each passes 28 times
BATCH = 16
TOLERANCE = 15  # pixels by which a point may miss a garment in a whole photo (Zhang et al. 2018); none in its box
SERVED = "served"
WAYS = (SERVED, "plain")


class Explainer:
    """A run's network with its heads for heat maps."""

    def __init__(self, run: Run, engine: Engine):
        self.engine = engine
        self.input_size = (engine.height, engine.width)
        weight, bias = head_of(run.path("model.safetensors"))
        self.weight = weight[: len(run.labels)]
        self.relative = relative_head(weight, bias)[0][: len(run.labels)]

    def passed(self, inputs: list[Input]) -> Activations:
        """One forward pass."""
        return self.engine.run(np.stack([seen.pixels for seen in inputs]))

    def heat(self, way: str, features: np.ndarray, class_index: int, seen: Input, size: tuple[int, int]) -> np.ndarray:
        """A class's heat map over what an input shows, float32 (height, width), for size (width, height)."""
        head = self.relative if way == SERVED else self.weight
        heat = np.maximum(class_maps(features, head[[class_index]])[0], 0)
        stretch = at_photo_size if way == SERVED else _bilinear
        return stretch(heat, seen.content, self.input_size, size)


def _bilinear(heat: np.ndarray, content: Box, input_size: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """A map stretched as pytorch-grad-cam does, the letterbox left out."""
    (height, width), (rows, columns) = input_size, heat.shape
    left, top, right, bottom = content
    box = (left / width * columns, top / height * rows, right / width * columns, bottom / height * rows)
    return np.asarray(Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR, box=box))


def curves(explainer: Explainer, photos: Iterable[Image.Image], temperature: float) -> dict[str, Any]:
    """Deletion and insertion curves of the predicted class, for `metrics.json`.

    Args:
        explainer: of the network as it is served.
        photos: of the classes, upright and decoded, at least one.
        temperature: of the run.
    """
    found = [
        _curves_of(explainer, seen, features, logits, temperature)
        for batch in batched(photos, BATCH)
        for seen, features, logits in _passed(explainer, batch, [None] * len(batch))
    ]
    probabilities = np.stack(found)  # (n, 2 ways, 2 curves, n_shares)
    areas = area_under(probabilities)  # (n, 2 ways, 2 curves)
    kinds = ("deletion", "insertion")
    of_way = {
        way: {
            kind: {"probabilities": probabilities[:, i, j].mean(axis=0).tolist(), "area": _mean(areas[:, i, j])}
            for j, kind in enumerate(kinds)
        }
        for i, way in enumerate(WAYS)
    }
    return {
        "photos": len(probabilities),
        "shares": SHARES,
        **of_way,
        "difference": {kind: _mean(areas[:, 0, j] - areas[:, 1, j]) for j, kind in enumerate(kinds)},
        "percentiles": np.percentile(areas[:, 0, 0], np.arange(101)).tolist(),
    }


def _passed(
    explainer: Explainer, photos: list[Image.Image], boxes: Sequence[Box | None]
) -> Iterator[tuple[Input, np.ndarray, np.ndarray]]:
    """The network's input for each photo or box, and its features and logits."""
    pairs = zip(photos, boxes, strict=True)
    inputs = [network_input(photo, *explainer.input_size, box) for photo, box in pairs]
    activations = explainer.passed(inputs)
    yield from zip(inputs, activations.features, activations.logits, strict=True)


def _curves_of(
    explainer: Explainer, seen: Input, features: np.ndarray, logits: np.ndarray, temperature: float
) -> np.ndarray:
    """Probabilities of the predicted class at each of SHARES, (2 ways, 2 curves, n_shares)."""
    predicted = int(logits.argmax())
    heats = [explainer.heat(way, features, predicted, seen, size_of(seen)) for way in WAYS]
    changed = [
        change(seen, heat, part)
        for heat in heats
        for change, shares in ((deleted, SHARES[1:]), (inserted, SHARES[:-1]))
        for part in shares
    ]
    rows = softmax(explainer.passed(changed).logits, temperature)[:, predicted].reshape(len(WAYS), 2, -1)
    whole = np.full((len(WAYS), 1), softmax(logits, temperature)[predicted])  # nothing hidden, or all inserted
    return np.stack([np.hstack([whole, rows[:, 0]]), np.hstack([rows[:, 1], whole])], axis=1)


def _mean(values: np.ndarray) -> dict[str, float]:
    mean, margin = float(values.mean()), 1.96 * float(values.std()) / len(values) ** 0.5
    return {"value": mean, "low": mean - margin, "high": mean + margin}


class Case(NamedTuple):
    """A garment to point at.

    Args:
        image: its street photo.
        box: of the garment: left, top, right, bottom in pixels of the photo.
        area: where the garment is, bool (height, width) of the photo.
        allowed: bool (n_classes,), the classes that its label allows.
    """

    image: Image.Image
    box: Box
    area: np.ndarray
    allowed: np.ndarray


def pointing(
    explainer: Explainer, data: SplitData, classes: ClassList, part: str = "test"
) -> dict[str, dict[str, Any]] | None:
    """The pointing game on a split's worn garments, for `metrics.json`; None if there are none, or no masks since the photos were packed.

    The class explained is the most probable one that the garment's label allows.
    """
    labels = data.index.photos["articleType"]
    rows = [row for row in data.rows(part, WORN) if classes.classes_of(str(labels.iloc[row]))]
    if data.index.pack or not rows:
        return None
    in_box, in_photo = list[list[float]](), list[list[float]]()
    for batch in batched((_case(data, row, classes) for row in meter(rows, "pointing", "garments")), BATCH):
        in_box += _pointed(explainer, batch, [case.box for case in batch], 0)
        in_photo += _pointed(explainer, batch, [(0, 0, *case.image.size) for case in batch], TOLERANCE)
    return {name: _game(np.array(found)) for name, found in (("box", in_box), ("photo", in_photo))}


def _case(data: SplitData, row: int, classes: ClassList) -> Case:
    photo = data.index.photos.iloc[row]
    source, label = data.index.sources[photo["source"]], str(photo["articleType"])
    left, top, right, bottom = (int(photo[side]) for side in ("left", "top", "right", "bottom"))
    value = {name: value for value, name in source.values.items()}[label.removeprefix(worn.PREFIX)]
    return Case(
        decode_photo(source.read(f"images/{photo['file']}")).image,
        (left, top, right, bottom),
        source.mask(photo["file"]) == value,
        np.isin(classes.labels.names, classes.classes_of(label)),
    )


def _pointed(explainer: Explainer, cases: list[Case], boxes: list[Box], tolerance: int) -> list[list[float]]:
    """For each garment: whether the hottest point of each way and the box's middle lie on it, and its share of the box."""
    found: list[list[float]] = []
    seen_in = _passed(explainer, [case.image for case in cases], boxes)
    for case, (left, top, right, bottom), (seen, features, logits) in zip(cases, boxes, seen_in, strict=True):
        shown = int(np.where(case.allowed, logits, -np.inf).argmax())
        x, y, *_ = seen.frame
        size = (seen.frame[2] - x, seen.frame[3] - y)
        heats = [explainer.heat(way, features, shown, seen, size) for way in WAYS]
        points = [divmod(int(heat.argmax()), size[0]) for heat in heats]
        places = [*((y + row, x + column) for row, column in points), ((top + bottom) // 2, (left + right) // 2)]
        hits = [_near(case.area, place, tolerance) for place in places]
        found.append([*hits, case.area[top:bottom, left:right].mean()])
    return found


def _near(area: np.ndarray, place: tuple[int, int], tolerance: int) -> bool:
    """Whether an area, bool (height, width), has a pixel within so many pixels of a place (row, column)."""
    rows, columns = np.nonzero(area)
    return bool(np.any((rows - place[0]) ** 2 + (columns - place[1]) ** 2 <= tolerance**2))


def _game(found: np.ndarray) -> dict[str, Any]:
    names = (*WAYS, "middle")
    return {name: share(found[:, i] > 0) for i, name in enumerate(names)} | {"covered": float(found[:, -1].mean())}
