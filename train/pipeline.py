"""From data sets to a whole run folder: index, split, train, evaluate, export. Every step can be killed and resumed."""

from __future__ import annotations

import json
import os
import time
import traceback
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import distributed

from core.errors import InvalidData
from core.model import GarmentNet
from train.batches import PixelDataset
from train.config import Recipe, parse_recipe
from train.dataset import Index, build_index, cached_pixels, report, split
from train.distributed import World, join_world
from train.export import finish
from train.folder import only_trainer, write_csv, write_json
from train.initial_weights import initialise
from train.loop import Splits, Trainer


@dataclass(frozen=True)
class Job:
    """What a run needs besides its recipe; kept in `resume.json` until the run is whole, since its paths mean nothing elsewhere.

    Args:
        data: data sets, the first being the catalogue; later ones replace photos of the same id.
        init: initial weights, as `train.initial_weights.initialise` takes them.
        cache: folder for decoded pixels.
        device: `auto`, `cpu` or `cuda`.
    """

    data: list[str]
    init: str
    cache: str
    device: str


def start(recipe: Recipe, given: dict[str, Any], job: Job, runs: Path) -> Path:
    """Open a new run folder and carry the run out; returns the folder."""
    with join_world(job.device) as world:
        folder = runs / _same_everywhere(f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{recipe.name}", world)
        if world.leads:
            folder.mkdir(parents=True)
            write_json(folder / "resume.json", asdict(job))
            write_json(
                folder / "config.json",
                {"given": given, "resolved": recipe.model_dump() | {"init": Path(job.init).name}},
            )
        world.wait()
        _carry_out(folder, recipe, job, world)
    return folder


def resume(folder: Path, device: str) -> None:
    """Continue the run in a folder from its last whole epoch.

    Raises:
        InvalidData: the folder holds no unfinished run.
    """
    if (folder / "manifest.json").exists():
        raise InvalidData(f"{folder} is whole already; there is nothing to resume.")
    try:
        job = Job(**json.loads((folder / "resume.json").read_text()))
        settings = json.loads((folder / "config.json").read_text())["resolved"]
    except (OSError, ValueError) as error:
        raise InvalidData(f"{folder} holds no run that can be resumed ({error}).") from None
    settings.pop("init")
    with join_world(device) as world:
        _carry_out(folder, parse_recipe(settings, f"{folder}/config.json"), job, world)


def _same_everywhere(value: str, world: World) -> str:
    box = [value]
    if world.size > 1:
        distributed.broadcast_object_list(box, src=0)
    return box[0]


def _carry_out(folder: Path, recipe: Recipe, job: Job, world: World) -> None:
    with only_trainer(folder) if world.leads else nullcontext():
        try:
            _run(folder, recipe, job, world)
        except BaseException as error:
            if world.leads:
                _note_the_end(folder, error)
            raise


def _run(folder: Path, recipe: Recipe, job: Job, world: World) -> None:
    labels = recipe.labels()
    index, splits = _prepared(recipe, job, world)
    if world.leads:
        write_json(folder / "data.json", report(index, splits, labels, recipe))
        write_csv(folder / "splits.csv", _split_table(index, splits))
    network = GarmentNet(len(labels), recipe.dropout)
    coverage = initialise(network, job.init)
    if world.leads:
        print(f"Initial weights: {Path(job.init).name}: {coverage}.")
    sizes = {(stage.height, stage.width) for stage in recipe.stages}
    trainer = Trainer(network, recipe, {size: _splits(index, splits, size, job) for size in sizes}, folder, world)
    state = trainer.run()
    if trainer.progress:
        finish(folder, recipe, job.init, index, splits, state, Path(job.cache), trainer.progress)


def _prepared(recipe: Recipe, job: Job, world: World) -> tuple[Index, pd.DataFrame]:
    """Index and splits; the leading process decodes the photos, the others wait and then find them in the cache."""
    if not world.leads:
        world.wait()
    index = build_index([Path(path) for path in job.data], recipe.labels(), Path(job.cache))
    for size in sorted({(stage.height, stage.width) for stage in recipe.stages}):
        cached_pixels(index, *size, Path(job.cache))
    splits = split(index, recipe)
    if world.leads:
        world.wait()
    return index, splits


def _split_table(index: Index, splits: pd.DataFrame) -> pd.DataFrame:
    return splits.assign(id=index.photos["id"])[["id", "split", "duplicate_group"]].loc[index.in_scope]


def _splits(index: Index, splits: pd.DataFrame, size: tuple[int, int], job: Job) -> Splits:
    pixels = cached_pixels(index, *size, Path(job.cache))

    def part(name: str) -> PixelDataset:
        rows = np.flatnonzero((splits["split"] == name) & index.in_scope)
        return PixelDataset(pixels, rows, index.photos["target"].to_numpy()[rows])

    return Splits(part("train"), part("val"))


def _note_the_end(folder: Path, error: BaseException) -> None:
    """Leave in `progress.json` why the trainer stopped, so that whoever watches the run learns it."""
    path = folder / "progress.json"
    try:
        fields = json.loads(path.read_text()) if path.exists() else {"run_id": folder.name, "pid": os.getpid()}
        reason = (
            "interrupted"
            if isinstance(error, KeyboardInterrupt)
            else str(error) or traceback.format_exception_only(error)[0]
        )
        write_json(path, fields | {"state": "stopped", "message": reason, "updated": time.time()})
    except OSError:
        pass  # the disk is full or gone: the error itself is on its way to the terminal
