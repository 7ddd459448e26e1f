"""The classify page's keys: one list of them all, and the two that need the browser's help."""

from __future__ import annotations

import time
from typing import NamedTuple

import streamlit as st
import streamlit.components.v2 as components

UPLOADER, ANSWERS_BOX = "upload", "answers"  # keys of the widgets that the browser looks for
SEND = "Update the app with this drawing"  # the canvas's name of its button
STRAY = 5  # pixels; a pointer that moved less drew nothing


class Key(NamedTuple):
    """A keyboard shortcut.

    Args:
        shortcut: as Streamlit's buttons take it.
        meaning: what it does, in words.
    """

    shortcut: str
    meaning: str


UPLOAD = Key("ctrl+o", "Choose photos")
ANSWERS = Key("ctrl+Enter", "Answer what is drawn now, and go to the answers")
FIND = Key("g", "Find garments")
REMOVE = Key("x", "Remove all boxes")
HEAT = Key("h", "Heat map on or off")
BACK = Key("left", "Photo before")
NEXT = Key("right", "Next photo")
SAVE = Key("ctrl+s", "Save the view as a picture")
KEYS = (UPLOAD, ANSWERS, FIND, REMOVE, HEAT, BACK, NEXT, SAVE)


def help_panel() -> None:
    """A list of all keys behind a button."""
    with st.popover("Keys", icon=":material/keyboard:"):
        rows = [f"| `{_shown(key.shortcut)}` | {key.meaning} |" for key in KEYS]
        st.markdown("\n".join(["| Key | What it does |", "|---|---|", *rows]))
        st.caption("On a Mac, ⌘ is Ctrl. Single keys rest while you type in a field.")


def _shown(shortcut: str) -> str:
    return " + ".join({"left": "←", "right": "→"}.get(part, part.capitalize()) for part in shortcut.split("+"))


# A file dialog opens only in direct answer to a key or click, which a button's way over the server is not.
_upload_key = components.component(
    "upload_key",
    html="<div></div>",
    js=f"""
export default function() {{
  const choose = (event) => {{
    const modified = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
    if (!modified || event.key.toLowerCase() !== "{UPLOAD.shortcut[-1]}" || event.defaultPrevented) return;
    event.preventDefault();
    document.querySelector(".st-key-{UPLOADER} input[type=file]")?.click();
  }};
  window.addEventListener("keydown", choose);
  document.documentElement.dataset.uploadKey = "listening"; // what a browser test waits for
  return () => {{
    window.removeEventListener("keydown", choose);
    delete document.documentElement.dataset.uploadKey;
  }};
}}
""",
)
# The canvas waits 200 ms after a stroke before it tells the page, in case another follows; a box is done once it is let go. Its own button
# for sending at once is pressed for the visitor.
_send_boxes = components.component(
    "send_boxes",
    html="<div></div>",
    js=f"""
export default function() {{
  let start = null;
  const begin = (event) => {{
    const canvas = event.composedPath().find((element) => element.nodeName === "CANVAS");
    start = canvas ? {{ x: event.clientX, y: event.clientY, root: canvas.getRootNode() }} : null;
  }};
  const end = (event) => {{
    const drag = start;
    start = null;
    if (!drag || Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < {STRAY}) return;
    setTimeout(() => drag.root.querySelector('button[aria-label="{SEND}"], button[title="{SEND}"]')?.click());
  }};
  window.addEventListener("pointerdown", begin, true);
  window.addEventListener("mouseup", end);
  return () => {{
    window.removeEventListener("pointerdown", begin, true);
    window.removeEventListener("mouseup", end);
  }};
}}
""",
)
_go_to_answers = components.component(
    "go_to_answers",
    html="<div></div>",
    js=f"""
export default function({{ data }}) {{
  const answers = document.querySelector(".st-key-{ANSWERS_BOX}");
  if (!data || !answers || answers.dataset.visit === data.visit) return;
  answers.dataset.visit = data.visit;
  answers.tabIndex = -1;
  answers.style.outline = "none"; // a place to read on from, not a control
  answers.focus({{ preventScroll: true }});
  answers.scrollIntoView({{ behavior: "smooth", block: "start" }});
}}
""",
)


def listen_for_upload() -> None:
    """Let the upload key open the uploader's file dialog."""
    _upload_key(key="upload-key", height=1)


def send_boxes_at_once() -> None:
    """Answer a box when it is let go, without the canvas's wait."""
    _send_boxes(key="send-boxes", height=1)


def answers_button() -> None:
    """A button, with its key, that takes the visitor to the answers: on a phone they lie below the photo."""
    if st.button("Answers", icon=":material/arrow_downward:", shortcut=ANSWERS.shortcut, help=ANSWERS.meaning):
        _go_to_answers(key="go-to-answers", data={"visit": str(time.time_ns())}, height=1)
