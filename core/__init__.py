"""Read run folders and classify photos of clothes. Importing `core` never loads torch or streamlit.

What stands in `__all__` is for users of the library; modules below may be moved.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Else ONNX Runtime, from its import on, keeps an id of this machine and reports each session to its makers.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from core.errors import GarmentError
    from core.images.region import Region
    from core.inference.classifier import Answer, Classifier, Found

__all__ = ["Answer", "Classifier", "Found", "GarmentError", "Region"]
_MODULES = {
    "Answer": "core.inference.classifier",
    "Classifier": "core.inference.classifier",
    "Found": "core.inference.classifier",
    "GarmentError": "core.errors",
    "Region": "core.images.region",
}


def __getattr__(name: str) -> Any:
    """`from core import Classifier`, loading the engine only when it is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module 'core' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
