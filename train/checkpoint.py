"""Checkpoints without pickle: tensors as safetensors, everything else as JSON in the same file, replaced in one step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from core.errors import BrokenRun
from core.files import replaced


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write nested dicts and lists of tensors, numbers and strings; a crash leaves the old file or the new one, never a part.

    Raises:
        OSError: the disk is full or not writable.
    """
    tensors: dict[str, torch.Tensor] = {}
    tree = _detach(state, "", tensors)
    with replaced(path) as partial:
        save_file(tensors, partial, metadata={"tree": json.dumps(tree)})


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote, tensors on the CPU, tuples as lists.

    Raises:
        BrokenRun: the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return _attach(json.loads(file.metadata()["tree"]), file)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BrokenRun(f"{path} is damaged ({error}). Train again, or put back a copy of the file.") from None


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
