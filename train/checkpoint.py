"""Checkpoints without pickle: tensors as safetensors, everything else as JSON in the same file, replaced in one step."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from core.errors import TrainingStopped


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write nested dicts and lists of tensors, numbers and strings; a crash leaves the old file or the new one, never a part.

    Raises:
        TrainingStopped: the disk is full or read-only.
    """
    tensors: dict[str, torch.Tensor] = {}
    tree = _detach(state, "", tensors)
    partial = path.with_suffix(".part")
    try:
        save_file(tensors, partial, metadata={"tree": json.dumps(tree)})
        _flush_to_disk(partial)
        partial.replace(path)
    except Exception as error:  # safetensors raises its own type for a full disk
        partial.unlink(missing_ok=True)
        raise TrainingStopped(
            f"The checkpoint {path} could not be written ({error}). Make room on the disk, then continue with "
            f"`python -m train --resume {path.parent}`."
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote, tensors on the CPU."""
    with safe_open(path, framework="pt") as file:
        tree = json.loads(file.metadata()["tree"])
        return _attach(tree, file)


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


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


def _attach(tree: Any, file: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    if "tensor" in tree:
        return file.get_tensor(tree["tensor"])
    if "dict" in tree:
        return {key: _attach(child, file) for key, child in tree["dict"]}
    return [_attach(child, file) for child in tree["list"]]
