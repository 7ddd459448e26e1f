"""Put a finished run among those of the repository: as a record without weights, or as the one the product ships."""

from __future__ import annotations

import fnmatch
import shutil
from pathlib import Path
from statistics import mean

from core.artifacts.run import STAGE_NETWORK, Run, current_run
from core.errors import InvalidData
from core.files import new_folder
from train.evaluate import MEASURABLE
from train.folder import write_json

CURRENT = "current.json"

RECORD = (
    "config.json",
    "data.json",
    "history.csv",
    "metrics.json",
    "predictions.csv",
)  # what a run keeps without its weights


def record(folder: Path, runs: Path) -> str:
    """Keep a run's settings, history, measures and predictions in a folder of runs; returns in words what was done.

    A run made in that folder loses its weights there, as one that no longer ships does.

    Raises:
        BrokenRun: the folder holds no finished run.
        InvalidData: there is another folder of that name already, or it is the run that ships.
        OSError: the disk is full or not writable; no part of the run stays.
    """
    run = Run.load(folder)
    if not _is_in(runs, run):
        _copy(run, runs, [name for name in RECORD if run.has(name)])
    elif current_run(runs).run_id == run.run_id:
        raise InvalidData(
            f"{run.run_id} ships now, with its figures; as a record it would lose its weights. Ship another run first."
        )
    else:
        _slim(run)
    return f"{run.run_id} is recorded in {runs}, without its weights."


def choose_first(run: Run, runs: Path) -> None:
    """Let a run classify if no run of its folder does so yet."""
    if not (runs / CURRENT).exists():
        write_json(runs / CURRENT, {"run_id": run.run_id})


def ship(folder: Path, runs: Path) -> str:
    """Make a run the one that classifies, if it is better on validation; the one before stays as a record. Returns in words what was done.

    In a folder where no run classifies yet there is nothing to compare with.

    Raises:
        BrokenRun: the folder, or the run shipped now, is not finished.
        InvalidData: it is no better on validation, was not validated on the same photos, or there is such a run already.
        OSError: the disk is full or not writable; the run shipped now stays.
    """
    run = Run.load(folder)
    former = current_run(runs) if (runs / CURRENT).exists() else None
    if former and former.run_id == run.run_id:
        raise InvalidData(f"{run.run_id} ships already.")
    better = _better(run, former, folder) if former else ""
    if not _is_in(runs, run):
        by_stage = fnmatch.filter(
            run.facts.files, STAGE_NETWORK.format("*")
        )  # for whoever trained it, too large to ship
        _copy(run, runs, sorted(run.facts.files.keys() - set(by_stage)))
    write_json(runs / CURRENT, {"run_id": run.run_id})
    if not former:
        return f"{run.run_id} ships now; no run of {runs} did before."
    _slim(former)
    return f"{run.run_id} ships now ({better}); {former.run_id} stays as a record, without its weights."


def _better(run: Run, former: Run, folder: Path) -> str:
    """By how much a run is better, in words; raises InvalidData if it is not, or cannot be compared."""
    differences = _differences(run, former)
    if differences:
        raise InvalidData(
            f"{run.run_id} cannot be compared with {former.run_id}, which ships now: they differ in their {' and '.join(differences)}, so "
            f"their measures are of different photos. To ship it all the same, after a look at both, write its name into {CURRENT}."
        )
    now, before = validation_score(run), validation_score(former)
    if now <= before:
        raise InvalidData(
            f"{run.run_id} is not shipped: on validation it scores {now:.3f}, and {former.run_id}, which ships now, {before:.3f}. "
            f"`python -m train record {folder}` keeps its figures."
        )
    return f"{now:.3f}, before {before:.3f}"


def _differences(run: Run, former: Run) -> list[str]:
    """What two runs would need to have in common to be compared, and have not."""
    needed = {
        "classes": [one.labels.names for one in (run, former)],
        "data": [one.facts.data_fingerprint for one in (run, former)],
        "splits": [one.facts.files.get("splits.csv") for one in (run, former)],
    }
    return [name for name, (ours, theirs) in needed.items() if ours != theirs]


def validation_score(run: Run) -> float:
    """What runs are chosen by, in [0, 1]: the mean over the kinds of validation photos, each the mean of an accuracy and a fair one.

    Of products these are accuracy and macro-F1 over the classes with MEASURABLE photos or more (of a class with one, that photo would
    weigh as much as 80 others; where no class has so many, accuracy decides alone); of phone photos and worn garments the share with an
    allowed class, and its mean over the labels. Raises BrokenRun.
    """
    validation = run.metrics.validation
    accuracy = validation.accuracy.value or 0.0
    f1 = [row.f1 or 0.0 for row in validation.classes if row.support >= MEASURABLE] or [accuracy]
    scores = [accuracy, mean(f1)]
    for kind in (run.metrics.phone, run.metrics.worn):
        validated = kind.validation if kind else None
        if validated and validated.allowed_set.value is not None:
            scores += [validated.allowed_set.value, mean(label.value or 0.0 for label in validated.labels)]
    return mean(scores)


def _is_in(runs: Path, run: Run) -> bool:
    return run.folder.resolve() == (runs / run.run_id).resolve()


def _copy(run: Run, runs: Path, names: list[str]) -> None:
    """Copy under another name and rename when complete."""
    target = runs / run.run_id
    if target.exists():
        raise InvalidData(f"{target} exists already and is not touched.")
    with new_folder(target) as partial:
        for name in names:
            shutil.copyfile(run.path(name), partial / name)
        _write_manifest(run, partial, names)


def _slim(run: Run) -> None:
    """Take from a run what a record does not keep; the manifest first, so that it never names what is gone."""
    kept = [name for name in RECORD if run.has(name)]
    _write_manifest(run, run.folder, kept)
    for name in run.facts.files.keys() - set(kept):
        (run.folder / name).unlink(missing_ok=True)


def _write_manifest(run: Run, folder: Path, names: list[str]) -> None:
    files = {name: run.facts.files[name] for name in names}
    write_json(folder / "manifest.json", run.manifest | {"files": files})
