"""Read run folders and classify photos of clothes. Importing `core` never loads torch or streamlit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.classifier import Classifier as Classifier

__all__ = ["Classifier"]


def __getattr__(name: str) -> Any:
    """`from core import Classifier`, loading the engine only when it is asked for."""
    if name == "Classifier":
        from core.classifier import Classifier

        return Classifier
    raise AttributeError(name)
