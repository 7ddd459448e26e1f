"""Many photos on the machines of a Ray cluster: Ray Data reads them as a stream, actors hold the network, Parquet files come out.

Ray (requirements-ray.txt) does all that several machines need: it deals out the work, limits what is in memory, and repeats what was lost
when a machine or a process ends. Every machine needs this repository at the same place, with its environment.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs

from core.artifacts.run import Run
from core.bulk.pipeline import BATCH, Request, predict
from core.bulk.writers import table_of
from core.errors import InvalidData, UnreadablePhoto
from core.images.decode import ACCEPTED_SUFFIXES, MAX_BYTES, display_name
from core.images.sources import PhotoFile, batched, is_photo, photo_on_disk
from core.inference.classifier import Classifier
from core.settings import PROJECT

REMOTE = "://"  # in the address of an object store
TO_CLASSIFY, TO_MOVE = 0.75, 0.25  # shares of a processor: each has one network, and one task that reads or writes
MISSING = "Ray is not installed here: `pip install -r requirements-ray.txt`, on every machine of the cluster."


def predict_on_ray(
    run: Run, request: Request, paths: Sequence[str], listed: str | None, target: str
) -> pyarrow.dataset.Dataset:
    """Classify photos on the cluster that RAY_ADDRESS names, or one on this machine; the records come in any order.

    Args:
        run: whose network classifies.
        request: how.
        paths: photos and folders, here or in an object store.
        listed: a text file with a path a line, or a Parquet file with the column `path`.
        target: a new folder for Parquet files with the columns of `core.bulk.writers.SCHEMA`.

    Returns:
        What is in that folder.

    Raises:
        InvalidData: Ray is not installed, a path leads nowhere, or the folder exists already.
    """
    ray = _ray()
    ray.data.DataContext.get_current().enable_progress_bars = False
    processors = max(1, int(ray.cluster_resources().get("CPU", 1)))
    try:
        photos = _photos(ray, paths, listed).map_batches(
            _Network,
            fn_constructor_args=(run.folder.absolute(), request, _roots(paths)),
            batch_size=BATCH,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=processors),
            num_cpus=TO_CLASSIFY,
        )
        photos.write_parquet(target, mode=ray.data.SaveMode.ERROR, ray_remote_args={"num_cpus": TO_MOVE})
    except (OSError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).strip().splitlines()[-1:] or [repr(error)]  # before it stand the lines of other processes
        raise InvalidData(f"Ray cannot read the photos or write {target}: {reason[0]}") from error
    return pyarrow.dataset.dataset(target, format="parquet")


def _ray() -> Any:
    """Ray, connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported
    try:
        ray: Any = importlib.import_module("ray")
        importlib.import_module("ray.data")
    except ImportError as error:
        raise InvalidData(MISSING) from error
    modules = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
    ray.init(ignore_reinit_error=True, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": modules}})
    return ray


def _photos(ray: Any, paths: Sequence[str], listed: str | None) -> Any:
    """A stream with the columns path and bytes; those of a list are read where they are classified."""
    parts: list[Any] = []
    if paths:
        suffixes = [suffix.lstrip(".") for suffix in ACCEPTED_SUFFIXES]
        parts.append(
            ray.data.read_binary_files(list(paths), include_paths=True, file_extensions=suffixes, num_cpus=TO_MOVE)
        )
    if listed and listed.lower().endswith(".parquet"):
        parts.append(ray.data.read_parquet(listed, columns=["path"], num_cpus=TO_MOVE))
    elif listed:
        parts.append(ray.data.read_text(listed, num_cpus=TO_MOVE).rename_columns({"text": "path"}))
    return parts[0].union(*parts[1:])


def _roots(paths: Sequence[str]) -> list[tuple[str, str]]:
    """What Ray calls each of the paths, and what it was called when it was given."""
    return [(path.partition(REMOTE)[2] if REMOTE in path else str(Path(path).absolute()), path) for path in paths]


class _Network:
    """The network in a process of its own, with one thread: there is one of them a processor.

    Args:
        run: folder of the run.
        request: how photos are classified.
        roots: as of `_roots`.
    """

    def __init__(self, run: Path, request: Request, roots: list[tuple[str, str]]):
        self._classifier = Classifier(Run.load(run), busy=True, threads=1)
        self._request, self._roots = request, roots

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Records of photos."""
        rows = [row for row in batch.to_pylist() if "bytes" not in row or is_photo(row["path"])]
        files = [PhotoFile(self._name(row), partial(_bytes, row["path"], row.get("bytes"))) for row in rows]
        results = chain.from_iterable(predict(self._classifier, batched(files, BATCH), self._request))
        return table_of(result.record for result in results)

    def _name(self, row: dict[str, Any]) -> str:
        """A photo's name as `python -m core predict` has it without Ray."""
        path: str = row["path"]
        if row.get("bytes") is not None:
            for root, given in self._roots:
                if path == root or path.startswith(f"{root.rstrip('/')}/"):
                    return given.rstrip("/") + path[len(root.rstrip("/")) :]
        return path


def _bytes(path: str, data: bytes | None) -> bytes:
    """A photo's bytes, read now if they have not been. Raises UnreadablePhoto."""
    if data is not None:
        return data
    if REMOTE not in path:
        return photo_on_disk(Path(path)).read()
    try:
        system, inside = pyarrow.fs.FileSystem.from_uri(path)
        with system.open_input_stream(inside) as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UnreadablePhoto(f"{display_name(path)} cannot be read ({error}).") from error
