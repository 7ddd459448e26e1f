"""Put a finished run among those of the repository: as a record without weights, or as the one the product ships."""

from __future__ import annotations

import shutil
from pathlib import Path

from core.artifacts.run import Run, current_run
from core.errors import InvalidData
from core.files import new_folder
from train.folder import write_json

RECORD = (
    "config.json",
    "data.json",
    "history.csv",
    "metrics.json",
    "predictions.csv",
)  # what a run keeps without its weights

MEASURABLE = 10  # validation photos of a class from which on its F1 helps to choose


def record(folder: Path, runs: Path) -> str:
    """Keep a run's settings, history, measures and predictions in a folder of runs; returns in words what was done.

    A run made in that folder loses its weights there, as one that no longer ships does.

    Raises:
        BrokenRun: the folder holds no whole run.
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


def ship(folder: Path, runs: Path) -> str:
    """Make a run the one that classifies, if it is better on validation; the one before stays as a record. Returns in words what was done.

    Raises:
        BrokenRun: the folder, or the run shipped now, is no whole run.
        InvalidData: it is no better on validation, or there is such a run already.
        OSError: the disk is full or not writable; the run shipped now stays.
    """
    run, former = Run.load(folder), current_run(runs)
    now, before = validation_score(run), validation_score(former)
    if now <= before:
        raise InvalidData(
            f"{run.run_id} is not shipped: the mean of accuracy and macro-F1 on validation (classes with {MEASURABLE} photos or more) is "
            f"{now:.3f}, and {before:.3f} for "
            f"{former.run_id}, which ships now. `python -m train record {folder}` keeps its figures."
        )
    if not _is_in(runs, run):
        _copy(run, runs, sorted(run.facts.files))
    write_json(runs / "current.json", {"run_id": run.run_id})
    _slim(former)
    return f"{run.run_id} ships now ({now:.3f}, before {before:.3f}); {former.run_id} stays as a record, without its weights."


def validation_score(run: Run) -> float:
    """Mean of accuracy and macro-F1 on the validation split, in [0, 1]: what runs are chosen by. Raises BrokenRun.

    Macro-F1 is that of the classes with MEASURABLE photos or more: of a class with one, that photo would weigh as much as 80 others.
    Where no class has so many, accuracy decides alone.
    """
    validation = run.metrics.validation
    accuracy = validation.accuracy.value or 0.0
    f1 = [row.f1 or 0.0 for row in validation.classes if row.support >= MEASURABLE] or [accuracy]
    return (accuracy + sum(f1) / len(f1)) / 2


def _is_in(runs: Path, run: Run) -> bool:
    return run.folder.resolve() == (runs / run.run_id).resolve()


def _copy(run: Run, runs: Path, names: list[str]) -> None:
    """The whole folder or nothing: it gets its name when it is complete."""
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
