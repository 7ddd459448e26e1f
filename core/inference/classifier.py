"""The classifier as a library: photos in, calibrated and explained answers out.

from core import Classifier
classifier = Classifier.load()
answer = classifier.predict([Path("shirt.jpg").read_bytes()])[0]
print(answer.label, answer.probability, answer.in_scope)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core.artifacts.labels import LabelSet
from core.artifacts.run import Run, current_run, runs_folder
from core.images.decode import Photo, as_decoded, decode_photo
from core.images.letterbox import Box, Input, network_input
from core.images.region import Region, clamp
from core.inference.batching import Dispatcher
from core.inference.cam import at_photo_size, class_maps, contrast, relative_head
from core.inference.engine import Engine
from core.inference.onnx_graph import head_of
from core.inference.postprocess import Controls, apply_controls, energy, softmax, top_k

ENOUGH = 2  # times the network's input: a whole photo need not be decoded larger
CLOSE_CALL = 0.15  # two candidates nearer than this in probability are worth showing side by side


@dataclass(frozen=True)
class Reading:
    """What the network saw in one photo or region; every control and every heat map is computed from it, without another pass.

    Args:
        logits: float32 (n_classes,).
        maps: float32 (n_classes, h, w), evidence for each class at each place rather than the average class
            (see `core.inference.cam.relative_head`).
        content: where what the network saw lies in its input: left, top, right, bottom in pixels of the input.
        frame: what the network saw of the region, which is all but a uniform border: left, top, right, bottom as shares of its sides.
        input_size: (height, width) of the network's input.
        pooled: float32 (2048,), the features averaged over the photo, for `core.artifacts.neighbours`.
    """

    logits: np.ndarray
    maps: np.ndarray
    content: Box
    frame: tuple[float, float, float, float]
    input_size: tuple[int, int]
    pooled: np.ndarray

    def heat(self, class_index: int, size: tuple[int, int]) -> np.ndarray:
        """Grad-CAM of a class stretched over the region, float32 (height, width) in [0, 1], for size (width, height)."""
        return self._over_region(np.maximum(self.maps[class_index], 0), size)

    def contrast(self, for_class: int, against: int, size: tuple[int, int]) -> np.ndarray:
        """What speaks for one class rather than another, stretched over the region, float32 (height, width) in [-1, 1]."""
        return self._over_region(contrast(self.maps, for_class, against), size)

    def _over_region(self, heat: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """A map stretched over the region, 0 on the border that the network did not see."""
        width, height = size
        left, top, right, bottom = (round(share * side) for share, side in zip(self.frame, 2 * size, strict=True))
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        whole = np.zeros((height, width), np.float32)
        whole[top:bottom, left:right] = at_photo_size(heat, self.content, self.input_size, (right - left, bottom - top))
        return whole


@dataclass(frozen=True)
class Answer:
    """What a photo or region shows.

    Args:
        ranking: classes with their calibrated probabilities, the most probable first.
        group: of the first class, such as Tops.
        in_scope: whether it looks like one of the classes at all.
        score: the energy behind that verdict; `in_scope` says whether it reaches the run's threshold. Of a network with background
            outputs it is the log-odds of any class against none of them.
        without_controls: the first class with its probability had no filter and no bias been set.
        runner_up: the second class with its probability, listed or not; None if the controls leave but one.
        allowed: probability, before filter and bias, that it is of a class that the filter allows.
    """

    ranking: list[tuple[str, float]]
    group: str
    in_scope: bool
    score: float
    without_controls: tuple[str, float]
    runner_up: tuple[str, float] | None
    allowed: float = 1.0

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.ranking[0][0]

    @property
    def probability(self) -> float:
        """Its calibrated probability, in [0, 1]."""
        return self.ranking[0][1]

    @property
    def close_call(self) -> bool:
        """Whether the second class comes so near that both should be looked at."""
        return self.runner_up is not None and self.probability - self.runner_up[1] < CLOSE_CALL

    @property
    def filtered_out(self) -> bool:
        """Whether the filter leaves out what the photo most likely shows."""
        return self.allowed < 0.5


class Classifier:
    """A run's network with its calibration; read-only, so that any number of threads may share it.

    Args:
        run: a run that carries a network.
        shared: whether many threads will ask at once; their photos then go through the network together (see `core.inference.batching`).
        busy: whether the processor has other work at the same time, as in `core.bulk.pipeline`; a shared one always has.

    Raises:
        BrokenRun: the run carries no network, or its files are damaged.
    """

    def __init__(self, run: Run, shared: bool = False, busy: bool = False):
        self.run = run
        engine = Engine(run, busy=busy or shared)
        self.engine: Engine | Dispatcher = Dispatcher(engine) if shared else engine
        self.labels: LabelSet = run.labels
        weight, bias = head_of(run.path("model.safetensors"))
        self.head_weight, self.head_bias = relative_head(weight[: len(self.labels)], bias[: len(self.labels)])
        self.temperature: float = run.manifest["temperature"]
        self.threshold: float = run.manifest["in_scope"]["threshold"]

    @classmethod
    def load(cls, folder: str | Path | None = None) -> Classifier:
        """The classifier of a run folder, or of the shipped run. Raises BrokenRun."""
        return cls(current_run(runs_folder()) if folder is None else Run.load(folder))

    def read(self, inputs: Sequence[tuple[Photo, Region | None]]) -> list[Reading]:
        """One batched forward pass over photos or regions of photos. Raises InvalidRegion as `prepare` does."""
        return self.read_inputs([self.prepare(photo, region) for photo, region in inputs])

    def prepare(self, photo: Photo, region: Region | None = None) -> Input:
        """Make a photo or region (in pixels of the upright photo) ready for `read_inputs`, in any thread.

        Raises:
            InvalidRegion: the part of the region inside the photo is too small.
        """
        box = region and clamp(region, *photo.size).box_in(photo.image.size, photo.size)
        return network_input(photo.image, *self.input_size, box)

    def read_inputs(self, inputs: Sequence[Input]) -> list[Reading]:
        """One batched forward pass over what `prepare` made."""
        if not inputs:
            return []
        logits, features = self.engine.run(np.stack([item.pixels for item in inputs]))
        maps = class_maps(features, self.head_weight)
        pooled = np.einsum("bkhw->bk", features) / features[0, 0].size
        return [
            Reading(logits[i], maps[i], item.content, item.share, self.input_size, pooled[i])
            for i, item in enumerate(inputs)
        ]

    @property
    def enough(self) -> tuple[int, int]:
        """(width, height) at which a whole photo shows the network all that it can use."""
        return ENOUGH * self.engine.width, ENOUGH * self.engine.height

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the network's input."""
        return self.engine.height, self.engine.width

    def answer(self, reading: Reading, controls: Controls = Controls(), k: int | None = None) -> Answer:  # noqa: B008
        """The answer that a reading gives under a visitor's controls, with the first k classes (all of them if None)."""
        plain = softmax(reading.logits, self.temperature)
        ranking = top_k(apply_controls(plain, self.labels, controls), self.labels, len(self.labels))
        score = float(energy(reading.logits))
        group = self.labels.group_of(ranking[0][0])
        (first,) = top_k(plain, self.labels, 1)
        allowed = float(plain[self.labels.mask(controls.group)].sum())
        runner_up = next(iter(ranking[1:]), None)
        return Answer(ranking[:k], group, score >= self.threshold, score, first, runner_up, allowed)

    def predict(self, photos: Sequence[bytes | Image.Image], controls: Controls = Controls()) -> list[Answer]:  # noqa: B008
        """Answers for encoded or decoded photos, in one batched pass.

        Raises:
            UnreadablePhoto: one of them is no photo that we accept, or has pixels that are no colours.
        """
        decoded = [_as_photo(photo, self.enough) for photo in photos]
        return [self.answer(reading, controls) for reading in self.read([(photo, None) for photo in decoded])]


def _as_photo(photo: bytes | Image.Image, enough: tuple[int, int]) -> Photo:
    if isinstance(photo, bytes):
        return decode_photo(photo, at_least=enough)
    image = as_decoded(photo)
    return Photo(image, "", photo.format or "image", "", *image.size)
