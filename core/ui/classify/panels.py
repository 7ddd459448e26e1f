"""What else there is to know of the selected box: folded until it is asked for."""

from __future__ import annotations

import streamlit as st
from cachetools import LRUCache

from core.artifacts.run import Run
from core.errors import InvalidRegion
from core.images.region import clamp, parse_roi
from core.inference.classifier import Classifier
from core.inference.faithfulness import DeletionCurve, deletion_curve
from core.inference.verdict import class_name, rounded
from core.ui.classify import boxes, compare, feedback, neighbours
from core.ui.classify.viewer import Shown
from core.ui.markdown import told

SIMILAR, COMPARE, FAITHFULNESS, MISTAKE, TYPE = PANELS = (
    "Similar photos",
    "Compare classes",
    "Faithfulness",
    "Report a mistake",
    "Type a box",
)
ICONS = {
    SIMILAR: ":material/photo_library:",
    COMPARE: ":material/compare:",
    FAITHFULNESS: ":material/fact_check:",
    MISTAKE: ":material/flag:",
    TYPE: ":material/keyboard_alt:",
}
CURVES = 100  # of a session
NAMED_SHARE = 0.2  # of the photo hidden, at which the deletion curve is put in words
PANEL, TYPED, NOT_TYPED = "panel", "typed_box", "typed_box_problem"


def curve_if_asked(classifier: Classifier, shown: Shown) -> DeletionCurve | None:
    """The deletion curve of the selected box where its panel is open; kept for the session."""
    if st.session_state.get(PANEL) != FAITHFULNESS:
        return None
    seen = shown.selected
    name, _ = shown.heat.classes(seen.answer.label)
    kept = st.session_state.setdefault("curves", LRUCache(CURVES))
    key = classifier.run.run_id, shown.photo.sha256, seen.mark.region, name
    if key not in kept:
        with st.spinner("Testing the heat map…"):
            index = classifier.labels.index(name)
            kept[key] = deletion_curve(classifier, shown.photo, seen.mark.region, seen.reading, index)
    return kept[key]


def panels(run: Run, shown: Shown, curve: DeletionCurve | None) -> None:
    """A row of choices, and below it what was chosen.

    Args:
        run: the one that answers.
        shown: the photo looked at.
        curve: of `curve_if_asked`.
    """
    st.pills(
        "More about this box",
        PANELS,
        format_func=lambda panel: f"{ICONS[panel]} {panel}",
        key=PANEL,
        label_visibility="collapsed",
    )
    panel, seen = st.session_state.get(PANEL), shown.selected
    if panel == SIMILAR:
        neighbours.nearest(run, seen.reading)
    elif panel == COMPARE:
        compare.candidates(shown.labels, shown.photo, seen, shown.heat)
    elif panel == FAITHFULNESS and curve:
        _faithfulness(shown, curve)
    elif panel == MISTAKE:
        feedback.correct(run, shown.photo, seen.mark, seen.answer)
    elif panel == TYPE:
        _type_a_box(shown)


def _faithfulness(shown: Shown, curve: DeletionCurve) -> None:
    name, _ = shown.heat.classes(shown.selected.answer.label)
    before, after = (rounded(curve.probabilities[i]) for i in (0, curve.hidden.index(NAMED_SHARE)))
    st.caption(
        f"The curve beside the heat map shows the probability of {class_name(name)} as the photo is hidden, the hottest places first. "
        "The faster it falls, the more the network relied on what the heat map shows. "
        f"Hiding the hottest {NAMED_SHARE:.0%} changes {class_name(name)} from {before} to {after}."
    )


def _type_a_box(shown: Shown) -> None:
    photo = shown.photo
    with st.container(width=420):
        st.text_input(
            "Left, top, width and height, in pixels of the photo",
            key=TYPED,
            placeholder=f"0,0,{photo.width},{photo.height // 2}",
            on_change=_add_typed,
            args=(photo.sha256, photo.size),
        )
        if problem := st.session_state.pop(NOT_TYPED, None):
            st.error(told(problem), icon=":material/crop_free:")


def _add_typed(sha256: str, size: tuple[int, int]) -> None:
    """Put the box that was typed in beside those on the photo; what is wrong with it is said under the field."""
    if not st.session_state[TYPED].strip():
        return
    try:
        boxes.add(size, sha256, clamp(parse_roi(st.session_state[TYPED]), *size))
    except InvalidRegion as error:
        st.session_state[NOT_TYPED] = str(error)
        return
    st.session_state[TYPED] = ""
