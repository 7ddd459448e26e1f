"""Turn a finished training into a complete run folder: weights, measures, and the manifest last."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from core.artifacts import heartbeat
from core.artifacts.manifest import TypeCalibration
from core.artifacts.predictions import VALIDATION_FILE
from core.artifacts.run import NETWORK, SCHEMA, STAGE_NETWORK, Run, sha256_of
from core.errors import TrainingStopped
from core.files import replaced
from core.inference.engine import Engine
from core.inference.model import IMAGENET_MEAN, IMAGENET_STD, against_background, load_network, save_weights
from core.inference.onnx_graph import QUANTISATION, head_of
from core.inference.postprocess import softmax
from train import explain, robustness
from train.all_types import fit_types, measure_types, type_targets
from train.attributes import write_attributes
from train.catalogue import PHONE, WORN
from train.checkpoint import load_checkpoint
from train.config import Recipe, Stage
from train.dataset import decoded
from train.embedding import write_embedding
from train.evaluate import (
    Coarse,
    Scored,
    best_strength,
    calibrate,
    coarse_metrics,
    coarse_predictions_table,
    latency,
    metrics,
    predictions_table,
    sampling_shift,
    scope_by_kind,
    scope_scores_table,
    score,
    score_and_pool,
    score_coarse,
)
from train.folder import Progress, write_csv, write_json
from train.loop import State, normalise, positions
from train.meter import meter
from train.neighbours import write_index
from train.quantise import quantise
from train.splits import SplitData
from train.targets import ClassList

PROOF_PHOTOS = 64
LATENCY_PHOTOS = 16
ROBUSTNESS_PHOTOS = 300  # each passes ten times
PARTS = {"val": "validation", "test": "test"}  # splits that are measured, and what `metrics.json` calls them
PRIVATE_FILES = ("checkpoint.safetensors", "best.safetensors", "resume.json", heartbeat.FILE, ".lock")


def finish(folder: Path, recipe: Recipe, init: str, data: SplitData, state: State, progress: Progress) -> Run:
    """Export the best weights, score them once, and complete the folder. Running it again gives the same folder."""
    with progress.beating():
        progress.update(now=True, state="exporting")
        best = load_checkpoint(folder / "best.safetensors")["network"]
        _export_weights(folder / NETWORK, best)
        for number in range(1, len(recipe.stages) + 1) if recipe.stage_weights else ():
            weights = load_checkpoint(folder / f"stage{number}.safetensors")["network"]
            _export_weights(folder / STAGE_NETWORK.format(number), weights)
        manifest = _described(folder, recipe, init, data, state)
        if recipe.sampler != "natural":
            engine = Engine(_partial_run(folder, manifest), quantised=False)
            manifest |= _corrected_for_sampler(folder, recipe, data, best, engine)
        manifest["quantisation"] = quantise(_partial_run(folder, manifest), data, recipe.seed)
        progress.update(now=True, state="evaluating")
        manifest |= _measured(_partial_run(folder, manifest), recipe, data)
        _write_stage_predictions(folder, recipe, data, manifest["temperature"])
        progress.update(now=True, state="finished")
    return close(folder, manifest)


def remeasure(run: Run, recipe: Recipe, data: SplitData) -> Run:
    """Measure a finished run again with everything that this version measures, as it is then served: in 8-bit integers where accepted."""
    manifest = {key: value for key, value in run.manifest.items() if key != "files"}
    manifest["quantisation"] = quantise(_partial_run(run.folder, manifest), data, recipe.seed)
    of_detector = {name: value for name, value in run.read_json("metrics.json").items() if name == "detector"}
    manifest |= _measured(_partial_run(run.folder, manifest), recipe, data)
    metrics = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    write_json(run.folder / "metrics.json", metrics | of_detector)
    return close(run.folder, manifest)


def _measured(run: Run, recipe: Recipe, data: SplitData) -> dict[str, Any]:
    """Write all measures of the network as it is served; returns what the manifest says of calibration, scope and export.

    It is served on a processor, in integers where those were accepted, so it is measured there even on a machine with a GPU.
    """
    return _evaluated(run, recipe, data, Engine(run, processor=True)) | {"export": _prove_equal(run, data)}


def _evaluated(run: Run, recipe: Recipe, data: SplitData, engine: Engine) -> dict[str, Any]:
    """Write all measures but the stages'; returns what the manifest says of calibration and scope."""
    classes, pixels, folder = recipe.class_list(), data.pixels(engine.height, engine.width), run.folder
    products = {part: score_and_pool(engine, data, data.rows(part)) for part in PARTS}
    coarse = {
        kind: {part: score_coarse(engine, data, part, kind, classes) for part in PARTS}
        for kind in kinds_elsewhere(data)
    }
    measured, said = measure_predictions(run, classes, data, products, coarse)
    known = products["test"][0].known
    measured["latency"] = latency(engine, pixels[products["test"][0].rows[:LATENCY_PHOTOS]])
    some = np.linspace(0, len(known.rows) - 1, min(len(known.rows), ROBUSTNESS_PHOTOS)).round().astype(int)
    measured["robustness"] = robustness.measure(
        engine, decoded(data.index, known.rows[some]), known.targets[some], said["in_scope"]["threshold"]
    )
    measured["heat_maps"] = _heat_maps(run, data, classes, engine, known.rows, said["temperature"])
    measured["attributes"] = write_attributes(folder, data, classes, engine)
    write_json(folder / "metrics.json", measured)
    write_index(folder, data, engine)
    write_embedding(folder, data, engine)
    return said


def measure_predictions(
    run: Run,
    classes: ClassList,
    data: SplitData,
    products: Mapping[str, tuple[Scored, np.ndarray]],
    coarse: Mapping[str, Mapping[str, Coarse]],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Calibrate on validation, write the files of predictions, and measure what follows from logits and pooled features alone.

    Args:
        run: whose head gave the logits.
        classes: of the run.
        data: the photos.
        products: of each of PARTS, with their pooled features.
        coarse: photos from elsewhere, by kind and part.

    Returns:
        What `metrics.json` says of them, and what the manifest says of calibration and scope.
    """
    folder, labels = run.folder, classes.labels
    temperature, scope = calibrate(products["val"][0], [parts["val"] for parts in coarse.values()])
    measured: dict[str, Any] = {}
    for part, name in PARTS.items():
        scored = products[part][0]
        measured[name] = metrics(scored, labels, temperature, scope["threshold"])
        measured[name]["in_scope"]["kinds"] = scope_by_kind(scored, data, classes, scope["threshold"])
    for kind, parts in coarse.items():
        measured[kind] = {
            name: coarse_metrics(parts[part], classes, temperature, scope["threshold"]) for part, name in PARTS.items()
        }
        write_csv(folder / f"predictions_{kind}.csv", coarse_predictions_table(parts["test"], labels, temperature))
    (validation, of_validation), (test, of_test) = products["val"], products["test"]
    calibration, measured["all_types"] = _all_types(run, data, (validation.rows, of_validation), (test.rows, of_test))
    for name, of in (("predictions.csv", test.known), (VALIDATION_FILE, validation.known)):
        write_csv(folder / name, predictions_table(of.logits, of.rows, data, labels, temperature))
    write_csv(folder / "scope_scores.csv", scope_scores_table(test, data, classes))
    said = {"temperature": temperature, "in_scope": scope, "all_types": msgspec.structs.asdict(calibration)}
    return measured, said


def _heat_maps(
    run: Run, data: SplitData, classes: ClassList, engine: Engine, rows: np.ndarray, temperature: float
) -> dict[str, Any]:
    """Measures of the heat maps on the test photos of the classes at `rows`, and on worn garments, for `metrics.json`."""
    explainer = explain.Explainer(run, engine)
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), explain.MOST_PHOTOS)).round().astype(int)]
    return {
        **explain.curves(
            explainer, meter(decoded(data.index, some), "testing heat maps", "photos", len(some)), temperature
        ),
        "pointing": explain.pointing(explainer, data, classes),
    }


def _all_types(
    run: Run, data: SplitData, validation: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]
) -> tuple[TypeCalibration, dict[str, Any]]:
    """How the outputs become probabilities of all product types, and how good these are on test, for `metrics.json`.

    Args:
        run: whose head gives the outputs.
        data: the photos.
        validation: positions of the products in the index, and their pooled features.
        test: the same of the test split.
    """
    types, n_classes = (*run.labels.names, *run.facts.background), len(run.labels)
    weight, bias = head_of(run.path("model.safetensors"))
    known = data.index.photos["articleType"].to_numpy()
    (val_outputs, val_targets), (outputs, targets) = (
        (pooled @ weight.T + bias, type_targets(known[rows], types)) for rows, pooled in (validation, test)
    )
    calibration = fit_types(val_outputs, val_targets, n_classes)
    return calibration, measure_types(outputs, targets, types, n_classes, calibration)


def rewrite_attributes(run: Run, recipe: Recipe, data: SplitData) -> Run:
    """Fit the attributes' heads of a finished run again, its network and other figures unchanged."""
    manifest = {key: value for key, value in run.manifest.items() if key != "files"}
    attributes = write_attributes(run.folder, data, recipe.class_list(), Engine(run, processor=True))
    write_json(run.folder / "metrics.json", run.read_json("metrics.json") | {"attributes": attributes})
    return close(run.folder, manifest)


def kinds_elsewhere(data: SplitData) -> list[str]:
    """Kinds of photos beside the products that validation has."""
    return [kind for kind in (PHONE, WORN) if len(data.rows("val", kind))]


def _best_stage(recipe: Recipe, state: State) -> Stage:
    """The stage of the best epoch: its input size is what the exported weights were chosen at."""
    return recipe.stages[positions(recipe)[state.best["epoch"] - 1].stage]


def _export_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    with replaced(path) as partial:
        try:
            save_weights(weights, partial)
        except ValueError as error:
            raise TrainingStopped(
                f"The weights cannot be exported: {error}. Train with a lower learning rate."
            ) from None


def _corrected_for_sampler(
    folder: Path, recipe: Recipe, data: SplitData, best: dict[str, torch.Tensor], engine: Engine
) -> dict[str, Any]:
    """Export again with the frequencies of the data in the head's bias, as far as that serves on validation; notes the strength."""
    n_classes = len(recipe.labels())
    shift = sampling_shift(data.targets[data.known_rows("train")], n_classes, recipe.sampler)
    elsewhere = [score_coarse(engine, data, "val", kind, recipe.class_list()) for kind in kinds_elsewhere(data)]
    known = [photos for photos in elsewhere if photos.known.any()]
    strength = best_strength(score(engine, data, data.known_rows("val")), known, shift)
    bias = best["fc.bias"].clone()
    bias[:n_classes] += torch.from_numpy(strength * shift).to(bias)
    _export_weights(folder / NETWORK, best | {"fc.bias": bias})
    return {"sampler_correction": strength}


def _described(folder: Path, recipe: Recipe, init: str, data: SplitData, state: State) -> dict[str, Any]:
    stage = _best_stage(recipe, state)
    return {
        "schema": SCHEMA,
        "run_id": folder.name,
        "name": f"{recipe.name} recipe, {stage.height}x{stage.width}",
        "origin": "measured",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(),
        "architecture": "resnet50",
        "output_stride": recipe.output_stride,
        "recipe": recipe.name,
        "initial_weights": Path(init).name,
        "groups": {group: list(names) for group, names in recipe.labels().groups.items()},
        "background": list(data.training_targets(recipe).background),
        "input": {"height": stage.height, "width": stage.width, "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)},
        "data_fingerprint": data.index.fingerprint,
        "stages": [{"name": s.name, "unfrozen": s.unfreeze, "epochs": s.epochs} for s in recipe.stages],
        "best_epoch": state.best["epoch"],
        "notes": [],
    }


def git_commit() -> str | None:
    """The commit of this code; None where it was not cloned."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _partial_run(folder: Path, manifest: dict[str, Any]) -> Run:
    """The run as far as serving needs it: half precision and integers are part of what is measured."""
    served = [path for path in (folder / "model.safetensors", folder / QUANTISATION) if path.exists()]
    return Run(folder, manifest | {"files": {path.name: sha256_of(path) for path in served}})


def _write_stage_predictions(folder: Path, recipe: Recipe, data: SplitData, temperature: float) -> None:
    labels, rows = recipe.labels(), data.known_rows("val")
    for stage in range(1, len(recipe.stages) + 1):
        logits = load_checkpoint(folder / f"validation_stage{stage}.safetensors")["logits"].numpy()
        table = predictions_table(logits, rows, data, labels, temperature)
        write_csv(folder / f"validation_stage{stage}.csv", table)


@torch.no_grad()
def _prove_equal(run: Run, data: SplitData) -> dict[str, Any]:
    """Largest difference of probabilities between the serving engine in float32 and the PyTorch definition, on real photos."""
    engine, network = (
        Engine(run, quantised=False, processor=True),
        load_network(run.path("model.safetensors"), run.facts.output_stride),
    )
    pixels = data.pixels(engine.height, engine.width)[data.known_rows("test")[:PROOF_PHOTOS]]
    outputs = network(normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255))
    reference = against_background(outputs, len(run.labels)).numpy()
    difference = np.abs(softmax(engine.run(pixels).logits) - softmax(reference)).max()
    return {"photos": len(pixels), "max_probability_difference": float(difference)}


def close(folder: Path, manifest: dict[str, Any]) -> Run:
    """Write the manifest over what is there, then drop what only an unfinished run needs."""
    files = sorted(set(folder.iterdir()) - _private_files(folder) - {folder / "manifest.json"})
    write_json(folder / "manifest.json", manifest | {"files": {path.name: sha256_of(path) for path in files}})
    drop_private_files(folder)
    return Run.load(folder)


def _private_files(folder: Path) -> set[Path]:
    by_stage = {path for pattern in ("validation_stage*", "stage*") for path in folder.glob(f"{pattern}.safetensors")}
    return {folder / name for name in PRIVATE_FILES} | by_stage


def drop_private_files(folder: Path) -> None:
    """Remove from a finished run's folder what only an unfinished run needs."""
    for path in _private_files(folder):
        path.unlink(missing_ok=True)
