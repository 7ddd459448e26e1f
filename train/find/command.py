"""Give a finished run a detector: features, head, thresholds chosen on validation, measures, and the manifest last. Every step resumes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.artifacts.run import Run, sha256_of
from core.errors import InvalidData
from core.files import replaced
from core.inference.classifier import Classifier
from core.inference.detector_graph import DETECTOR, DetectorSettings
from train.config import DetectorTraining
from train.find.evaluate import MATCH, best_match, garments_of, measured, milliseconds
from train.find.examples import Examples
from train.find.features import Network, cached, loaded, projection
from train.find.fit import fit
from train.find.head import DetectorHead
from train.folder import write_json
from train.meter import meter

MOST_BYTES = 8_000_000  # of the detector's file
TIMED_PHOTOS = 8
EVERYTHING = -1e9  # an in-scope score below that of any photo
RECALL_WEIGHT = (
    2.0  # how much more recall counts than precision where thresholds are chosen: a box too many is soon removed
)


def add_detector(run: Run, examples: Examples, training: DetectorTraining, cache: Path) -> dict[str, Any]:
    """Teach, choose thresholds, measure and write; returns what `metrics.json` says of the test split.

    Args:
        run: a whole one; its folder gets the detector.
        examples: in the splits of the run.
        training: settings.
        cache: for features and the checkpoint, which go when the detector is whole.

    Raises:
        InvalidData: there are no street photos to learn from.
        OSError: the disk is full or not writable; the same command goes on.
    """
    if not (examples.street_files("train") and examples.street_files("val")):
        raise InvalidData(
            "The detector learns from street photos with masks, and the data has none. Give such a --data."
        )
    folder = cache / f"detector-{run.manifest['files']['model.safetensors'][:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    network = Network(run)
    project = projection(network, examples, folder)
    scenes = list(loaded(cached(network, project, examples, folder)))
    head = fit(scenes, len(examples.groups), len(examples.garment_groups), training, folder).with_projection(project)
    settings = DetectorSettings(examples.groups, len(examples.garment_groups))
    rows = _finish(run, _weights(head), settings, examples, {"scenes": len(scenes), "training": training.model_dump()})
    shutil.rmtree(folder)
    return rows


def remeasure_detector(run: Run, examples: Examples) -> dict[str, Any]:
    """Choose the thresholds of a run's detector anew and measure it as this version does, its weights unchanged.

    Args:
        run: with a detector.
        examples: in the splits of the run.

    Returns:
        What `metrics.json` says of the test split.
    """
    path = run.folder / DETECTOR
    settings = replace(DetectorSettings.of(path), least_score=0.0)
    return _finish(run, load_file(path), settings, examples, run.manifest["detector"])


def _weights(head: DetectorHead) -> dict[str, Tensor]:
    """The head's weights as they are stored, in half precision."""
    state = {name: value for name, value in head.state_dict().items() if not name.endswith("num_batches_tracked")}
    return {name: value.half().contiguous() for name, value in state.items()}


def _finish(
    run: Run, weights: dict[str, Tensor], settings: DetectorSettings, examples: Examples, described: dict[str, Any]
) -> dict[str, Any]:
    """Choose thresholds, measure, and write the manifest last."""
    run = _with_head(run, weights, replace(settings, scope_threshold=EVERYTHING))
    settings = chosen(Classifier(run), examples, settings)
    run = _with_head(run, weights, settings)
    return _close(run, examples, settings, described)


def _with_head(run: Run, weights: dict[str, Tensor], settings: DetectorSettings) -> Run:
    """The run with the head in its folder, as the manifest does not yet say."""
    path = run.folder / DETECTOR
    with replaced(path) as partial:
        save_file(weights, partial, settings.as_metadata())
    assert path.stat().st_size <= MOST_BYTES
    return Run(run.folder, run.manifest | {"files": run.manifest["files"] | {DETECTOR: sha256_of(path)}})


@dataclass(frozen=True)
class Find:
    """What became of one find in a photo.

    Args:
        score: of the detector.
        in_scope_score: of the classifier.
        right: whether it is a garment.
        matches: numbers of the photos' garments of the classes that it finds.
    """

    score: float
    in_scope_score: float
    right: bool
    matches: frozenset[int]


def chosen(classifier: Classifier, examples: Examples, settings: DetectorSettings) -> DetectorSettings:
    """The thresholds of score and in-scope score with the best weighted harmonic mean of recall and precision on validation.

    Args:
        classifier: with a detector that drops nothing.
        examples: with validation photos.
        settings: to be completed.
    """
    finds, truths = _validation_finds(classifier, examples)
    best, goal = settings, -1.0
    for least_score in np.linspace(0.2, 0.8, 13):
        for scope in np.quantile([find.in_scope_score for find in finds], np.linspace(0, 0.3, 13)) if finds else []:
            kept = [find for find in finds if find.score >= least_score and find.in_scope_score >= scope]
            recall = len(frozenset[int]().union(*(find.matches for find in kept))) / max(1, truths)
            precision = sum(find.right for find in kept) / max(1, len(kept))
            value = (1 + RECALL_WEIGHT) * recall * precision / max(1e-9, RECALL_WEIGHT * precision + recall)
            if value > goal:
                goal, best = value, replace(settings, least_score=float(least_score), scope_threshold=float(scope))
    return best


def _validation_finds(classifier: Classifier, examples: Examples) -> tuple[list[Find], int]:
    """Every find in the validation street photos, and the number of garments of the classes there."""
    finds: list[Find] = []
    count = 0
    for source, file in meter(examples.street_files("val"), "choosing thresholds", "photos"):
        image, mask = examples.street_photo(source, file)
        truths = garments_of(examples, mask, source.values)
        wanted = [truth for truth in truths if truth.allowed]
        for one in classifier.find(image, out_of_scope=True):
            right = best_match(one.region, [truth.region for truth in truths])[1] >= MATCH
            matches = {count + i for i, t in enumerate(wanted) if best_match(t.region, [one.region])[1] >= MATCH}
            finds.append(Find(one.score, one.answer.score, right, frozenset(matches)))
        count += len(wanted)
    return finds, count


def _close(run: Run, examples: Examples, settings: DetectorSettings, described: dict[str, Any]) -> dict[str, Any]:
    """Measure, and write the metrics and then the manifest; returns the rows of the test split."""
    classifier = Classifier(run)
    photos = [examples.street_photo(*file)[0] for file in examples.street_files("val")[:TIMED_PHOTOS]]
    metrics = run.read_json("metrics.json")
    rows = measured(classifier, examples, "test")
    metrics["detector"] = {"test": rows, "milliseconds": milliseconds(classifier, photos)}
    write_json(run.folder / "metrics.json", metrics)
    files = run.manifest["files"] | {"metrics.json": sha256_of(run.folder / "metrics.json")}
    described = described | {
        "groups": list(settings.groups),
        "least_score": settings.least_score,
        "scope_threshold": settings.scope_threshold,
    }
    write_json(run.folder / "manifest.json", run.manifest | {"files": files, "detector": described})
    return rows


def in_words(rows: dict[str, Any]) -> str:
    """The rows of a split in a few lines."""
    street, sheets, phone = rows["street"], rows["sheets"], rows["phone"]
    shown = (
        ("garments of the classes found (IoU 0.5)", street["recall"]),
        ("found and given an allowed class", street["allowed_class"]),
        ("dresses found", street["dresses"]),
        ("finds that are a garment", street["precision"]),
        ("sheets of two products, found", sheets["recall"]),
        ("laid-out phone photos: one box (IoU 0.7)", phone["one_close_box"]),
    )
    return "\n".join(f"{name:44} {_percent(value)}" for name, value in shown)


def _percent(value: dict[str, Any]) -> str:
    if value["value"] is None:
        return "not measured"
    return f"{value['value']:.1%} ({value['low']:.1%} to {value['high']:.1%}, n = {value['n']})"
