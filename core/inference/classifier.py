"""The classifier as a library: photos in, calibrated and explained answers out.

from core import Classifier
classifier = Classifier.load()
answer = classifier.predict([Path("shirt.jpg").read_bytes()])[0]
print(answer.label, answer.probability, answer.in_scope)
for found in classifier.find(Path("street.jpg").read_bytes()):
    print(found.region, found.answer.label)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from core.artifacts.labels import LabelSet
from core.artifacts.run import Run, current_run
from core.errors import DetectorMissing, InvalidRegion, UnknownClass
from core.images.decode import Photo, as_decoded, decode_photo
from core.images.letterbox import Box, Input, network_input
from core.images.outline import Outline, holds
from core.images.region import Region, clamp, contained
from core.inference.attributes import Attribute, Attributes, garment_colours
from core.inference.batching import Dispatcher
from core.inference.cam import at_photo_size, class_maps, contrast, relative_head
from core.inference.detect import Detector, Proposal, has_detector
from core.inference.detector_graph import DETECTOR
from core.inference.engine import Engine
from core.inference.onnx_graph import head_of
from core.inference.postprocess import (
    Controls,
    apply_controls,
    energy,
    softmax,
    top_k,
    type_probabilities,
)
from core.stopwatch import timed

ENOUGH = 2  # times the network's input: a whole photo need not be decoded larger
LIKELY = 0.5  # probability from which on a photo out of scope is said to look like a type of other product
FIND_ENOUGH = (1024, 1024)  # (width, height) at which a garment in a photo shows the network all that it can use
TWICE = 0.6  # share of the smaller box inside the other from which on two finds of one class are one garment
CLOSE_CALL = 0.15  # two candidates nearer than this in probability are worth showing side by side


@dataclass(frozen=True)
class Reading:
    """What the network saw in one photo or region; every control and every heat map is computed from it, without another pass.

    Args:
        logits: float32 (n_classes,).
        maps: float32 (n_classes, h, w), evidence for each class at each place rather than the average output
            (see `core.inference.cam.relative_head`).
        content: where what the network saw lies in its input: left, top, right, bottom in pixels of the input.
        frame: what the network saw of the region, which is all but a uniform border: left, top, right, bottom as shares of its sides.
        input_size: (height, width) of the network's input.
        pooled: float32 (2048,), the features averaged over the photo, for `core.artifacts.neighbours`.
        colours: float32 (COLOURS,), which colours the garment's pixels have, as `core.inference.attributes.garment_colours` says.
    """

    logits: np.ndarray
    maps: np.ndarray
    content: Box
    frame: tuple[float, float, float, float]
    input_size: tuple[int, int]
    pooled: np.ndarray
    colours: np.ndarray

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
        looks_like: of a photo out of scope, the type of other product that it most probably shows, such as Casual Shoes, with its
            probability among all types; None in scope, and where no such type is LIKELY.
        attributes: of a photo in scope, what else can be said of the garment; see `core.inference.attributes`.
    """

    ranking: list[tuple[str, float]]
    group: str
    in_scope: bool
    score: float
    without_controls: tuple[str, float]
    runner_up: tuple[str, float] | None
    allowed: float = 1.0
    looks_like: tuple[str, float] | None = None
    attributes: tuple[Attribute, ...] = ()

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


@dataclass(frozen=True)
class Found:
    """A garment found in a photo.

    Args:
        region: its box, in pixels of the upright photo.
        outline: corners (x, y) of a polygon round what is to be seen of it, likewise; the last corner joins the first.
        answer: what it is.
        group: what it looked like from afar: upper, outer, lower or dress.
        score: how sure the detector is that there is a garment, in [0, 1].
        share: of the photo's area, that lies inside the outline.
    """

    region: Region
    outline: Outline
    answer: Answer
    group: str
    score: float
    share: float


class Classifier:
    """A run's network with its calibration; read-only, so that any number of threads may share it.

    Args:
        run: a run that carries a network.
        shared: whether many threads will ask at once; their photos then go through the network together (see `core.inference.batching`).
        busy: whether the processor has other work at the same time, as in `core.bulk.pipeline`; a shared one always has.
        threads: as of `core.inference.engine.Engine`.

    Raises:
        BrokenRun: the run carries no network, or its files are damaged.
    """

    def __init__(self, run: Run, shared: bool = False, busy: bool = False, threads: int = 0):
        self.run = run
        self._busy = busy or shared
        engine = Engine(run, busy=self._busy, threads=threads)
        self.engine: Engine | Dispatcher = Dispatcher(engine) if shared else engine
        self.labels: LabelSet = run.labels
        weight, bias = head_of(run.path(run.network))
        self.head_weight = relative_head(weight, bias)[0][: len(self.labels)]
        self.types: tuple[str, ...] = (*self.labels.names, *run.facts.background)
        self._type_head = weight[: len(self.types)], bias[: len(self.types)]
        self._type_calibration = run.facts.all_types
        self._attributes = Attributes.load(run)
        self.temperature = run.temperature
        self.threshold = run.threshold

    @classmethod
    def load(cls, folder: str | Path | None = None) -> Classifier:
        """The classifier of a run folder, or of the shipped run. Raises BrokenRun."""
        return cls(current_run() if folder is None else Run.load(folder))

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
        with timed("network"):
            logits, features = self.engine.run(np.stack([item.pixels for item in inputs]))
        maps = class_maps(features, self.head_weight)
        pooled = np.einsum("bkhw->bk", features) / features[0, 0].size
        heats = np.maximum(maps[np.arange(len(inputs)), logits.argmax(axis=1)], 0)
        return [
            Reading(
                logits[i], maps[i], item.content, item.share, self.input_size, pooled[i],
                garment_colours(item.pixels, heats[i]),
            )
            for i, item in enumerate(inputs)
        ]  # fmt: skip

    @property
    def enough(self) -> tuple[int, int]:
        """(width, height) at which a whole photo shows the network all that it can use."""
        return ENOUGH * self.engine.width, ENOUGH * self.engine.height

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the network's input."""
        return self.engine.height, self.engine.width

    def answer(
        self,
        reading: Reading,
        controls: Controls = Controls(),  # noqa: B008
        k: int | None = None,
        threshold: float | None = None,
    ) -> Answer:
        """The answer that a reading gives.

        Args:
            reading: of a photo or region.
            controls: group filter and upper-body bias.
            k: how many classes are listed; all of them if None.
            threshold: of the in-scope score; the run's if None.
        """
        plain = softmax(reading.logits, self.temperature)
        ranking = top_k(apply_controls(plain, self.labels, controls), self.labels, len(self.labels))
        score = float(energy(reading.logits))
        group = self.labels.group_of(ranking[0][0])
        (first,) = top_k(plain, self.labels, 1)
        allowed = float(plain[self.labels.mask(controls.group)].sum())
        in_scope = score >= (self.threshold if threshold is None else threshold)
        runner_up = next(iter(ranking[1:]), None)
        if not in_scope:
            return Answer(
                ranking[:k], group, in_scope, score, first, runner_up, allowed, looks_like=self._looks_like(reading)
            )
        attributes = self._attributes.of(ranking[0][0], reading.pooled, reading.colours)
        return Answer(ranking[:k], group, in_scope, score, first, runner_up, allowed, attributes=attributes)

    def all_types(self, reading: Reading, k: int | None = None) -> list[tuple[str, float]]:
        """The first k product types of `types` (all of them if None), those of other products among them, with their probabilities."""
        weight, bias = self._type_head
        probability = type_probabilities(weight @ reading.pooled + bias, len(self.labels), self._type_calibration)
        order = np.argsort(-probability, kind="stable")[:k]
        return [(self.types[i], float(probability[i])) for i in order]

    def _looks_like(self, reading: Reading) -> tuple[str, float] | None:
        ((name, probability),) = self.all_types(reading, 1)
        return (name, probability) if name not in self.labels.names and probability >= LIKELY else None

    def predict(
        self,
        photos: Sequence[bytes | Image.Image],
        regions: Sequence[Region | None] | None = None,
        controls: Controls = Controls(),  # noqa: B008
    ) -> list[Answer]:
        """Answers for photos, in one batched pass.

        Args:
            photos: encoded (the bytes of a JPEG, PNG, …) or decoded; a decoded one is taken to be upright.
            regions: one for each photo: a box in pixels of the upright photo, or None for the whole photo. Whole photos if None.
            controls: group filter and upper-body bias.

        Raises:
            UnreadablePhoto: one of them is no photo that we accept, or has pixels that are no colours.
            InvalidRegion: there are not as many regions as photos, or one lies outside its photo.
        """
        regions = [None] * len(photos) if regions is None else regions
        if len(regions) != len(photos):
            raise InvalidRegion(f"{len(photos)} photos and {len(regions)} regions: give one region, or None, a photo.")
        inputs = [
            (_as_photo(photo, None if region else self.enough), region)
            for photo, region in zip(photos, regions, strict=True)
        ]
        return [self.answer(reading, controls) for reading in self.read(inputs)]

    @property
    def finds(self) -> bool:
        """Whether the run can find garments."""
        return has_detector(self.run)

    def check_finds(self) -> None:
        """Raise DetectorMissing if the run cannot find garments."""
        if not self.finds:
            raise DetectorMissing(
                f"The run {self.run.run_id} cannot find garments: it has no {DETECTOR}. "
                "`python -m train find --data … RUN` adds it."
            )

    def find(
        self,
        photo: bytes | Image.Image | Photo,
        out_of_scope: bool = False,
        controls: Controls = Controls(),  # noqa: B008
    ) -> list[Found]:
        """The garments in a photo, from its top to its bottom, each classified; an empty list where there are none.

        Args:
            photo: encoded, or decoded and upright.
            out_of_scope: whether to keep finds that turn out to be of none of the classes, such as dresses.
            controls: group filter and upper-body bias.

        Raises:
            UnreadablePhoto: it is no photo that we accept, or has pixels that are no colours.
            DetectorMissing: the run cannot find garments.
        """
        self.check_finds()
        decoded = photo if isinstance(photo, Photo) else _as_photo(photo, FIND_ENOUGH)
        with timed("network"):
            proposals = self._detector.propose(decoded)
        readings = self.read([(decoded, proposal.region) for proposal in proposals])
        found = [self._found(*pair, controls) for pair in zip(proposals, readings, strict=True)]
        return without_repeats([one for one in found if one.answer.in_scope or out_of_scope])

    def _found(self, proposal: Proposal, reading: Reading, controls: Controls) -> Found:
        answer = self.answer(reading, controls, threshold=self._detector.settings.scope_threshold)
        return Found(answer=answer, **vars(proposal))

    @cached_property
    def _detector(self) -> Detector:
        """Opened when garments are first looked for; two threads at once may each open one, and one of them is kept."""
        return Detector(self.run, self._busy)

    def heat_map(self, photo: bytes | Image.Image, label: str, region: Region | None = None) -> np.ndarray:
        """Where a photo speaks for a class: its Grad-CAM, float32 (height, width) of the upright photo, in [0, 1].

        Args:
            photo: encoded, or decoded and upright.
            label: name of a class.
            region: the box to look at, in pixels of the upright photo; outside it the map is 0. The whole photo if None.

        Raises:
            UnreadablePhoto: it is no photo that we accept, or has pixels that are no colours.
            InvalidRegion: the region lies outside the photo, or is too small.
            UnknownClass: the label is no class of the run.
        """
        if label not in self.labels.names:
            raise UnknownClass(f"{label!r} is no class. The classes are {', '.join(self.labels.names)}.")
        decoded = _as_photo(photo, None if region else self.enough)
        box = clamp(region, *decoded.size) if region else Region(0, 0, *decoded.size)
        [reading] = self.read([(decoded, region)])
        heat = np.zeros((decoded.height, decoded.width), np.float32)
        index = self.labels.names.index(label)
        heat[box.top : box.bottom, box.left : box.right] = reading.heat(index, (box.width, box.height))
        return heat


def without_repeats(found: list[Found]) -> list[Found]:
    """Without those that lie in a surer one and are of its class: one garment was found twice."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: one.score, reverse=True):
        if not any(
            one.answer.label == other.answer.label and contained(one.region, other.region) >= TWICE for other in kept
        ):
            kept.append(one)
    return [one for one in found if one in kept]


def found_at(found: Sequence[Found], x: float, y: float) -> Found | None:
    """The garment at a point in pixels of the upright photo: the smallest whose outline, else whose box, holds it; None if none does."""
    outlined = [one for one in found if holds(one.outline, (x, y))]
    boxed = [
        one for one in found if one.region.left <= x < one.region.right and one.region.top <= y < one.region.bottom
    ]
    return min(outlined or boxed, key=lambda one: one.region.width * one.region.height, default=None)


def _as_photo(photo: bytes | Image.Image, enough: tuple[int, int] | None) -> Photo:
    if isinstance(photo, bytes):
        return decode_photo(photo, at_least=enough)
    image = as_decoded(photo)
    return Photo(image, "", photo.format or "image", "", *image.size)
