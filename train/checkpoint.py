"""Checkpoints without pickle: tensors as safetensors, everything else as JSON in the same file, with a checksum, replaced in one step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from core.errors import BrokenRun
from core.files import replaced


class Snapshot(NamedTuple):
    """A state as it was: its tensors, copied to the CPU, and everything else as JSON."""

    tensors: dict[str, torch.Tensor]
    tree: str

    @classmethod
    def of(cls, state: dict[str, Any]) -> Snapshot:
        """Of nested dicts and lists of tensors, numbers and strings."""
        tensors: dict[str, torch.Tensor] = {}
        tree = json.dumps(_detach(state, "", tensors))
        return cls(tensors, tree)

    def write(self, path: Path) -> None:
        """Write the file; a crash leaves the old one or the new one, never a part.

        Raises:
            OSError: the disk is full or not writable.
        """
        with replaced(path) as partial:
            save_file(self.tensors, partial, metadata={"tree": self.tree, "sha256": _digest(self.tensors, self.tree)})


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write a state as it is now. Raises as `Snapshot.write` does."""
    Snapshot.of(state).write(path)


class Writer:
    """Writes to the disk at once, or beside what follows; used as a context, so that nothing is left unwritten at its end.

    Args:
        beside: whether the next steps need not wait, which pays where another device takes them.
    """

    def __init__(self, beside: bool):
        self._pool = ThreadPoolExecutor(1) if beside else None
        self._pending: Future[None] | None = None

    def write(self, job: Callable[[], None]) -> None:
        """Carry out a job, after the one before.

        Raises:
            OSError: the disk is full or not writable; beside other work at the next call or at the end.
        """
        if self._pool is None:
            job()
            return
        self._finish()
        self._pending = self._pool.submit(job)

    def _finish(self) -> None:
        pending, self._pending = self._pending, None
        if pending:
            pending.result()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote, tensors on the CPU, tuples as lists.

    Raises:
        BrokenRun: the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.keys() != {"tree"} and metadata["sha256"] != _digest(tensors, metadata["tree"]):
            raise ValueError("its content does not match its checksum")
        return _attach(json.loads(metadata["tree"]), tensors)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenRun(f"{path} is damaged ({error}). Train again, or put back a copy of the file.") from None


def _digest(tensors: dict[str, torch.Tensor], tree: str) -> str:
    """SHA-256 of everything in a checkpoint; those of earlier versions have none."""
    digest = hashlib.sha256(tree.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _detach(value: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    """Move tensors out of a tree, leaving `{"tensor": name}`; dicts become lists of pairs, so that integer keys survive JSON."""
    if isinstance(value, torch.Tensor):
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _detach(child, f"{name}/{key}", tensors)] for key, child in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_detach(child, f"{name}/{i}", tensors) for i, child in enumerate(value)]}
    return value


def _attach(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(tree, dict):
        return tree
    if "tensor" in tree:
        return tensors[tree["tensor"]]
    if "dict" in tree:
        return {key: _attach(child, tensors) for key, child in tree["dict"]}
    return [_attach(child, tensors) for child in tree["list"]]
