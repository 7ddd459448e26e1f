"""The story of a run at first sight: what it reached, its curves, and what each stage gained."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import streamlit as st

from core.analysis import history
from core.analysis import text as words
from core.analysis.glossary import TERMS
from core.analysis.stages import changes_table
from core.artifacts.measures import Rate
from core.artifacts.training import Training
from core.plots import history as figures
from core.ui.choice import one_of
from core.ui.history.predictions import stage_predictions
from core.ui.history.widgets import chart, table
from core.ui.markdown import literal

METRIC_WIDTH = 152  # pixels; six fit beside the sidebar of a laptop, two on a phone
STAGES = ["stage", "name", "input", "epochs", "best_validation", "final_train", "final_validation", "gain"]
CHANGES = ["became_correct", "became_incorrect", "p"]
COSTS = ["minutes"]
COMPARED = [
    "run",
    "best_validation",
    "best_epoch",
    "epochs",
    "test_accuracy",
    "test_low",
    "test_high",
    "hours",
    "device",
]


def lineage(training: Training, found: list[Training]) -> list[Training]:
    """The training after those it continued from, if the visitor wants them and they are among those found; else it alone."""
    parts = history.lineage(training, found)
    if len(parts) == 1:
        return parts
    with st.container(horizontal=True, vertical_alignment="center"):
        wanted = st.toggle("Include earlier runs", True, key="lineage", bind="query-params")
        st.caption(literal(words.continued_from(parts)), width="stretch")
    return parts if wanted else [training]


def whole(parts: list[Training]) -> Training:
    """A lineage as one training, for its curves."""
    return history.joined(parts)


def summary(training: Training) -> None:
    """The training in one sentence and its figures."""
    st.subheader(literal(words.headline(training)), anchor=False)
    if training.best is not None:
        with st.container(horizontal=True):
            for label, value, explanation in _figures(training):
                st.metric(label, value, help=explanation, width=METRIC_WIDTH)


def notes(training: Training) -> None:
    """How the training went, and what its run folder notes."""
    facts = [words.circumstances(training), words.total_in_words(training), *training.notes]
    st.caption(literal(" ".join(fact for fact in facts if fact)))


def _figures(training: Training) -> list[tuple[str, str, str]]:
    test = training.test_accuracy
    interval = f" 95% interval: {test.low:.2%} to {test.high:.2%}." if test.value is not None else ""
    shown = [
        ("Best validation", f"{training.best_accuracy:.2%}", words.which_validation(training)),
        (
            "Test accuracy",
            _test_accuracy(test),
            f"On photos used neither for training nor for choosing an epoch.{interval}",
        ),
    ]
    metrics = training.metrics
    for measured, label in ((metrics.phone.test, "Phone photos"), (metrics.worn.test, "Worn garments")):
        if measured and (share := measured.allowed_set).value is not None:
            explanation = (
                f"Share of {share.n:,} test photos predicted as a class that their label allows. "
                f"95% interval: {share.low:.2%} to {share.high:.2%}."
            )
            shown.append((label, f"{share.value:.2%}", explanation))
    gain = history.gain_by_unfreezing(training)
    return [
        *shown,
        (
            "Gain by unfreezing",
            "unknown" if pd.isna(gain) else f"{100 * gain:+.2f} pts",
            "Best validation accuracy of all stages above that of the first, in percentage points.",
        ),
        ("Training time", words.duration(training.seconds), "Sum over the epochs, or as published."),
    ]


def _test_accuracy(test: Rate) -> str:
    if test.value is not None:
        return f"{test.value:.2%}"
    if test.low is None or test.high is None:
        return "not yet"
    return f"≈ {100 * test.low:.0f}–{test.high:.0%}"  # as published


def compare(chosen: list[Training]) -> None:
    """Several trainings side by side: which is best, and its figures."""
    st.markdown(literal(words.comparison(chosen)))
    table(history.runs_table(chosen), COMPARED)


class Wish(NamedTuple):
    """Which curves a visitor wants to see, and how: see `core.plots.history.curves_figure`."""

    curves: list[str]
    axis: str
    smoothing: float
    log_scale: bool
    grouped: bool


def controls(chosen: list[Training]) -> Wish:
    """What the visitor wants of the curves."""
    with st.container(horizontal=True, vertical_alignment="center"):
        known = [curve for curve in figures.CURVES if figures.is_known(chosen, curve)]
        wanted = st.pills(
            "Curves",
            known or ["Accuracy"],
            default=["Accuracy"] if "Accuracy" in known or not known else known[:1],
            selection_mode="multi",
            key="curves",
            bind="query-params",
            label_visibility="collapsed",
            wrap=True,
        )
        return Wish(list(wanted), *_axes(chosen))


def curves(chosen: list[Training], wish: Wish) -> None:
    """The curves that the visitor wants."""
    if not wish.curves:
        st.info("Choose at least one curve.", icon=":material/show_chart:")
        return
    alt = f"Training and validation by {wish.axis.lower()}: {', '.join(wish.curves).lower()}"
    chart(figures.curves_figure(chosen, *wish), "curves", alt)
    _say_what_is_missing(chosen, wish)


def _axes(chosen: list[Training]) -> tuple[str, float, bool, bool]:
    with st.popover("Axes", icon=":material/tune:", help=f"{TERMS['Loss']}\n\n{TERMS['Macro-F1']}"):
        axis = one_of("Horizontal axis", list(figures.AXES), "Epoch", "axis")
        smoothing = st.slider(
            "Smoothing",
            0.0,
            0.9,
            0.0,
            0.1,
            key="smoothing",
            bind="query-params",
            help="Weight of the epochs before. The learning rate is never smoothed.",
        )
        log_scale = st.toggle("Logarithmic loss and learning rate", False, key="log", bind="query-params")
        repeated = len({history.recipe_key(training) or training.run_id for training in chosen}) < len(chosen)
        grouped = repeated and st.toggle("Mean and range of repeats", True, key="grouped", bind="query-params")
    return axis, smoothing, log_scale, grouped


def _say_what_is_missing(chosen: list[Training], wish: Wish) -> None:
    gaps = [training for training in chosen if any(training.column(figures.AXES[wish.axis]).isna())]
    if gaps:
        names = ", ".join(literal(training.name) for training in gaps)
        st.caption(
            f"{wish.axis} cannot be counted beyond an unknown epoch, so curves of {names} end there or are missing."
        )
    if len(chosen) == 1 and "Loss" in wish.curves and len(chosen[0].epochs):
        st.caption(literal(words.why_training_loss_is_higher(chosen[0])))


def stage_dots(chosen: list[Training], parts: list[Training]) -> None:
    """Accuracy of each stage, of all chosen trainings side by side."""
    tables = {history.shown_names(chosen)[t.run_id]: history.stage_table(t) for t in chosen}
    if len(chosen) == 1 and len(parts) > 1:
        tables = {chosen[0].name: history.story_table(parts)}
    tables = {name: stages for name, stages in tables.items() if len(stages)}
    if not tables:
        st.info("No epoch is finished yet.", icon=":material/hourglass_top:")
        return
    chart(
        figures.stages_figure(tables),
        "stages",
        "Final training, final validation and best validation accuracy by stage",
    )


def stage_rows(chosen: list[Training], parts: list[Training]) -> pd.DataFrame:
    """The stage tables of all chosen trainings, or of a lineage, with what changed on the validation photos where that is known."""
    if len(chosen) == 1:
        named = [*zip(history.shown_names(parts).values(), parts, strict=True)]
        rows = history.story_table(parts)
    else:
        named = [(history.shown_names(chosen)[training.run_id], training) for training in chosen]
        rows = pd.concat(
            [history.stage_table(training).assign(run=name) for name, training in named], ignore_index=True
        )
    tested = [_tested(training).assign(run=name) for name, training in named]
    if len(rows) == 0 or len(chosen) == 1 and len(parts) > 1:
        return rows
    changes = pd.concat(tested, ignore_index=True)
    return rows.merge(changes, on=["run", "stage"], how="left") if len(changes) else rows


def _tested(training: Training) -> pd.DataFrame:
    return changes_table(stage_predictions(training))


def stage_table(chosen: list[Training], parts: list[Training]) -> None:
    """The stages in figures."""
    rows = stage_rows(chosen, parts)
    if len(rows):
        several = len(chosen) > 1 or len(parts) > 1
        columns = [*["run"] * several, *STAGES, *(name for name in CHANGES if name in rows), *COSTS]
        table(rows, [name for name in columns if any(pd.notna(value) and value != "" for value in rows[name])])
