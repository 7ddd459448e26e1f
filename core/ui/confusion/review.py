"""One queue of photos whose label is in doubt, suspected or reported, each judged at a key; and what the corrections change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from core.analysis.review import LEFT_OUT, corrected_accuracy, decision_table
from core.artifacts.predictions import Predictions
from core.errors import FeedbackUnavailable
from core.feedback import NONE_OF_THESE, Stored, decide, decisions, kept_region, latest
from core.images.encode import data_url, jpeg
from core.inference.verdict import class_name, rounded
from core.settings import DATA, feedback_file, reviews
from core.ui.confusion import cell
from core.ui.confusion.photos import download, photo_table
from core.ui.confusion.source import Selection, Source
from core.ui.markdown import literal, told
from core.ui.thumbnails import picture

SIZE, WIDTH = (480, 640), 240  # of the photo in judgement: pixels at most, and points on the page
DECIDED, SKIPPED = "review_decided", "review_skipped"  # what a session keeps, by what is reviewed
CATALOGUE = "catalogue"  # ids of the catalogue and of reported photos mean the same in every run
METHOD = "Confident learning (Northcutt et al. 2021): another class is as probable as it usually is on its own photos."
TITLES = {"label": "Label", "p_label": "Its probability", "suggested": "Suggested", "p_suggested": "Probability"}


class Item(NamedTuple):
    """A photo to judge.

    Args:
        photo: its id.
        given: its label until now; of a reported photo, what was predicted.
        suggested: the class that the network, or whoever reported it, thinks correct; LEFT_OUT for none of the classes.
        words: what is known of it, as Markdown.
        reported: the correction it comes from; None if its label is suspected.
    """

    photo: str
    given: str
    suggested: str
    words: str
    reported: Stored | None = None


def tab(source: Source, selection: Selection) -> None:
    """The queue, and the list of all suspected label errors."""
    predictions = source.predictions
    suspects = cell.suspects(predictions, source.key)
    suspects = suspects.iloc[np.flatnonzero(selection.chosen[suspects["row"]])]
    table = suspect_table(predictions, suspects)
    queue(source, table)
    if table.empty:
        st.caption("No suspected label errors: no photo looks more like another class.")
        return
    with st.expander(f"All {len(table):,} suspected label errors", icon=":material/list:"):
        st.markdown(
            f"{len(table):,} photos look more like another class; their labels may be wrong.",
            help=METHOD,
        )
        download(table, "suspected_label_errors.csv", label="All as CSV")
        photo_table(table, source, TITLES)


def suspect_table(predictions: Predictions, suspects: pd.DataFrame) -> pd.DataFrame:
    """Rows of `core.analysis.slices.suspected_label_errors` with the photos' details and the classes' names."""
    rows = suspects["row"].to_numpy()
    names = np.array(predictions.labels.names, dtype=object)
    details = predictions.table.iloc[rows].reset_index(drop=True)
    return details.assign(
        label=names[suspects["label"]],
        p_label=suspects["p_label"].to_numpy(),
        suggested=names[suspects["suggested"]],
        p_suggested=suspects["p_suggested"].to_numpy(),
    )


@st.fragment
def queue(source: Source, table: pd.DataFrame) -> None:
    """The first photo that is not judged yet, with a button and a key for each decision; then what the decisions change."""
    items = [*_reported(source), *_suspected(source, table)]
    try:
        decided = _decided(source)
    except FeedbackUnavailable as error:
        st.error(told(error), icon=":material/error:")
        return
    waiting = [item for item in items if item.photo not in decided]
    skipped: list[str] = st.session_state.setdefault(SKIPPED, {}).setdefault(_scope(source), [])
    now = next((item for item in waiting if item.photo not in skipped), next(iter(waiting), None))
    if now:
        _judge(source, now, len(items) - len(waiting), len(items))
    elif items:
        st.success(f"All {len(items):,} photos are reviewed.", icon=":material/done_all:")
    _outcome(source, decided, {item.photo: item.given for item in items})


def _scope(source: Source) -> str:
    return CATALOGUE if source.run else source.key


def _decided(source: Source) -> dict[str, str]:
    """Decisions by photo id: those in the file of corrections where the dashboard is open for reviews, else this session's."""
    if source.run and reviews():
        return decisions(feedback_file())
    return st.session_state.setdefault(DECIDED, {}).setdefault(_scope(source), {})


def _decide(source: Source, photo: str, label: str | None) -> None:
    """Keep a decision, or take it back."""
    try:
        if source.run and reviews():
            decide(feedback_file(), photo, label)
        elif label is None:
            _decided(source).pop(photo, None)
        else:
            _decided(source)[photo] = label
    except FeedbackUnavailable as error:
        st.toast(f"Not saved. {told(error)}", icon=":material/error:")


def _skip(source: Source, photo: str) -> None:
    """Come back to a photo when all others are judged."""
    skipped: list[str] = st.session_state[SKIPPED][_scope(source)]
    if photo in skipped:
        skipped.remove(photo)
    skipped.append(photo)


def _suspected(source: Source, table: pd.DataFrame) -> list[Item]:
    """Photos with suspected label errors that can be looked at."""
    if source.photos is None:
        if len(table):
            st.caption(f"To review suspected label errors, set `{DATA}` to the data set's zip file or folder.")
        return []
    return [_suspect(row) for row in table.to_dict("records") if str(row["id"]) in source.photos.names]


def _suspect(row: Mapping[Any, Any]) -> Item:
    known = [row[name] for name in ("product", "colour", "usage") if isinstance(row.get(name), str)]
    details = " · ".join([f"id {row['id']}", *known])
    label, suggested = str(row["label"]), str(row["suggested"])
    words = (
        f"**Suspected label error**  \nLabelled **{literal(class_name(label))}** ({rounded(row['p_label'])}). "
        f"The network predicts **{literal(class_name(suggested))}** ({rounded(row['p_suggested'])}).  \n"
        f":gray[:small[{literal(details)}]]"
    )
    return Item(str(row["id"]), label, suggested, words)


def _reported(source: Source) -> list[Item]:
    """Mistakes that visitors reported and left the photo of, where the dashboard is open for reviews."""
    if source.run is None or not reviews():
        return []
    try:
        return [_report(one) for one in latest(feedback_file()) if one.photo_kept]
    except FeedbackUnavailable:
        return []  # said where decisions are read


def _report(stored: Stored) -> Item:
    said = stored.correction
    words = (
        f"**Reported mistake**  \nPredicted **{literal(class_name(said.predicted))}** ({rounded(said.probability)}). "
        f"A visitor says **{literal(class_name(said.corrected))}**.  \n"
        f":gray[:small[id {stored.photo_id} · {literal(stored.time[:10])}]]"
    )
    suggested = LEFT_OUT if said.corrected == NONE_OF_THESE else said.corrected
    return Item(str(stored.photo_id), said.predicted, suggested, words, stored)


def _judge(source: Source, item: Item, done: int, total: int) -> None:
    st.progress(done / total, f"{done:,} of {total:,} reviewed")
    left, right = st.columns([1, 3], gap="medium", vertical_alignment="center")
    with left:
        _photo(source, item)
    with right:
        st.markdown(item.words)
        with st.container(horizontal=True):
            _decision(source, item, item.suggested, "1", ":material/check:", primary=True)
            _decision(source, item, item.given, "2", ":material/label:")
            if item.suggested != LEFT_OUT:
                _decision(source, item, LEFT_OUT, "0", ":material/block:")
            st.button("Skip", on_click=_skip, args=(source, item.photo), shortcut="s", key="review_skip")
        _other_class(source, item)


def _decision(source: Source, item: Item, label: str, key: str, icon: str, primary: bool = False) -> None:
    st.button(
        literal(class_name(label)) if label else NONE_OF_THESE.capitalize(),
        icon=icon,
        on_click=_decide,
        args=(source, item.photo, label),
        shortcut=key,
        key=f"review_{key}",
        type="primary" if primary else "secondary",
        help="Correct class" if label else "Leaves the photo out of training and tests",
    )


def _other_class(source: Source, item: Item) -> None:
    others = [name for name in source.predictions.labels.names if name not in (item.given, item.suggested)]
    key = f"review_other_{item.photo}"
    st.selectbox(
        "Another class",
        others,
        index=None,
        format_func=class_name,
        key=key,
        on_change=lambda: _decide(source, item.photo, st.session_state[key]),
        width=260,
    )


def _photo(source: Source, item: Item) -> None:
    data = b""
    if item.reported:
        try:
            image = kept_region(feedback_file(), item.reported)
            image.thumbnail(SIZE)
            data = jpeg(image, 88)
        except FeedbackUnavailable as error:
            st.caption(told(error))
    elif source.photos:
        data = picture(source.photos.read([item.photo]).get(item.photo, b""), SIZE)
    if data:
        st.image(data_url(data), width=WIDTH, alt=f"Photo {item.photo}")
    else:
        st.caption(":material/broken_image: This photo cannot be read.")


def _outcome(source: Source, decided: dict[str, str], given: dict[str, str]) -> None:
    """The accuracy with the corrections, the way back, and the file for the trainer."""
    if not decided:
        return
    known = dict(zip(source.predictions.table["id"].astype(str), _given(source.predictions), strict=True)) | given
    words = corrected_accuracy(source.predictions, decided).words
    if words:
        st.markdown(
            f"**{words}**",
            help="Only photos on which the network and the label disagree are in the queue, so this accuracy is an upper estimate.",
        )
    with st.container(horizontal=True):
        last = next(reversed(decided))
        st.button(
            "Take back the last decision",
            on_click=_decide,
            args=(source, last, None),
            icon=":material/undo:",
            shortcut="b",
            key="review_back",
        )
        download(decision_table(decided, known), "label_corrections.csv", label="Export decisions", key="review_export")
    if source.run:
        st.caption(
            "To fit the head of the network again on reported mistakes and corrected training photos: "
            "`python -m train --data DATA head --feedback label_corrections.csv RUN`. Test photos never train; their corrected labels "
            "only measure."
        )


def _given(predictions: Predictions) -> np.ndarray:
    return np.array(predictions.labels.names, dtype=object)[predictions.true]
