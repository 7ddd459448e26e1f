"""Run folders as the trainer leaves them, made up: whole ones, and ones still in training."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.artifacts.labels import LabelSet
from core.artifacts.run import SCHEMA, Run, sha256_of
from tests.conftest import GROUPS
from tests.prediction_tables import prediction_table

LABELS = LabelSet.from_json(GROUPS)
IMAGES = 640  # trained on in each epoch
BATCH = 64
# Name, blocks that join, trainable parameters in all, peak learning rate.
STAGES = (
    ("head", ["head"], 30_735, 1e-3),
    ("+ layer4", ["layer4"], 14_995_471, 1e-3),
    ("+ layer3", ["layer3"], 22_093_839, 5e-4),
    ("everything", ["layer2", "layer1", "stem"], 23_538_767, 4e-4),
)


def history_table(epochs: tuple[int, ...] = (1, 2, 1, 4), seed: int = 0) -> pd.DataFrame:
    """A training that learns; `epochs` of each stage."""
    random = np.random.default_rng(seed)
    stage = np.repeat(np.arange(len(epochs)), epochs)
    epoch = np.arange(1, len(stage) + 1)
    train = 0.95 - 0.5 * np.exp(-epoch / len(stage) * 3) + random.normal(0, 0.005, len(stage))
    val = 0.9 - 0.4 * np.exp(-epoch / len(stage) * 4) + random.normal(0, 0.005, len(stage))
    seconds = random.uniform(20, 40, len(stage)).round(3)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "stage": stage + 1,
            "stage_name": [STAGES[i][0] for i in stage],
            "trainable_parameters": [STAGES[i][2] for i in stage],
            "lr": [STAGES[i][3] for i in stage],
            "train_loss": (-np.log(train)).round(6),
            "train_accuracy": train.round(6),
            "val_loss": (-np.log(val)).round(6),
            "val_accuracy": val.round(6),
            "val_macro_f1": (val - 0.1).round(6),
            "images": IMAGES,
            "seconds": seconds,
            "images_per_second": (IMAGES / seconds).round(3),
            "device": "cpu",
        }
    )


def config(epochs: tuple[int, ...], **settings: Any) -> dict[str, Any]:
    """The settings of such a training."""
    stages = [
        {"name": name, "unfreeze": blocks, "epochs": n, "lr": lr}
        for (name, blocks, _, lr), n in zip(STAGES, epochs, strict=True)
    ]
    resolved = {"name": "default", "stages": stages, "batch_size": BATCH, "sampler": "natural", "init": "imagenet"}
    return {"given": {"recipe": "default"}, "resolved": resolved | settings}


def data_report() -> dict[str, Any]:
    """What such a training indexed."""
    sizes = {"train": 9, "val": 2, "test": 3}
    return {
        "sources": ["catalogue.zip"],
        "photos": 250,
        "in_scope": sum(sizes.values()) * len(LABELS),
        "classes": dict.fromkeys(LABELS.names, sizes),
        "splits": {part: n * len(LABELS) for part, n in sizes.items()},
        "near_duplicates": {"groups": 4, "photos": 9},
        "custom": {"ids_from": 60001, "appended": 5, "loaded": 3, "failed": [60002, 60004], "split": "train"},
        "problems": ["photo 60002 is missing", "photo 60004 is damaged"],
    }


def write_run(
    runs: Path,
    run_id: str,
    epochs: tuple[int, ...] = (1, 2, 1, 4),
    history: pd.DataFrame | None = None,
    settings: dict[str, Any] | None = None,
    weights: bytes | None = None,
    validation: float = 0.85,
    **manifest: Any,
) -> Run:
    """A whole run folder with every file of the contract, weights only if given.

    Args:
        runs: the folder of runs.
        run_id: also the folder's name.
        epochs: of each of the four stages.
        history: instead of a made-up one.
        settings: over those of `config`.
        weights: content of `model.safetensors`.
        validation: accuracy, macro-F1 and every class's F1 on the validation split.
        manifest: fields over those made up.
    """
    folder = runs / run_id
    folder.mkdir(parents=True)
    table = history_table(epochs) if history is None else history
    table.to_csv(folder / "history.csv", index=False)
    write_predictions(folder, len(epochs))
    if weights is not None:
        (folder / "model.safetensors").write_bytes(weights)
    accuracy = {"value": 0.9, "low": 0.87, "high": 0.92}
    documents = {
        "config.json": config(epochs, **(settings or {})),
        "data.json": data_report(),
        "metrics.json": {
            "test": {"photos": 300, "accuracy": accuracy, "macro_f1": 0.8},
            "validation": {
                "photos": 120,
                "accuracy": accuracy | {"value": validation},
                "macro_f1": validation,
                "classes": [{"class": name, "support": 40, "f1": validation} for name in ("Tshirts", "Shirts", "Tops")],
            },
        },
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document))
    fields = {
        "schema": SCHEMA,
        "run_id": run_id,
        "name": f"Run {run_id}",
        "origin": "measured",
        "created": "2026-01-01T00:00:00+00:00",
        "git_commit": None,
        "architecture": "resnet50",
        "recipe": "default",
        "initial_weights": "imagenet",
        "groups": GROUPS,
        "input": {"height": 96, "width": 72, "mean": [0.5] * 3, "std": [0.25] * 3},
        "temperature": 1.2,
        "stages": [
            {"name": name, "unfrozen": blocks, "epochs": n}
            for (name, blocks, *_), n in zip(STAGES, epochs, strict=True)
        ],
        "notes": [],
        "files": {path.name: sha256_of(path) for path in folder.iterdir()},
    }
    (folder / "manifest.json").write_text(json.dumps(fields | manifest))
    return Run.load(folder)


def write_predictions(folder: Path, stages: int) -> None:
    """Test predictions, and predictions of the same validation photos after each stage."""
    prediction_table(300, 0, LABELS).to_csv(folder / "predictions.csv", index=False)
    names, validation = list(LABELS.names), prediction_table(120, 1, LABELS)
    for stage in range(1, stages + 1):
        noise = np.exp(np.random.default_rng(stage).normal(size=(len(validation), len(names))))
        scores = validation[names].to_numpy() * noise
        validation[names] = (scores / scores.sum(axis=1, keepdims=True)).round(6)
        validation.to_csv(folder / f"validation_stage{stage}.csv", index=False)


def write_live_run(runs: Path, run_id: str, done: int = 0, **told: Any) -> Path:
    """A run in training: `done` epochs finished, the next one half way; `told` goes over what its trainer says."""
    folder = runs / run_id
    folder.mkdir(parents=True)
    epochs = (1, 2, 1, 4)
    table = history_table(epochs)
    if done:
        table[:done].to_csv(folder / "history.csv", index=False)
    (folder / "config.json").write_text(json.dumps(config(epochs)))
    (folder / "data.json").write_text(json.dumps(data_report()))
    now = table.iloc[min(done, len(table) - 1)]
    progress = {
        "run_id": run_id, "pid": 0, "host": "elsewhere", "state": "training", "message": "",
        "stage": int(now["stage"]), "stages": 4, "stage_name": now["stage_name"], "epoch": int(now["epoch"]),
        "epochs": len(table), "step": 5, "steps": 10, "train_loss": 0.5, "train_accuracy": 0.8,
        "images_per_second": 29.0, "seconds_left": 600.0, "updated": time.time(),
    }  # fmt: skip
    (folder / "progress.json").write_text(json.dumps(progress | told))
    return folder
