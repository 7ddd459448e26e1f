"""Read run folders and classify photos of clothes. Importing `core` never loads torch or streamlit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# Else ONNX Runtime, from its import on, keeps an id of this machine and reports each session to its makers.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from core.classifier import Classifier as Classifier

__all__ = ["Classifier"]


def __getattr__(name: str) -> Any:
    """`from core import Classifier`, loading the engine only when it is asked for."""
    if name == "Classifier":
        from core.classifier import Classifier

        return Classifier
    raise AttributeError(name)
