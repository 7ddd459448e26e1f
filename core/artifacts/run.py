"""Run folders: find, read and verify them. The contract is in docs/architecture.md."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from core.artifacts.labels import LabelSet
from core.artifacts.manifest import RESTORE_HINT, Manifest, NetworkInput, record_of
from core.artifacts.measures import Metrics
from core.errors import BrokenRun
from core.settings import runs_folder

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
NETWORK = "model.safetensors"  # weights of a run
STAGE_NETWORK = "network_stage{}.safetensors"  # weights after a stage, where the recipe keeps them
T = TypeVar("T")


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Run:
    """One whole run folder, read-only. Tables are read when first asked for.

    Args:
        folder: the run folder.
        manifest: its manifest.json as it stands there, for whoever writes it anew; `facts` is for readers.
        network: its file of weights to classify with.
    """

    folder: Path
    manifest: dict[str, Any]
    network: str = NETWORK

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Read a run's manifest.

        Raises:
            BrokenRun: there is no manifest, it is no JSON, of a newer schema, or lacks a field or holds a wrong one.
        """
        folder = Path(folder)
        path = folder / "manifest.json"
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BrokenRun(f"{path} is missing, so this run is not whole. {RESTORE_HINT}") from None
        except (OSError, ValueError) as error:
            raise BrokenRun(f"{path} cannot be read ({error}). {RESTORE_HINT}") from None
        _check_schema(path, manifest)
        run = cls(folder, manifest)
        _check_facts(path, run.facts)  # now, not where a field is first needed
        return run

    @cached_property
    def facts(self) -> Manifest:
        """What the manifest says. Raises BrokenRun if it lacks a field or holds a wrong one."""
        return record_of(Manifest, self.manifest, self.folder / "manifest.json")

    @cached_property
    def metrics(self) -> Metrics:
        """What metrics.json says. Raises BrokenRun as `path` does, and if it holds a wrong field."""
        return record_of(Metrics, self.read_json("metrics.json"), self.folder / "metrics.json")

    @property
    def run_id(self) -> str:
        """The run's identifier, also its folder's name."""
        return self.facts.run_id

    @property
    def name(self) -> str:
        """What to call the run on screen."""
        return self.facts.name

    def has(self, name: str) -> bool:
        """Whether a file belongs to the run."""
        return name in self.facts.files

    @property
    def has_network(self) -> bool:
        """Whether the run carries weights to classify with (a published run does not)."""
        return self.has(self.network)

    def after_stage(self, number: int) -> Run | None:
        """The run as it was after a stage of its training, in floating point; None where the weights of then were not kept."""
        network = STAGE_NETWORK.format(number)
        if not self.has(network):
            return None
        return replace(self, network=network, manifest=self.manifest | {"files": {network: self.facts.files[network]}})

    @cached_property
    def labels(self) -> LabelSet:
        """Classes in output order, with their groups."""
        return LabelSet(self.facts.groups)

    @property
    def input(self) -> NetworkInput:
        """Input of the network. Raises BrokenRun if there is no network."""
        return self._of_network("input", self.facts.input)

    @property
    def temperature(self) -> float:
        """What logits are divided by before the softmax. Raises BrokenRun if there is no network."""
        return self._of_network("temperature", self.facts.temperature)

    @property
    def threshold(self) -> float:
        """In-scope score from which on a photo counts as one of the classes. Raises BrokenRun if there is no network."""
        return self._of_network("in_scope", self.facts.in_scope).threshold

    def _of_network(self, field: str, value: T | None) -> T:
        if value is None:
            raise BrokenRun(f"The run {self.run_id} cannot classify: its manifest has no `{field}`. {RESTORE_HINT}")
        return value

    def path(self, name: str) -> Path:
        """Path of a file of the run, proven by its SHA-256.

        Raises:
            BrokenRun: the manifest does not list the file, or it is missing, unreadable or altered.
        """
        expected = self.facts.files.get(name)
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


def _check_schema(path: Path, manifest: Any) -> None:
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


def _check_facts(path: Path, facts: Manifest) -> None:
    """Refuse what is of the right type and means nothing, which would end whatever reads it. Raises BrokenRun."""
    outside = [name for name in facts.files if Path(name).name != name]
    if outside:
        raise BrokenRun(
            f"{path} does not hold what it should: {outside[0]!r:.80} is no file of the run. {RESTORE_HINT}"
        )
    try:
        datetime.fromisoformat(facts.created)
    except ValueError:
        raise BrokenRun(
            f"{path} does not hold what it should: {facts.created!r:.80} is no time - at `created`. {RESTORE_HINT}"
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
    runs.sort(key=lambda run: run.facts.created, reverse=True)
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
