"""From data sets to a complete run folder: index, split, train, evaluate, export. Every step can be killed and resumed."""

from __future__ import annotations

import os
import shutil
import traceback
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import torch

from core.artifacts.heartbeat import STOPPED, read_heartbeat
from core.artifacts.run import Run
from core.artifacts.training import resume_command
from core.errors import BrokenRun, InvalidConfig, InvalidData, TrainingStopped
from core.inference.detect import has_detector
from core.inference.model import GarmentNet
from train import batches
from train.batches import PixelDataset, check_shares, kinds_without_photos
from train.catalogue import PHONE, PRODUCT, WORN
from train.config import DetectorTraining, Recipe, parse_recipe
from train.dataset import build_index, cached_pixels, check_sources
from train.distributed import World, join_world
from train.export import drop_private_files, finish, remeasure, rewrite_attributes
from train.find.command import add_detector, in_words, remeasure_detector
from train.find.examples import Examples
from train.folder import (
    history_command,
    only_trainer,
    own_heartbeat,
    reason_of,
    write_csv,
    write_heartbeat,
    write_json,
)
from train.head import read_decisions, refit
from train.initial_weights import initialise
from train.loop import Splits, Trainer
from train.ship import choose_first
from train.splits import SplitData, earlier_splits, report, split, summary
from train.stages import check_warmup
from train.targets import NO_TARGET, Targets


@dataclass(frozen=True)
class Job:
    """What a run needs besides its recipe; kept in `resume.json` until the run is finished, since its paths mean nothing elsewhere.

    Args:
        data: data sets, the first being the catalogue; photos of later ones replace those of the same id.
        init: initial weights, as `train.initial_weights.initialise` takes them.
        cache: folder for decoded pixels.
        device: `auto`, `cpu` or `cuda`.
    """

    data: list[str]
    init: str
    cache: str
    device: str


@dataclass(frozen=True)
class _Settings:
    """What resuming needs of `config.json`."""

    resolved: dict[str, Any]


def start(recipe: Recipe, given: dict[str, Any], job: Job, runs: Path) -> Path:
    """Carry out a run in a new folder below `runs`; returns the folder.

    The folder is made after data and weights were found, so that a mistake in a path leaves nothing behind.

    Args:
        recipe: the settings.
        given: what the command line said, for `config.json`.
        job: data, weights, cache and device.
        runs: the folder of runs.
    """
    _check_writable(runs)
    with join_world(job.device) as world:
        network, data = _prepare(recipe, job, world)
        folder = runs / world.share(f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{recipe.name}")
        if world.leads:
            _open_folder(folder, recipe, given, job)
        world.wait()
        _carry_out(folder, recipe, job, network, data, world)
    return folder


def _check_writable(runs: Path) -> None:
    """Report a folder of runs that cannot be made or written to before the photos are read: that takes minutes."""
    there = next(path for path in (runs, *runs.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        why = "is a file" if not there.is_dir() else "cannot be written to"
        raise InvalidConfig(f"Runs cannot be kept in {runs}: {there} {why}. Name another folder with --runs.")


def _open_folder(folder: Path, recipe: Recipe, given: dict[str, Any], job: Job) -> None:
    folder.mkdir(parents=True)
    resolved = recipe.model_dump() | {"init": Path(job.init).name}
    try:
        write_json(folder / "config.json", {"given": given, "resolved": resolved})
        write_json(folder / "resume.json", asdict(job))
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def resume(folder: Path, device: str | None) -> None:
    """Continue the run in a folder from its last complete epoch, on the device that it was started for unless another is named.

    Raises:
        InvalidData: the folder holds no unfinished run.
    """
    if (folder / "manifest.json").exists():
        drop_private_files(folder)
        raise InvalidData(f"{folder} is complete already; there is nothing to resume.")
    try:
        job = msgspec.json.decode((folder / "resume.json").read_bytes(), type=Job)
        settings = msgspec.json.decode((folder / "config.json").read_bytes(), type=_Settings).resolved
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise InvalidData(f"{folder} holds no run that can be resumed ({error}).") from None
    recipe = parse_recipe({name: value for name, value in settings.items() if name != "init"}, f"{folder}/config.json")
    with join_world(device or job.device) as world:
        network, data = _prepare(recipe, job, world, folder)
        _carry_out(folder, recipe, job, network, data, world)


def evaluate(folder: Path, data: list[str], cache: Path) -> str:
    """Measure a finished run again as this version measures runs, its weights unchanged; returns in words how it is served.

    Raises:
        BrokenRun: the folder holds no finished run.
        InvalidData: the data set is not the one that the run was trained on.
    """
    run = Run.load(folder)
    recipe, photos = trained_on(run, data, cache)
    run = remeasure(run, recipe, photos)
    if has_detector(run):
        remeasure_detector(run, _examples(recipe, photos, recipe.detector or DetectorTraining()))
    found = run.facts.quantisation
    verdict = "is served in 8-bit integers" if found.accepted else "is served in float32: integers lose too much"
    shares = f"{found.float32:.2%} of the validation photos right in float32, {found.int8:.2%} in 8-bit integers"
    return f"{run.run_id}: {shares}. It {verdict}."


def find(folder: Path, data: list[str], cache: Path) -> str:
    """Give a finished run a detector, which finds the garments in a photo; returns in words how well it does.

    Raises:
        BrokenRun: the folder holds no finished run.
        InvalidData: the data set is not the one that the run was trained on, or has no street photos.
    """
    run = Run.load(folder)
    recipe, photos = trained_on(run, data, cache)
    with only_trainer(folder):
        return in_words(_with_detector(run, recipe, photos, recipe.detector or DetectorTraining(), cache))


def _with_detector(
    run: Run, recipe: Recipe, photos: SplitData, training: DetectorTraining, cache: Path
) -> dict[str, Any]:
    return add_detector(run, _examples(recipe, photos, training), training, cache)


def _examples(recipe: Recipe, photos: SplitData, training: DetectorTraining) -> Examples:
    return Examples(photos, recipe.class_list(), training.seed, training.scenes)


def fit_attributes(folder: Path, data: list[str], cache: Path) -> str:
    """Fit the attributes' heads of a finished run, its network unchanged; returns in words what they are worth.

    Raises:
        BrokenRun: the folder holds no finished run.
        InvalidData: the data set is not the one that the run was trained on.
    """
    run = Run.load(folder)
    measured = rewrite_attributes(run, *trained_on(run, data, cache)).metrics.attributes
    lines = [
        f"{name}: {head.accuracy.value:.1%} of {head.photos} test photos, {head.majority.share:.1%} by always saying "
        f"{head.majority.value}; {'shown' if head.shown else 'not shown'}"
        for name, head in (measured.heads if measured else {}).items()
        if head.photos and head.majority
    ]
    return "\n".join(lines) or f"{run.run_id}: too few photos say anything of an attribute."


def refit_head(folder: Path, data: list[str], cache: Path, feedback: Path, runs: Path) -> str:
    """Fit a finished run's head again on reviewed corrections, as a new run; returns in words how the two compare.

    Raises:
        BrokenRun: the folder holds no finished run.
        InvalidData: the data set is not the one that the run was trained on, or the corrections teach nothing.
    """
    _check_writable(runs)
    run = Run.load(folder)
    read_decisions(feedback)  # a mistake in it is reported before the photos are read
    return refit(run, *trained_on(run, data, cache), feedback, runs)


def trained_on(run: Run, data: list[str], cache: Path) -> tuple[Recipe, SplitData]:
    """A finished run's recipe, and its photos in their splits. Raises InvalidData if the data set is another one."""
    settings = run.read_json("config.json")["resolved"]
    settings.pop("init")
    recipe = parse_recipe(settings, f"{run.folder}/config.json")
    index = build_index([Path(path) for path in data], recipe.class_list(), cache)
    photos = SplitData(index, split(index, recipe, earlier_splits(run.folder / "splits.csv")), cache)
    _check_same_split(run.folder / "splits.csv", photos.table())
    return recipe, photos


def _prepare(recipe: Recipe, job: Job, world: World, folder: Path | None = None) -> tuple[GarmentNet, SplitData]:
    """The network with its initial weights (none to load where a checkpoint will replace them), and the photos in their splits.

    The leading process decodes the photos; the others wait and then find them in the cache.

    Args:
        recipe: the settings.
        job: data, weights and cache.
        world: of processes.
        folder: of the run, if it is resumed.
    """
    check_shares(recipe, world)
    cache = Path(job.cache)
    init = None if folder and (folder / "checkpoint.safetensors").exists() else job.init
    if world.leads:
        _check_at_hand(job, init)
    else:
        world.wait()
    index = build_index([Path(path) for path in job.data], recipe.class_list(), cache)
    for size in sorted(_sizes(recipe)):
        cached_pixels(index, *size, cache)
    data = SplitData(index, split(index, recipe, _earlier(job.init, folder)), cache)
    if world.leads:
        world.wait()
        if folder is None:
            _tell_kept(data, recipe, job.init)
    targets = data.training_targets(recipe)
    photos = _training_photos(data, targets)
    missing = kinds_without_photos(photos[2], recipe.shares) if recipe.shares else []
    if missing and world.leads:
        print(
            f"The data has no {' and no '.join(missing)} to train on, so the recipe's other shares grow. To train on them as well, give "
            "a --data that has them.",
            flush=True,
        )
    check_warmup(recipe, len(photos[0]) if recipe.shares else len(data.known_rows("train")))
    return _fresh_network(recipe, targets, init, world), data


def _earlier(init: str, folder: Path | None) -> dict[int, str]:
    """The splits to keep: those that a resumed run began with, or those of the run whose weights a new one starts from."""
    own = folder / "splits.csv" if folder else None
    return earlier_splits(own if own and own.exists() else Path(init) / "splits.csv")


def _tell_kept(data: SplitData, recipe: Recipe, init: str) -> None:
    """Say how many photos keep the split of the run whose weights training starts from, and which only therefore."""
    earlier = earlier_splits(Path(init) / "splits.csv")
    if not earlier:
        return
    main = data.index.main
    known = np.isin(data.index.photos["id"].to_numpy()[main], list(earlier))
    kept, drawn = (table["split"].to_numpy()[main] for table in (data.splits, split(data.index, recipe)))
    moved = kept != drawn
    leaks = int(np.sum(moved & (kept == "train")))
    print(
        f"{Path(init).name} was trained on some of these photos: {int(np.sum(known))} keep the split that they had there, "
        f"{int(np.sum(moved))} of them against this recipe's own draw ({leaks} would have been held out though they trained it).",
        flush=True,
    )


def _check_at_hand(job: Job, init: str | None) -> None:
    """Report a mistake in a path, or a download that fails, before the photos are read: that takes minutes."""
    check_sources([Path(path) for path in job.data])
    if init is not None:
        initialise(GarmentNet(1), init)


def _fresh_network(recipe: Recipe, targets: Targets, init: str | None, world: World) -> GarmentNet:
    torch.manual_seed(recipe.seed)  # decides what the initial weights do not cover
    network = GarmentNet(len(targets.outputs), recipe.dropout, recipe.output_stride)
    if init is not None:
        coverage = initialise(network, init, targets.outputs)
        if world.leads:
            print(f"Initial weights, {Path(init).name}: {coverage}.", flush=True)
    return network


def _sizes(recipe: Recipe) -> set[tuple[int, int]]:
    """Every (height, width) that a stage names."""
    return {(stage.height, stage.width) for stage in recipe.stages}


def _carry_out(folder: Path, recipe: Recipe, job: Job, network: GarmentNet, data: SplitData, world: World) -> None:
    with only_trainer(folder) if world.leads else nullcontext(), _end_explained(folder, world):
        if world.leads:
            _note_data(folder, recipe, data)
        targets = data.training_targets(recipe)
        splits = {size: _splits(data, targets, recipe, size) for size in _sizes(recipe)}
        trainer = Trainer(network, recipe, targets, splits, folder, world)
        state = trainer.run()
        if trainer.progress:
            run = finish(folder, recipe, job.init, data, state, trainer.progress)
            _let_classify(run)
            if data.index.pack and recipe.detector:
                print("The detector needs photos at their own size, so it is not trained from packed ones.", flush=True)
            elif recipe.detector and len(data.rows("train", WORN)):
                print(in_words(_with_detector(run, recipe, data, recipe.detector, Path(job.cache))), flush=True)
            print(
                f"Done: {folder}",
                f"To see it: `{history_command(folder)}`, page Training history.",
                sep="\n",
                flush=True,
            )


def _let_classify(run: Run) -> None:
    """Make a run the one that classifies if its folder of runs has none; a disk that is full now costs no run that is complete."""
    try:
        choose_first(run, run.folder.parent)
    except OSError as error:
        command = f"python -m train --runs {run.folder.parent} ship {run.folder}"
        print(f"{reason_of(error)}. The run is complete; `{command}` makes it the one that classifies.", flush=True)


def _note_data(folder: Path, recipe: Recipe, data: SplitData) -> None:
    """Write `data.json` and `splits.csv`, once they agree with what the run began with."""
    _check_same_split(folder / "splits.csv", data.table())
    facts = report(data, recipe.labels(), recipe)
    print(summary(facts), flush=True)
    write_json(folder / "data.json", facts)
    write_csv(folder / "splits.csv", data.table())


def _check_same_split(path: Path, table: pd.DataFrame) -> None:
    """A resumed run must not meet photos in training that it validated or tests with."""
    if not path.exists():
        return
    before, now = earlier_splits(path), dict(zip(table["id"], table["split"], strict=True))
    moved = sorted(photo for photo in before.keys() | now.keys() if before.get(photo) != now.get(photo))
    if moved:
        raise InvalidData(
            f"The data set is not what this run began with: {len(moved)} photos came, went or changed their split, such as "
            f"{', '.join(map(str, moved[:5]))}. Put the data set back as it was to resume, or start a new run."
        )


def _splits(data: SplitData, targets: Targets, recipe: Recipe, size: tuple[int, int]) -> Splits:
    """What trains, other products and phone photos included if the recipe gives them a share, and what validates."""
    pixels, val = data.pixels(*size), data.known_rows("val")
    if recipe.shares is None:
        train = data.known_rows("train")
        train_set = PixelDataset(pixels, train, data.targets[train])
    else:
        train_set = PixelDataset(pixels, *_training_photos(data, targets))
    elsewhere = {kind: PixelDataset(pixels, *_validating_elsewhere(data, targets, kind)) for kind in (PHONE, WORN)}
    known = {kind: photos for kind, photos in elsewhere.items() if len(photos)}
    return Splits(train_set, PixelDataset(pixels, val, data.targets[val]), known)


def _validating_elsewhere(data: SplitData, targets: Targets, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the validation photos of a kind whose coarse label allows a class, and what they may be."""
    rows = data.rows("val", kind)
    taught = targets.of_labels(data.index.photos["articleType"].iloc[rows], np.ones(len(rows), bool))
    of_class = (taught != NO_TARGET) & targets.members[taught, : targets.n_classes].any(axis=1)
    return rows[of_class], taught[of_class]


def _training_photos(data: SplitData, targets: Targets) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of all photos that can be taught, what each is taught as, and its kind."""
    kind = data.index.kind
    taught = targets.of_labels(pd.Series(data.index.photos["articleType"]), kind != PRODUCT)
    rows = np.flatnonzero((data.splits["split"] == "train").to_numpy() & (taught != NO_TARGET))
    positions = {PHONE: batches.PHONE, WORN: batches.WORN}
    kinds = np.array([positions.get(name, batches.OTHER_PRODUCT) for name in kind])
    kinds[data.index.in_scope & (kind == PRODUCT)] = batches.PRODUCT
    return rows, taught[rows], kinds[rows]


@contextmanager
def _end_explained(folder: Path, world: World) -> Generator[None]:
    """When a training ends early, say how to continue, and leave the reason for the history page."""
    go_on = f"Continue with `{resume_command(folder)}`."
    try:
        yield
    except KeyboardInterrupt:
        _note_reason(folder, world, "interrupted")
        raise KeyboardInterrupt(f"Interrupted; the last whole epoch is kept. {go_on}") from None
    except OSError as error:
        _note_reason(folder, world, reason_of(error))
        raise TrainingStopped(
            f"{reason_of(error)}. Put that right (on a full disk, make room); the last whole epoch is kept. {go_on}"
        ) from error
    except BaseException as error:
        _note_reason(folder, world, str(error) or traceback.format_exception_only(error)[0])
        raise


def _note_reason(folder: Path, world: World, reason: str) -> None:
    if not world.leads:
        return
    with suppress(
        OSError, BrokenRun
    ):  # the disk is full, or the file is damaged: the reason itself is on its way to the terminal
        told = read_heartbeat(folder) or own_heartbeat(folder)
        write_heartbeat(folder, msgspec.structs.replace(told, state=STOPPED, message=reason))
