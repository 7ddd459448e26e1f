"""How the network learned: curves, the stages of unfreezing, settings and data of every run."""

import streamlit as st

from core.ui import history as page
from core.ui import session, shell

shell.page("Training history")
st.title("Training history", anchor=False)

with shell.errors_shown():
    found, broken = page.trainings()
    if not found:
        st.info(
            "There is no run yet. See the trainer at work within a minute: `python -m train --smoke`.",
            icon=":material/model_training:",
        )
        page.live(found, [])
        page.overview(found, broken)
        st.stop()

    page.warn_of_dead_link(found)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = page.choose(found, session.shipped_run_id())
        if chosen:
            page.take_away(chosen[0])
    page.live(found, chosen)
    if not chosen:
        st.info("Choose a run above.", icon=":material/arrow_upward:")
        page.overview(found, broken)
        st.stop()

    first = chosen[0]
    page.summary(first, found)
    if len(chosen) > 1:
        page.compare(chosen)
    page.curves(chosen)
    st.subheader("What each stage brought", anchor=False)
    page.stages(first)
    st.subheader("Over- or underfitting?", anchor=False)
    page.gap(chosen)

    all_runs, settings, data = st.tabs(["All runs", "Settings", "Data"], key="tab", bind="query-params")
    with all_runs:
        page.overview(found, broken)
    with settings:
        page.settings(chosen)
    with data:
        page.data(first)
