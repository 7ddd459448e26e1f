"""How the network learned: curves, the stages of unfreezing, what each taught, settings and data of every run."""

import streamlit as st

from core.ui import session, share, shell
from core.ui.history import details, runs, stages, story
from core.ui.history import export as exports

shell.page("Training history")
st.title("Training history", anchor=False)

with shell.errors_shown():
    found, broken = runs.trainings()
    if not found:
        st.info(
            "There is no run yet. Train one within a minute: `python -m train --smoke`.",
            icon=":material/model_training:",
        )
        runs.live(found, [])
        details.overview(found, broken)
        st.stop()

    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = runs.choose(found, session.shipped_run_id())
        above = st.container(horizontal=True, width="content", vertical_alignment="bottom")
    runs.warn_of_unknown()
    runs.live(found, chosen)
    if not chosen:
        st.info("Choose a run above.", icon=":material/arrow_upward:")
        details.overview(found, broken)
        st.stop()

    first, several = chosen[0], len(chosen) > 1
    runs.alarms(chosen)
    parts = [first] if several else story.lineage(first, found)
    story.summary(story.whole(parts))
    drawn = chosen if several else [story.whole(parts)]
    with above:
        exports.export(parts, found, story.stage_rows(chosen, parts))
        share.copy_link("history-link")
    wish = story.controls(drawn)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        story.curves(drawn, wish)
    with right:
        story.stage_dots(chosen, parts)
    if several:
        story.compare(chosen)
    story.stage_table(chosen, parts)
    story.notes(first)
    stages.repeats(first, found, runs.choose_all)

    names = ["Stages", "Epochs", "Overfitting", *["Earlier runs"] * (len(parts) > 1), "Settings", "Data", "All runs"]
    tabs = dict(zip(names, st.tabs(names, key="tab", bind="query-params"), strict=True))
    with tabs["Stages"]:
        stages.stage(first)
    with tabs["Epochs"]:
        details.epochs(chosen)
    with tabs["Overfitting"]:
        details.gap(chosen)
    if len(parts) > 1:
        with tabs["Earlier runs"]:
            stages.earlier_runs(parts)
    with tabs["Settings"]:
        details.settings(chosen)
    with tabs["Data"]:
        details.data(first)
    with tabs["All runs"]:
        details.overview(found, broken)
