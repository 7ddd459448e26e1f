"""Fit the head of a finished run again on reviewed corrections, the features frozen: a run of its own, which ships only by hand.

Where no correction speaks, the new head says what the old one says: photos that trained the run are replayed with the old head's own
probabilities as their targets (Li and Hoiem 2016, "Learning without Forgetting"), and the corrections are learned beside them. Photos of
validation and test never train: corrections of theirs only measure.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor

from core.analysis.comparison import compare, comparison_words
from core.analysis.review import LEFT_OUT
from core.artifacts.predictions import Predictions, predictions_from_table
from core.artifacts.run import Run, sha256_of
from core.errors import InvalidData
from core.feedback import decisions as decisions_in
from core.feedback import kept_region, latest
from core.files import new_folder
from core.images.letterbox import network_input
from core.inference.engine import Engine
from core.inference.model import against_background, save_weights
from core.inference.onnx_graph import head_of
from core.settings import feedback_file
from train.catalogue import PHONE, PRODUCT, WORN
from train.config import Recipe
from train.corrections import SUFFIX, read_corrections
from train.evaluate import BATCH, Coarse, Scored, coarse_of, predictions_table
from train.export import PARTS, close, git_commit, kinds_elsewhere, measure_predictions
from train.folder import write_json
from train.neighbours import pooled_features
from train.splits import SplitData
from train.targets import NO_TARGET, Targets, allowed_set_cross_entropy

MOST_REPLAYED = 6_000  # training photos; of more, evenly spaced ones are taken
STRENGTHS = (
    1.0,
    0.3,
    0.1,
    0.03,
)  # weight of the corrections together against that of the replayed photos together, tried in this order
MOST_LOST = 0.001  # share of the validation photos that a strength may cost
STEPS = 60  # of L-BFGS
CARRIED = ("latency", "attributes", "training")  # sections of `metrics.json` on which the head has no bearing


@dataclass(frozen=True)
class Head:
    """The linear head: weight (n_outputs, 2048) and bias (n_outputs,), float32."""

    weight: np.ndarray
    bias: np.ndarray

    def outputs(self, pooled: np.ndarray) -> np.ndarray:
        """(n, 2048) -> (n, n_outputs)."""
        return pooled @ self.weight.T + self.bias

    def logits(self, pooled: np.ndarray, n_classes: int) -> np.ndarray:
        """Logits of the classes as the engine gives them, (n, 2048) -> (n, n_classes)."""
        return against_background(torch.from_numpy(self.outputs(pooled)), n_classes).numpy()


@dataclass(frozen=True)
class Lesson:
    """The corrections that are learned, and what the others are about.

    Args:
        pooled: features of the photos, (n, 2048).
        goals: int (n,), targets.
        reported: how many of them visitors reported; the others are training photos.
        left_out: positions in the index of training photos that are no longer replayed.
        measuring: decisions about photos of validation and test.
        absent: decisions about photos that are not there.
    """

    pooled: np.ndarray
    goals: np.ndarray
    reported: int
    left_out: np.ndarray
    measuring: int
    absent: int

    @property
    def words(self) -> str:
        """In a sentence for each kind of decision."""
        lines = [f"Learned: {self.reported} reported photos and {len(self.goals) - self.reported} training photos."]
        if self.measuring:
            lines.append(f"{self.measuring} decisions are about validation or test photos, which only measure.")
        if self.absent:
            lines.append(f"{self.absent} decisions are about photos that are not there.")
        return " ".join(lines)


@dataclass(frozen=True)
class Seen:
    """What is measured, after the one forward pass: positions in the index and pooled features.

    Args:
        products: by part.
        elsewhere: by kind and part.
    """

    products: dict[str, tuple[np.ndarray, np.ndarray]]
    elsewhere: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]


def read_decisions(file: Path) -> dict[int, str]:
    """Photo id to its correct class, or to nothing where it is left out.

    Args:
        file: CSV with the columns id and label, as the confusion page exports it, or the SQLite file of corrections.

    Raises:
        InvalidData: it is no such file, or holds no decision.
        FeedbackUnavailable: the SQLite file cannot be read.
    """
    if file.suffix.lower() == SUFFIX:
        found = read_corrections(file)
    else:
        found = {int(photo): label for photo, label in decisions_in(file).items() if photo.isdecimal()}
    if not found:
        raise InvalidData(
            f"{file} holds no decisions. Review labels on the confusion page (tab Review), or give a CSV file with the columns id and "
            "label."
        )
    return found


def refit(run: Run, recipe: Recipe, data: SplitData, feedback: Path, runs: Path) -> str:
    """Learn the decisions of a file and write the run; returns in words how it compares with the one before.

    Args:
        run: a finished one with a network.
        recipe: it was trained with.
        data: its photos, in its splits.
        feedback: as `read_decisions` takes it; reported photos come from it if it is the SQLite file, else from the one of the settings.
        runs: folder for the new run.

    Raises:
        InvalidData: no decision is about a photo that may train, or validation loses by all of them.
        OSError: the disk is full or not writable; no part of the new run stays.
    """
    decided = read_decisions(feedback)
    store = feedback_file() if feedback.suffix.lower() == SUFFIX else feedback
    engine, targets = Engine(run, processor=True), Targets.of(recipe.class_list(), run.facts.background)
    lesson = _lesson(decided, store, engine, data, targets)
    if not len(lesson.goals):
        raise InvalidData(f"Nothing to learn. {lesson.words} Nothing was written.")
    old = Head(*head_of(run.path("model.safetensors")))
    replayed = _pooled(engine, data, _replayed_rows(data, lesson))
    seen = _seen(engine, data)
    head, strength = _strongest(old, replayed, lesson, targets, seen, data, recipe)
    before, after = (_test_predictions(each, seen, data, recipe, decided, run.temperature) for each in (old, head))
    corrected = compare(before, after, np.ones(len(before), bool))
    new = _write(run, head, seen, data, recipe, lesson, strength, runs)
    return "\n".join(
        [
            lesson.words,
            f"Test accuracy with the corrected labels: {before.correct.mean():.2%} before, {after.correct.mean():.2%} now. "
            + comparison_words(corrected, run.run_id, new.run_id),
            f"Written: {new.folder}. It does not classify yet: `python -m train --runs {runs} ship {new.folder}` ships it if it is better "
            f"on validation, `python -m train --data … evaluate {new.folder}` measures the rest.",
        ]
    )


def _lesson(decided: Mapping[int, str], store: Path, engine: Engine, data: SplitData, targets: Targets) -> Lesson:
    photos, parts = data.index.photos, data.splits["split"].to_numpy()
    measured = data.index.main & (data.index.kind == PRODUCT)
    position = dict(zip(photos["id"].to_numpy()[measured], np.flatnonzero(measured), strict=True))
    in_catalogue = {photo: int(position[photo]) for photo in decided if photo in position}
    training = {photo: row for photo, row in in_catalogue.items() if parts[row] == "train"}
    reported = {one.photo_id: one for one in latest(store) if one.photo_kept and one.photo_id in decided}
    _check_labels(decided, set(targets.outputs) | set(photos["articleType"][data.index.kind == PRODUCT]))
    taught = [photo for photo in training if decided[photo] != LEFT_OUT]
    shown = [photo for photo in reported if decided[photo] != LEFT_OUT]
    pictures = [
        network_input(kept_region(store, reported[photo]), engine.height, engine.width).pixels for photo in shown
    ]
    pooled = [
        _pooled(engine, data, np.array([training[photo] for photo in taught], int)),
        _pooled_pixels(engine, pictures),
    ]
    labels = pd.Series([decided[photo] for photo in (*taught, *shown)], dtype=object)
    goals = targets.of_labels(labels, np.zeros(len(labels), bool))
    known = goals != NO_TARGET
    absent = len(decided) - len(in_catalogue) - len(reported)
    left_out, measuring = np.array([*training.values()], int), len(in_catalogue) - len(training)
    return Lesson(
        np.concatenate(pooled)[known], goals[known], int(known[len(taught) :].sum()), left_out, measuring, absent
    )


def _check_labels(decided: Mapping[int, str], known: set[str]) -> None:
    unknown = sorted(set(decided.values()) - known - {LEFT_OUT})
    if unknown:
        raise InvalidData(f"The decisions have labels that are no article type: {', '.join(unknown[:5])}.")


def _pooled(engine: Engine, data: SplitData, rows: np.ndarray) -> np.ndarray:
    """Features of photos at these positions of the index, averaged over each, (n, 2048)."""
    pixels = data.pixels(engine.height, engine.width)
    return pooled_features(engine, pixels, rows) if len(rows) else np.zeros((0, 2048), np.float32)


def _pooled_pixels(engine: Engine, pictures: list[np.ndarray]) -> np.ndarray:
    batches = [np.stack(pictures[start : start + BATCH]) for start in range(0, len(pictures), BATCH)]
    pooled = [engine.run(batch).features.mean(axis=(2, 3)) for batch in batches]
    return np.concatenate([np.zeros((0, 2048), np.float32), *pooled])


def _replayed_rows(data: SplitData, lesson: Lesson) -> np.ndarray:
    rows = np.concatenate([data.rows("train", kind) for kind in (PRODUCT, PHONE, WORN)])
    rows = rows[~np.isin(rows, lesson.left_out)]
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_REPLAYED)).round().astype(int)]


def _seen(engine: Engine, data: SplitData) -> Seen:
    def look(part: str, kind: str) -> tuple[np.ndarray, np.ndarray]:
        rows = data.rows(part, kind)
        return rows, _pooled(engine, data, rows)

    elsewhere = {kind: {part: look(part, kind) for part in PARTS} for kind in kinds_elsewhere(data)}
    return Seen({part: look(part, PRODUCT) for part in PARTS}, elsewhere)


def _strongest(
    old: Head, replayed: np.ndarray, lesson: Lesson, targets: Targets, seen: Seen, data: SplitData, recipe: Recipe
) -> tuple[Head, float]:
    """The head with the strongest corrections that validation bears, and their strength. Raises InvalidData if it bears none."""
    least = _quality(old, seen, data, recipe) - MOST_LOST
    for strength in STRENGTHS:
        head = fit(old, replayed, lesson.pooled, lesson.goals, targets.members, strength)
        if _quality(head, seen, data, recipe) >= least:
            return head, strength
    raise InvalidData(
        f"{lesson.words} However weakly they are learned, validation loses more than {MOST_LOST:.1%}. Nothing was written."
    )


def fit(
    old: Head, replayed: np.ndarray, taught: np.ndarray, goals: np.ndarray, members: np.ndarray, strength: float
) -> Head:
    """The head that learns corrections and otherwise says what the old one says; in half precision, as it is stored.

    Args:
        old: to start from.
        replayed: features of photos on which nothing should change, (n, 2048).
        taught: features of the corrected photos, (m, 2048).
        goals: int (m,), their targets.
        members: bool (n_targets, n_outputs), the outputs that each target allows.
        strength: weight of the mean loss of the corrections against that of the replayed photos.
    """
    replayed_, taught_, goals_, members_ = map(torch.from_numpy, (replayed, taught, goals, members))
    weight, bias = (torch.from_numpy(part.copy()).requires_grad_() for part in (old.weight, old.bias))
    said = torch.from_numpy(old.outputs(replayed)).softmax(1)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        kept = -(said * (replayed_ @ weight.T + bias).log_softmax(1)).sum(1).mean()
        learned = allowed_set_cross_entropy(taught_ @ weight.T + bias, goals_, members_, 0.0)
        total = kept + strength * learned
        total.backward()
        return total

    optimiser.step(loss)  # pyright: ignore[reportArgumentType]
    return Head(*(part.detach().half().float().numpy() for part in (weight, bias)))


def _scored(head: Head, seen: Seen, data: SplitData, recipe: Recipe, part: str) -> tuple[Scored, dict[str, Coarse]]:
    """A part's products, and its photos from elsewhere by kind, as a head answers."""
    classes, n = recipe.class_list(), len(recipe.labels())
    rows, pooled = seen.products[part]
    coarse = {
        kind: coarse_of(data, parts[part][0], head.logits(parts[part][1], n), kind, classes)
        for kind, parts in seen.elsewhere.items()
    }
    return Scored(rows, head.logits(pooled, n), data.targets[rows]), coarse


def _quality(head: Head, seen: Seen, data: SplitData, recipe: Recipe) -> float:
    """Mean over the kinds of validation photos of the share that is right."""
    products, coarse = _scored(head, seen, data, recipe, "val")
    known = products.known
    right = float((known.logits.argmax(axis=1) == known.targets).mean())
    return float(np.mean([right, *(photos.hits(np.zeros(1)) for photos in coarse.values() if photos.known.any())]))


def _test_predictions(
    head: Head, seen: Seen, data: SplitData, recipe: Recipe, decided: Mapping[int, str], temperature: float
) -> Predictions:
    """The test photos of the classes as a head answers, with the labels that were decided."""
    known, labels = _scored(head, seen, data, recipe, "test")[0].known, recipe.labels()
    table = predictions_table(known.logits, known.rows, data, labels, temperature)
    table["label"] = [decided.get(photo, label) for photo, label in zip(table["id"], table["label"], strict=True)]
    return predictions_from_table(table.loc[table["label"].isin(labels.names).to_numpy()], "test photos", labels)


def _write(
    run: Run, head: Head, seen: Seen, data: SplitData, recipe: Recipe, lesson: Lesson, strength: float, runs: Path
) -> Run:
    """The run with the new head and what follows from it; what its head has no bearing on stays as it was."""
    folder = runs / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{recipe.name}-head"
    with new_folder(folder) as partial:
        for name in run.facts.files:
            shutil.copyfile(run.path(name), partial / name)
        state = load_file(run.path("model.safetensors"))
        new = {"fc.weight": torch.from_numpy(head.weight), "fc.bias": torch.from_numpy(head.bias)}
        save_weights(state | new, partial / "model.safetensors")
        _close(run, partial, folder.name, head, seen, data, recipe, _note(run, lesson, strength))
    return Run.load(folder)


def _note(run: Run, lesson: Lesson, strength: float) -> str:
    return (
        f"The head of {run.run_id}, fitted again on {len(lesson.goals)} reviewed corrections (strength {strength:g}); "
        "robustness, heat maps and the detector were not measured again."
    )


def _close(
    run: Run, folder: Path, run_id: str, head: Head, seen: Seen, data: SplitData, recipe: Recipe, note: str
) -> None:
    scored = {part: _scored(head, seen, data, recipe, part) for part in PARTS}
    products = {part: (scored[part][0], seen.products[part][1]) for part in PARTS}
    coarse = {kind: {part: scored[part][1][kind] for part in PARTS} for kind in seen.elsewhere}
    weights = {"model.safetensors": sha256_of(folder / "model.safetensors")}
    measured, said = measure_predictions(
        Run(folder, run.manifest | {"files": weights}), recipe.class_list(), data, products, coarse
    )
    carried = {name: value for name, value in run.read_json("metrics.json").items() if name in CARRIED}
    write_json(folder / "metrics.json", measured | carried)
    close(folder, _described(run, run_id, note) | said)


def _described(run: Run, run_id: str, note: str) -> dict[str, Any]:
    kept = {name: value for name, value in run.manifest.items() if name not in ("files", "export")}
    return kept | {
        "run_id": run_id,
        "name": f"{run.name}, refitted head",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(),
        "initial_weights": run.run_id,
        "quantisation": {"accepted": run.facts.quantisation.accepted},  # its figures were the former head's
        "notes": [*run.facts.notes, note],
    }
