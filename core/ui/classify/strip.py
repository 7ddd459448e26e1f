"""The strip of open photos: a tile each with its class, to look at it or close it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st
import streamlit.components.v2 as components

from core.artifacts.labels import OUT_OF_SCOPE
from core.inference.classifier import Answer
from core.inference.verdict import class_name
from core.ui.classify.photos import ID, by_id, close, photos, select, thumbnail_url

ASSETS = Path(__file__).parent / "assets"
STRIP = "strip"
_strip = components.component(
    "photo_strip",
    html='<div class="tiles" role="list" aria-label="Photos"></div>',
    css=(ASSETS / "strip.css").read_text(encoding="utf-8"),
    js=(ASSETS / "strip.js").read_text(encoding="utf-8"),
)


def strip(answers: dict[str, Answer], selected: str) -> None:
    """The open photos in one row that scrolls, the one looked at marked.

    Args:
        answers: to the whole of each photo, by its SHA-256.
        selected: the photo looked at.
    """
    tiles = [
        {
            "id": sha256[:ID],
            "name": photos()[sha256].name,
            "label": class_name(answer.label) if answer.in_scope else OUT_OF_SCOPE,
            "url": thumbnail_url(sha256),
        }
        for sha256, answer in answers.items()
    ]
    _strip(key=STRIP, data={"tiles": tiles, "selected": selected[:ID]}, on_acts_change=_acts_done)


def _acts_done() -> None:
    """Look at, or close, what was pressed since the last run, in order."""
    done: int = st.session_state.get("strip_acted", 0)
    acts: list[dict[str, Any]] = (st.session_state.get(STRIP) or {}).get("acts") or []
    for act in acts:
        if act["id"] <= done:
            continue
        st.session_state["strip_acted"] = act["id"]
        if sha256 := by_id(act["photo"]):
            (close if act["do"] == "close" else select)(sha256)
