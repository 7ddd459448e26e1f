"""What a visitor waits for: their turn, and how long each part of an answer took."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.stopwatch import stopwatch
from core.ui import server, session

PARTS = ("decode", "queue", "network", "heat map")  # in the order in which they come; what is left is the page's


@contextmanager
def turn(line: DeltaGenerator | None = None) -> Generator[None]:
    """The visitor's turn at the server.

    Args:
        line: where the page says how many others come first, while some do; here if None.

    Raises:
        Busy: too many wait.
    """
    line = line or st.empty()

    def say(before: int) -> None:
        line.info(before_words(before), icon=":material/hourglass:")

    with server.turns.taken(session.visitor(), say):
        line.empty()
        yield


def before_words(visitors: int) -> str:
    """How many others come first, such as "3 visitors before you"."""
    return f"{visitors} visitor{'s'[: visitors != 1]} before you" if visitors else "You are next"


def speed() -> None:
    """How long this run of the page took so far, part by part."""
    with stopwatch() as watch:
        st.caption(speed_words(watch.seconds, watch.parts))


def speed_words(seconds: float, parts: dict[str, float]) -> str:
    """Such as "Shown in 112 ms: decode 31, network 12, heat map 3, page 66". Parts that took less than a millisecond are left out."""
    page = {"page": seconds - sum(parts.values())}
    shown = [
        (name, round(1000 * took)) for name, took in ({part: parts.get(part, 0.0) for part in PARTS} | page).items()
    ]
    return f"Shown in {1000 * seconds:.0f} ms: {', '.join(f'{name} {took}' for name, took in shown if took)}"
