"""What `manifest.json` of a run says, as a typed record. docs/architecture.md explains each field.

Fields that a later version adds are ignored; what a run does not have is None or empty.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from core.errors import BrokenRun

RESTORE_HINT = "Get it back with `git checkout -- artifacts`, or train a run with `python -m train`."


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON object with known fields."""


T = TypeVar("T", bound=Record)


def record_of(kind: type[T], value: Any, path: Path) -> T:
    """A JSON value as a record. Raises BrokenRun, naming the file and the field that is wrong."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem = str(error).replace("$.", "")
        raise BrokenRun(f"{path} does not hold what it should: {problem}. {RESTORE_HINT}") from None


class NetworkInput(Record, frozen=True, kw_only=True):
    """Size of the network's input in pixels, and by what its colours are normalised."""

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Scope(Record, frozen=True, kw_only=True):
    """The threshold of the in-scope score, and the share of validation photos of the classes that reach it."""

    threshold: float
    true_positive_rate: float | None = None


class Stage(Record, frozen=True, kw_only=True):
    """A stage of the training, with the blocks that it unfreezes."""

    name: str
    unfrozen: tuple[str, ...] = ()
    epochs: int | None = None


class Quantisation(Record, frozen=True, kw_only=True):
    """Whether a processor serves the network in 8-bit integers, and its validation accuracy in both number formats."""

    accepted: bool = False
    float32: float = math.nan
    int8: float = math.nan


class TypeCalibration(Record, frozen=True, kw_only=True):
    """How outputs become probabilities of all product types; fitted by the trainer on validation.

    Args:
        temperature: that the outputs are divided by.
        background_shift: added before to every output that is not a class: training shows these products less often than the catalogue.
    """

    temperature: float = 1.0
    background_shift: float = 0.0


class Manifest(Record, frozen=True, kw_only=True):
    """`manifest.json`. A published run has no network, so neither input, temperature nor threshold."""

    schema: int
    run_id: str
    name: str
    origin: str
    created: str
    groups: dict[str, tuple[str, ...]]
    files: dict[str, str] = {}
    git_commit: str | None = None
    recipe: str | None = None
    initial_weights: str | None = None
    background: tuple[str, ...] = ()
    input: NetworkInput | None = None
    output_stride: int = 32
    temperature: float | None = None
    in_scope: Scope | None = None
    data_fingerprint: str | None = None
    stages: tuple[Stage, ...] = ()
    best_epoch: int | None = None
    quantisation: Quantisation = Quantisation()
    all_types: TypeCalibration = TypeCalibration()
    notes: tuple[str, ...] = ()

    @property
    def is_published(self) -> bool:
        """Whether it is a publication's run, not measured by this project."""
        return self.origin == "published"
