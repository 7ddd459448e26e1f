"""The bar at the bottom of every page while the tour is on: what the step shows, and the ways on."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
import streamlit.components.v2 as components
from streamlit.navigation.page import StreamlitPage

from core.errors import GarmentError
from core.ui.markdown import literal
from core.ui.shell import PAGES, TOUR
from core.ui.tour import steps, warm
from core.ui.tour.steps import FIRST, LAST, STEPS

MOVED = "tour_moved"  # set from a click on one of the bar's buttons until the page of the step is there
LARGE = f"<style>{(Path(__file__).parent / 'tour.css').read_text(encoding='utf-8')}</style>"
_scroll = components.component(
    "tour_scroll", html="<div></div>", js=(Path(__file__).parent / "scroll.js").read_text(encoding="utf-8")
)


def bar(page: StreamlitPage, first: StreamlitPage, last: StreamlitPage) -> None:
    """Go where a click led, and show the bar.

    Args:
        page: the one to be shown.
        first: page of the first step.
        last: of the last.
    """
    number: int | None = st.session_state.get(TOUR)
    if number is None:
        return
    warm.begin()
    step = STEPS[number]
    if st.session_state.pop(MOVED, False):
        parameters = _opened(step)
        title = {FIRST: first.title, LAST: last.title}.get(step.page) or PAGES[step.page]
        if page.title != title:
            st.switch_page({FIRST: first, LAST: last}.get(step.page, step.page), query_params=parameters)
    st.html(LARGE)
    with st.bottom, st.container(key="tour", horizontal=True, vertical_alignment="center", gap="medium", wrap=False):
        st.markdown(
            f"**{step.title}** :gray[{number + 1} of {len(STEPS)}]  \n{literal(steps.words(step))}", width="stretch"
        )
        with st.container(key="tour-buttons", horizontal=True, width="content", gap="xsmall"):
            _buttons(number)
        _scroll(key="tour-scroll", data={"step": number, "target": step.target}, height=1)


def _buttons(number: int) -> None:
    end = number + 1 == len(STEPS)
    st.button("Previous", shortcut="PageUp", on_click=_go, args=(number - 1,), disabled=not number)
    st.button("Next", shortcut="PageDown", on_click=_go, args=(number + 1,), disabled=end, type="primary")
    st.button("End tour", on_click=_end, type="tertiary")


def _opened(step: steps.Step) -> dict[str, str]:
    try:
        return step.open()
    except GarmentError:  # the page itself says what is wrong with the run
        return {}


def _go(number: int) -> None:
    st.session_state[TOUR] = number
    st.session_state[MOVED] = True


def _end() -> None:
    st.session_state.pop(TOUR)
