"""The keys of the classify page: one list for the page, its help and the browser's part."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st


class Key(NamedTuple):
    """A keyboard shortcut.

    Args:
        action: name of what it does, in the browser's part; empty where a Streamlit button takes it.
        pressed: what the browser calls the keys, or a button's shortcut.
        shown: the key as people read it.
        meaning: what it does, in words.
    """

    action: str
    pressed: tuple[str, ...]
    shown: str
    meaning: str


UPLOAD = Key("", ("ctrl+o",), "Ctrl+O", "Choose photos")
SAVE = Key("", ("ctrl+s",), "Ctrl+S", "Save the view as a picture")
ON_PHOTO = (
    Key("answer", ("Enter",), "Enter", "Go to the prediction of what is drawn"),
    Key("draw", ("d",), "D", "Draw boxes, or stop drawing"),
    Key("edit", ("e",), "E", "Move and resize boxes"),
    Key("undo", ("z",), "Z", "Undo the last change to the boxes (also Ctrl+Z)"),
    Key("remove", ("Delete", "Backspace"), "Del", "Delete the selected box (also Backspace)"),
    Key("clear", ("r",), "R", "Remove all boxes"),
    Key("find", ("g",), "G", "Find garments"),
    Key("heat", ("h",), "H", "Heat map on or off"),
    Key("previous", ("ArrowLeft",), "←", "Previous photo"),
    Key("next", ("ArrowRight",), "→", "Next photo"),
    Key("escape", ("Escape",), "Esc", "Cancel the drag, or select the whole photo"),
)
KEYS = (UPLOAD, *ON_PHOTO, SAVE)
HINTS = {key.action: key.shown for key in ON_PHOTO}
PRESSED = {pressed: key.action for key in ON_PHOTO for pressed in key.pressed}


def help_panel() -> None:
    """A list of all keys behind a button, which a touch screen does not show."""
    with st.container(key="keys", width="content"), st.popover("Keys", icon=":material/keyboard:", type="tertiary"):
        rows = [f"| `{key.shown}` | {key.meaning} |" for key in KEYS]
        st.markdown("\n".join(["| Key | What it does |", "|---|---|", *rows]))
        st.caption("On a Mac, ⌘ is Ctrl. Single keys do nothing while you type in a field.")
