"""Run folders: find, read and verify them. The contract is in docs/architecture.md."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.artifacts.labels import LabelSet
from core.errors import BrokenRun, GarmentError
from core.settings import runs_folder

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
RESTORE_HINT = "Get it back with `git checkout -- artifacts`, or train a run with `python -m train`."
REQUIRED_FIELDS = {
    "run_id": str,
    "name": str,
    "origin": str,
    "created": str,
    "groups": dict,
}  # with what each must hold
OPTIONAL_FIELDS = {"files": dict, "input": dict, "in_scope": dict, "stages": list, "notes": list, "background": list}


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Run:
    """One whole run folder, read-only. Tables are read when first asked for.

    Args:
        folder: the run folder.
        manifest: its parsed manifest.json.
    """

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Read a run's manifest.

        Raises:
            BrokenRun: there is no manifest, it is no JSON, of a newer schema, or lacks a field.
        """
        folder = Path(folder)
        path = folder / "manifest.json"
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BrokenRun(f"{path} is missing, so this run is not whole. {RESTORE_HINT}") from None
        except (OSError, ValueError) as error:
            raise BrokenRun(f"{path} cannot be read ({error}). {RESTORE_HINT}") from None
        _check_manifest(path, manifest)
        return cls(folder, manifest)

    @property
    def run_id(self) -> str:
        """The run's identifier, also its folder's name."""
        return self.manifest["run_id"]

    @property
    def has_network(self) -> bool:
        """Whether the run carries weights to classify with (a published run does not)."""
        return "model.safetensors" in self.manifest.get("files", {})

    @cached_property
    def labels(self) -> LabelSet:
        """Classes in output order, with their groups."""
        return LabelSet.from_json(self.manifest["groups"])

    def path(self, name: str) -> Path:
        """Path of a file of the run, proven by its SHA-256.

        Raises:
            BrokenRun: the manifest does not list the file, or it is missing, unreadable or altered.
        """
        expected = self.manifest.get("files", {}).get(name)
        if expected is None:
            raise BrokenRun(f"The run {self.run_id} has no {name}.")
        path = self.folder / name
        try:
            found = sha256_of(path)
        except OSError as error:
            raise BrokenRun(f"{path} cannot be read ({error.strerror}). {RESTORE_HINT}") from None
        if found != expected:
            raise BrokenRun(
                f"{path} is damaged or was replaced: its SHA-256 is {found[:12]}..., the manifest says {expected[:12]}.... "
                f"{RESTORE_HINT}"
            )
        return path

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of the run. Raises BrokenRun as `path` does."""
        try:
            return json.loads(self.path(name).read_text(encoding="utf-8"))
        except ValueError as error:
            raise BrokenRun(f"{self.folder / name} is not valid JSON ({error}). {RESTORE_HINT}") from None

    def read_csv(self, name: str) -> pd.DataFrame:
        """A CSV table of the run. Raises BrokenRun as `path` does."""
        import pandas as pd  # only here, so that classifying and the first page need not wait for it

        try:
            return pd.read_csv(self.path(name), encoding="utf-8")
        except ValueError as error:
            raise BrokenRun(f"{self.folder / name} is not a readable CSV table ({error}). {RESTORE_HINT}") from None


def _check_manifest(path: Path, manifest: Any) -> None:
    if not isinstance(manifest, dict) or "schema" not in manifest:
        raise BrokenRun(f"{path} is no run manifest: it has no `schema` field. {RESTORE_HINT}")
    if manifest["schema"] != SCHEMA:
        writer = (
            f"commit {str(manifest['git_commit'])[:12]}" if manifest.get("git_commit") else "the version that wrote it"
        )
        raise BrokenRun(
            f"{path} is of schema {manifest['schema']}; this version of the product reads schema {SCHEMA}. "
            f"Install {writer} or a later one of the same schema, or train the run again."
        )
    missing = [field for field in REQUIRED_FIELDS if field not in manifest]
    if missing:
        raise BrokenRun(f"{path} lacks {', '.join(missing)}. {RESTORE_HINT}")
    _check_kinds(path, manifest)


def _check_kinds(path: Path, manifest: dict[str, Any]) -> None:
    """Refuse a manifest whose fields hold something else than they should, which would end whatever reads them, for all runs."""
    fields = REQUIRED_FIELDS | {name: kind for name, kind in OPTIONAL_FIELDS.items() if manifest.get(name) is not None}
    wrong = [name for name, kind in fields.items() if not isinstance(manifest[name], kind)]
    if "files" in manifest and not wrong:
        files: dict[str, Any] = manifest["files"] if isinstance(manifest["files"], dict) else {"": None}
        wrong = ["files"] * (
            not all(isinstance(digest, str) and Path(name).name == name for name, digest in files.items())
        )
    if wrong:
        raise BrokenRun(f"{path} holds something else than it should in {', '.join(wrong)}. {RESTORE_HINT}")
    try:
        datetime.fromisoformat(manifest["created"])
        if not all(isinstance(name, str) for name in LabelSet.from_json(manifest["groups"]).names):
            raise ValueError("a class whose name is no text")
    except (ValueError, TypeError, AttributeError, KeyError, GarmentError) as error:
        raise BrokenRun(
            f"{path} holds something else than it should in created or groups ({error}). {RESTORE_HINT}"
        ) from None


def find_runs(folder: str | Path | None = None) -> tuple[list[Run], dict[str, str]]:
    """Every run below a folder, newest first, and what is wrong with the folders that are no whole run.

    Args:
        folder: of runs; None for the folder that the settings name.

    Returns:
        The whole runs, and folder name to message for the others (runs still in training among them).
    """
    runs: list[Run] = []
    broken: dict[str, str] = {}
    folder = Path(folder or runs_folder())
    for child in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not child.is_dir():
            continue
        try:
            runs.append(Run.load(child))
        except BrokenRun as error:
            broken[child.name] = str(error)
    runs.sort(key=lambda run: run.manifest["created"], reverse=True)
    return runs, broken


def distinct_names(names: dict[str, str]) -> dict[str, str]:
    """Run id to what to call the run: its name; runs of the same name carry their id as well."""
    shared = Counter(names.values())
    return {run_id: name if shared[name] == 1 else f"{name} ({run_id})" for run_id, name in names.items()}


def current_run(folder: str | Path | None = None) -> Run:
    """The run the product ships: the one named in `current.json` beside the run folders.

    Args:
        folder: of runs; None for the folder that the settings name.

    Raises:
        BrokenRun: `current.json` or the run it names is missing or damaged.
    """
    folder = Path(folder or runs_folder())
    path = folder / "current.json"
    try:
        run_id = json.loads(path.read_text(encoding="utf-8"))["run_id"]
    except FileNotFoundError:
        raise BrokenRun(f"{path} is missing, so no run is chosen for classifying. {RESTORE_HINT}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenRun(f"{path} cannot be read ({error}). {RESTORE_HINT}") from None
    if Path(run_id).name != run_id:
        raise BrokenRun(f"{path} names the run {run_id!r}, which is not a folder name. {RESTORE_HINT}")
    return Run.load(folder / run_id)
