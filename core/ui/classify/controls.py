"""The sidebar of the classify page: what may be answered, and how heat maps are shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.analysis.glossary import TERMS
from core.artifacts.labels import ALL, LabelSet
from core.artifacts.predictions import prediction_file, read_predictions
from core.artifacts.run import Run
from core.errors import GarmentError
from core.inference.classifier import HOTTEST
from core.inference.postprocess import BIASED_GROUP, Controls, apply_controls
from core.settings import DEFAULTS
from core.ui.markdown import told

REFERENCE_BIAS = 0.6


def answer_controls(run: Run) -> tuple[Controls, int]:
    """Group filter, upper-body bias and number of classes; all of them stand in the page's address."""
    labels = run.labels
    st.subheader("Answer", divider="gray")
    group = st.segmented_control(
        "Kinds",
        labels.group_choices,
        default=ALL,
        required=True,
        format_func=str.capitalize,
        key="group",
        bind="query-params",
        help="Only these kinds may be answered; their probabilities are scaled to add up to 100%.",
    )
    bias = _bias_slider() if BIASED_GROUP in labels.groups else 1.0
    set_to = Controls(group or ALL, bias)
    file = prediction_file(run)
    if set_to != Controls() and file:
        try:
            st.caption(_effect(set_to, run.path(file), labels))
        except GarmentError as error:  # the run's folder is gone or damaged; the network in memory goes on
            st.caption(f":material/warning: What this does to the accuracy cannot be said. {told(error)}")
    top_k = st.slider(
        "Kinds listed",
        1,
        len(labels),
        min(5, len(labels)),
        key="top_k",
        bind="query-params",
        help=f"The network knows {len(labels)} kinds, so at most these. CSV and JSON always have all.",
    )
    return set_to, top_k


def _bias_slider() -> float:
    return st.slider(
        "Upper-body bias",
        0.0,
        1.0,
        1.0,
        0.05,
        key="bias",
        bind="query-params",
        help=f"Probabilities of {BIASED_GROUP.lower()} are multiplied by this, then all are scaled to add up to 100%. "
        f"1 is off; the published desktop program used {REFERENCE_BIAS}.",
    )


@st.cache_data(max_entries=64, show_spinner=False)
def _effect(controls: Controls, file: Path, _labels: LabelSet) -> str:
    """What a filter and a bias do to the accuracy on the run's test photos, in words; a filter's on photos of its own kinds."""
    predictions = read_predictions(file, file.name, _labels)
    shown = _labels.mask(controls.group)[predictions.true]
    answered = apply_controls(predictions.probabilities, _labels, controls).argmax(axis=1)
    before, after = ((chosen == predictions.true)[shown].mean() for chosen in (predictions.predicted, answered))
    kind = "" if controls.group == ALL else f" of {controls.group.lower()}"
    return (
        f"Set like this, {after:.1%} of the {shown.sum():,} test photos{kind} are named right; otherwise, {before:.1%}."
    )


@dataclass(frozen=True)
class HeatSettings:
    """How heat maps are shown.

    Args:
        shown: whether at all.
        view: one of VIEWS.
        opacity: in [0, 1].
        class_name: the class to explain; the answer itself if None.
        against: the class it is held against, showing the difference of both maps; None for a plain map.
        tested: whether to say what the answer would be with the hottest places painted over.
    """

    shown: bool
    view: str
    opacity: float
    class_name: str | None
    against: str | None
    tested: bool


ANSWER, NOTHING = "the answer", "nothing"
OVERLAY, SIDE_BY_SIDE, CONTOUR = VIEWS = ("Overlay", "Side by side", "Contour")


def heat_controls(labels: LabelSet) -> HeatSettings:
    """Heat map on or off, of which class, against which, how opaque."""
    st.subheader("Heat map", divider="gray")
    shown = st.toggle(
        "Show where the network looked",
        True,
        key="heat",
        bind="query-params",
        help=TERMS["Grad-CAM"],
    )
    view = st.pills("View", VIEWS, default=OVERLAY, required=True, key="view", bind="query-params", disabled=not shown)
    name = st.selectbox("Explain", [ANSWER, *labels.names], key="explain", bind="query-params", disabled=not shown)
    against = st.selectbox(
        "and not",
        [NOTHING, *labels.names],
        key="against",
        bind="query-params",
        disabled=not shown,
        help="Shows what speaks for the one (blue) and what for the other (red).",
    )
    opacity = st.slider(
        "Opacity", 0.0, 1.0, DEFAULTS.opacity, 0.05, key="opacity", bind="query-params", disabled=not shown
    )
    tested = st.toggle(
        "Test the map",
        False,
        key="test",
        bind="query-params",
        disabled=not shown,
        help=f"Paints over the hottest {HOTTEST:.0%} and asks the network again: if the map is faithful, the probability falls.",
    )
    return HeatSettings(
        shown,
        view or OVERLAY,
        opacity,
        None if name == ANSWER else name,
        None if against == NOTHING else against,
        tested and shown,
    )
