"""A small catalogue, a small recipe and a small network for the trainer's tests.

`python -m tests.train_cases ARGUMENTS` is `python -m train ARGUMENTS` with the small network, for tests that kill processes.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

from core.inference import model, onnx_graph
from train import pipeline
from train.__main__ import main

ROOT = Path(__file__).resolve().parent.parent
HEADER = ["id", "gender", "articleType", "baseColour", "season", "year", "usage", "productDisplayName"]
CLASSES = [
    *("Tshirts", "Shirts", "Tops", "Sweatshirts", "Jackets", "Sweaters", "Blazers", "Waistcoat"),
    *("Jeans", "Trousers", "Shorts", "Skirts", "Track Pants", "Leggings", "Swimwear"),
]
SETTINGS = {
    "name": "small",
    "batch_size": 16,
    "dropout": 0.2,
    "sampler": "square_root",
    "ema_decay": 0.5,
    "stage_weights": True,
    "val_fraction": 0.2,
    "test_fraction": 0.2,
    "seed": 7,
    "augmentation": {"min_scale": 0.7, "flip": 0.5, "rotation": 10.0, "brightness": 0.2, "erasing": 0.3, "mixup": 0.2},
    "stages": [
        {"name": "head", "unfreeze": ["head"], "epochs": 2, "lr": 1e-2, "height": 40, "width": 32},
        {"name": "+ layer4", "unfreeze": ["layer4"], "epochs": 2, "lr": 1e-3, "height": 40, "width": 32},
        {
            **{"name": "everything", "unfreeze": ["layer3", "layer2", "layer1", "stem"], "epochs": 2, "lr": 1e-3},
            **{"lr_decay_per_block": 0.5, "warmup_steps": 2, "height": 48, "width": 36},
        },
    ],
}


class SmallNet(model.GarmentNet):
    """ResNet50's modules and names with one thin block a layer: a hundred times less to compute."""

    def __init__(self, n_classes: int, dropout: float = 0.0, output_stride: int = 32):
        dilated = [False, False, output_stride == 16]
        ResNet.__init__(
            self,
            Bottleneck,
            [1, 1, 1, 1],
            num_classes=n_classes,
            width_per_group=4,
            replace_stride_with_dilation=dilated,
        )
        self.dropout = nn.Dropout(dropout)


def use_small_network(patched: pytest.MonkeyPatch) -> None:
    """The small network in place of ResNet50, in the trainer and in the engine that it exports to."""
    patched.setattr(model, "GarmentNet", SmallNet)
    patched.setattr(pipeline, "GarmentNet", SmallNet)
    patched.setattr(onnx_graph, "BLOCKS_PER_LAYER", (1, 1, 1, 1))


def settings(**changes) -> dict:
    """`SETTINGS` with changes at the top level."""
    return deepcopy(SETTINGS) | changes


def stage(unfreeze: list[str], epochs: int = 1, **changes) -> dict:
    return {
        "name": "+".join(unfreeze),
        "unfreeze": unfreeze,
        "epochs": epochs,
        "lr": 1e-3,
        "height": 32,
        "width": 32,
    } | changes


def recipe_file(path: Path, **changes) -> Path:
    """A recipe file with `SETTINGS` and changes."""
    values = settings(**changes)
    tables = {"[augmentation]": [values.pop("augmentation")], "[[stages]]": values.pop("stages")}
    if "shares" in values:
        tables["[shares]"] = [values.pop("shares")]
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    for title, rows in tables.items():
        lines += [
            f"{title}\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in row.items()) for row in rows
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def photo(number: int, size: tuple[int, int] = (30, 40)) -> Image.Image:
    """Coarse random blocks: no two numbers give near-duplicates."""
    blocks = np.random.default_rng(number).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)


def write_catalogue(folder: Path, rows: list[tuple[int, str]], size: tuple[int, int] = (30, 40)) -> Path:
    """`styles.csv` with these (id, articleType) rows and a photo for each; returns the folder."""
    (folder / "images").mkdir(parents=True)
    for photo_id, _ in rows:
        photo(photo_id, size).save(folder / "images" / f"{photo_id}.jpg", quality=95)
    with (folder / "styles.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows([i, "Men", kind, "Blue", "Summer", 2012, "Casual", f"{kind} {i}"] for i, kind in rows)
    return folder


def write_phone_photos(folder: Path, labels: list[str], senders: list[str] | None = None) -> Path:
    """`labels.csv` with these labels, and senders where they are given, and a photo for each; returns the folder."""
    (folder / "images").mkdir(parents=True)
    rows = [{"file": f"p{number}.jpg", "label": label} for number, label in enumerate(labels)]
    for number, row in enumerate(rows):
        photo(70_000 + number, (40, 40)).save(folder / "images" / row["file"], quality=95)
    table = pd.DataFrame(rows) if senders is None else pd.DataFrame(rows).assign(sender=senders)
    table.to_csv(folder / "labels.csv", index=False)
    return folder


STREET_SIZE = (48, 64)  # (width, height) of a street photo
GARMENT = (4, 10, 20, 30)  # left, top, right, bottom of the garment on it


def write_street_photos(folder: Path, worn: list[tuple[str, ...]]) -> Path:
    """A set of street photos with masks, each with the labels given, all in the box GARMENT (the later over the earlier)."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    values = {label: value for value, label in enumerate(sorted({label for labels in worn for label in labels}), 1)}
    left, top, right, bottom = GARMENT
    for number, labels in enumerate(worn):
        photo(80_000 + number, STREET_SIZE).save(folder / "images" / f"{number:04}.jpg", quality=95)
        mask = np.zeros(STREET_SIZE[::-1], np.uint8)
        for i, label in enumerate(labels):
            mask[top + i : bottom, left:right] = values[label]
        Image.fromarray(mask).save(folder / "masks" / f"{number:04}.png")
    rows = "".join(f"{value},{label}\n" for label, value in {"background": 0, **values}.items())
    (folder / "labels.csv").write_text(f"value,label\n{rows}", encoding="utf-8")
    return folder


def small_rows(per_class: int = 6, others: int = 10) -> list[tuple[int, str]]:
    """Rows of every class, a few of another product, and three custom ones."""
    kinds = [kind for kind in CLASSES for _ in range(per_class)] + ["Watches"] * others
    return [(1000 + i, kind) for i, kind in enumerate(kinds)] + [(60001 + i, "Tops") for i in range(3)]


def run_until(
    command: list[str], reached: Callable[[], bool], delay: float = 0.0, errors: int | IO = subprocess.DEVNULL
) -> int:
    """Run a command in the repository, and SIGKILL it `delay` seconds after `reached`; returns its exit status, -9 if killed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
    while process.poll() is None and not reached():
        time.sleep(0.02)
    time.sleep(delay)
    process.kill()
    return process.wait()


# Forks of a process that has imported everything and computed nothing: importing PyTorch takes longer than the small network's training.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.train_cases", "train.__main__"])


def start_small(arguments: list[str]) -> BaseProcess:
    """Start `python -m train ARGUMENTS` with the small network as a process of its own, which may be killed."""
    process = FORKS.Process(target=_train_small, args=(arguments,), daemon=True)
    process.start()
    return process


def _train_small(arguments: list[str]) -> None:
    with Path(os.devnull).open("wb") as nowhere:
        for output in (sys.stdout, sys.stderr):
            os.dup2(nowhere.fileno(), output.fileno())
    sys.exit(train_small(arguments))


def train_small(arguments: list[str]) -> int:
    """`python -m train ARGUMENTS` with the small network; returns its exit status."""
    with pytest.MonkeyPatch.context() as patched:
        use_small_network(patched)
        return main(arguments)


def kill_small(arguments: list[str], reached: Callable[[], bool], delay: float) -> int:
    """As `start_small`, with SIGKILL `delay` seconds after `reached`; returns the exit status, -9 if it was killed."""
    process = start_small(arguments)
    while process.is_alive() and not reached():
        time.sleep(0.02)
    time.sleep(delay)
    process.kill()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def epochs_done(folder: Path) -> int:
    """Rows of a run's history so far."""
    path = folder / "history.csv"
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


def differences(folder: Path, expected: Path) -> list[str]:
    """What two whole run folders differ in, times and names apart."""
    names = [sorted(path.name for path in f.iterdir()) for f in (folder, expected)]
    if names[0] != names[1]:
        return [f"files: {names[0]} and {names[1]}"]
    return [
        name for name in names[0] if name != "manifest.json" and _content(folder / name) != _content(expected / name)
    ]


def _content(path: Path) -> Any:
    if path.name == "history.csv":
        return (
            pd.read_csv(path)
            .drop(columns=["seconds", "images_per_second", "peak_memory_mib", "busy_cores", "energy_wh"])
            .to_csv()
        )
    if path.name == "metrics.json":
        return {part: values for part, values in json.loads(path.read_text()).items() if part != "latency"}
    return path.read_bytes()


if __name__ == "__main__":
    sys.exit(train_small(sys.argv[1:]))
