"""The sidebar of the classify page: which classes may be predicted, and how heat maps are shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.analysis.glossary import TERMS
from core.artifacts.labels import ALL, LabelSet
from core.artifacts.predictions import prediction_file, read_predictions
from core.artifacts.run import Run
from core.errors import GarmentError
from core.inference.postprocess import BIASED_GROUP, Controls, apply_controls
from core.inference.verdict import class_name, group_name
from core.settings import DEFAULTS
from core.ui.choice import one_of
from core.ui.markdown import told

REFERENCE_BIAS = 0.6
TOP_PREDICTION, NONE = "top prediction", "none"
OVERLAY, SIDE_BY_SIDE, CONTOUR = VIEWS = ("Overlay", "Side by side", "Contour")


def answer_controls(run: Run) -> tuple[Controls, int]:
    """Filter, upper-body bias and number of results; all of them stand in the page's address."""
    labels = run.labels
    st.subheader("Prediction", divider="gray", anchor=False)
    group = one_of(
        "Filter",
        labels.group_choices,
        ALL,
        "group",
        format_func=group_name,
        width="stretch",
        help="Only these classes are considered; their probabilities add up to 100%.",
    )
    bias = _bias() if BIASED_GROUP in labels.groups else 1.0
    controls = Controls(group, bias)
    file = prediction_file(run)
    if controls != Controls() and file:
        try:
            st.caption(_effect(controls, run.path(file), labels))
        except GarmentError as error:  # the run's folder is gone or damaged; the network in memory goes on
            st.caption(f":material/warning: The effect on accuracy is not known. {told(error)}")
    top_k = st.slider(
        "Results shown",
        1,
        len(labels),
        min(DEFAULTS.top_k, len(labels)),
        key="top_k",
        bind="query-params",
        help=f"The network knows {len(labels)} classes. CSV and JSON always have all of them.",
    )
    return controls, top_k


def _bias() -> float:
    """The factor on bottomwear: 1 where the toggle is off."""
    on = st.toggle(
        "Upper-body bias",
        False,
        key="bias",
        bind="query-params",
        help=f"Multiplies the probabilities of bottomwear by a factor; the published program used {REFERENCE_BIAS}.",
    )
    if not on:
        return 1.0
    return st.slider(
        "Bottomwear × factor", 0.0, 1.0, REFERENCE_BIAS, 0.05, key="factor", bind="query-params", format="× %.2f"
    )


@st.cache_data(max_entries=64, show_spinner=False)
def _effect(controls: Controls, file: Path, _labels: LabelSet) -> str:
    """What a filter and a bias do to the accuracy on the run's test photos, in words; a filter's on photos of its own classes."""
    predictions = read_predictions(file, file.name, _labels)
    shown = _labels.mask(controls.group)[predictions.true]
    answered = apply_controls(predictions.probabilities, _labels, controls).argmax(axis=1)
    before, after = ((chosen == predictions.true)[shown].mean() for chosen in (predictions.predicted, answered))
    kind = "" if controls.group == ALL else f"{group_name(controls.group).lower()} "
    change = "unchanged" if f"{after:.1%}" == f"{before:.1%}" else f"without these settings {before:.1%}"
    return f"Accuracy on {shown.sum():,} {kind}test photos: {after:.1%} ({change})."


@dataclass(frozen=True)
class HeatSettings:
    """How heat maps are shown.

    Args:
        shown: whether at all.
        view: one of VIEWS.
        opacity: in [0, 1].
        class_name: the class to explain; the top prediction if None.
        against: the class it is compared with, showing the difference of both maps; None for a plain map.
    """

    shown: bool
    view: str
    opacity: float
    class_name: str | None
    against: str | None

    def classes(self, label: str) -> tuple[str, str | None]:
        """The class explained where `label` is the top prediction, and the class it is compared with; never the same twice."""
        name = self.class_name or label
        return name, None if self.against == name else self.against


def heat_controls(labels: LabelSet) -> HeatSettings:
    """Heat map on or off, of which class, compared with which, how opaque."""
    st.subheader("Heat map", divider="gray", anchor=False)
    shown = st.toggle("Show heat map", True, key="heat", bind="query-params", help=TERMS["Grad-CAM"])
    view = one_of("View", VIEWS, OVERLAY, "view", st.pills, disabled=not shown)
    name = st.selectbox(
        "Explain",
        [TOP_PREDICTION, *labels.names],
        key="explain",
        format_func=_choice,
        bind="query-params",
        disabled=not shown,
    )
    against = st.selectbox(
        "Compare with",
        [NONE, *(other for other in labels.names if other != name)],
        key="against",
        format_func=_choice,
        bind="query-params",
        disabled=not shown,
        help="Shows where the evidence differs: blue for the class explained, red for the class it is compared with.",
    )
    opacity = st.slider(
        "Opacity", 0.0, 1.0, DEFAULTS.opacity, 0.05, key="opacity", bind="query-params", disabled=not shown
    )
    return HeatSettings(
        shown,
        view or OVERLAY,
        opacity,
        None if name in (None, TOP_PREDICTION) else name,
        None if against in (None, NONE) else against,
    )


def _choice(option: str) -> str:
    return option.capitalize() if option in (TOP_PREDICTION, NONE) else class_name(option)


def proposal_control() -> bool:
    """Whether garments are boxed without a click."""
    st.subheader("Garments", divider="gray", anchor=False)
    return st.toggle(
        "Find garments at once",
        True,
        key="propose",
        bind="query-params",
        help="Boxes the garments of a photo that shows several, or that is out of scope as a whole.",
    )
