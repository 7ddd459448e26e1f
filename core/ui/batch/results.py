"""The batch page's results: figures, errors, filters, the table whose rows open in Classify, and the export."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from core.artifacts.labels import OUT_OF_SCOPE
from core.bulk.table import (
    EVERY_CONFIDENCE,
    LOW_CONFIDENCE,
    NEEDS_REVIEW,
    answered,
    as_csv,
    attribute_values,
    boxes_of,
    matching,
    needs_review,
    out_of_scope,
    predicted,
    verdicts,
)
from core.images.decode import display_name
from core.images.sources import PhotoFile
from core.inference.attributes import ATTRIBUTES
from core.inference.verdict import class_name
from core.plots.palette import MUTED
from core.ui.choice import one_of
from core.ui.handover import open_in_classify
from core.ui.markdown import literal, told
from core.ui.session import shown_since
from core.ui.shell import BATCH_PAGE

ROW_HEIGHT, TABLE_HEIGHT = 64, 640  # points; more rows scroll
METRIC_WIDTH, COUNTS_WIDTH = 118, 390  # points
FILTER_WIDTH = 160  # points: two stand side by side on a phone
FEW_ERRORS, ERRORS_HEIGHT = 4, 240  # more than these scroll
MOST_STYLED = 100_000  # cells
MOST_ERRORS = 200  # listed on the page; the export has all of them
ALL = "All"
OPENED, CLICK = "batch_opened", "batch_open_click"


def summary(answers: pd.DataFrame) -> None:
    """How many rows there are, how many should be reviewed, and how many of each class there are, side by side."""
    good = answered(answers)
    figures = (
        ("Classified", len(good), None),
        (NEEDS_REVIEW, int(needs_review(good).sum()), f"Less than {LOW_CONFIDENCE:.0%} probable."),
        (OUT_OF_SCOPE, int(out_of_scope(good).sum()), "Photos that are probably not one of the classes."),
        ("Unreadable", len(answers) - len(good), None),
    )
    counts = Counter(name for name in predicted(good) if name != OUT_OF_SCOPE)
    for label, number, explanation in figures:  # two by two on a phone
        st.metric(label, number, help=explanation, width=METRIC_WIDTH)
    said = " · ".join(f"{literal(class_name(name))} {photos}" for name, photos in counts.most_common())
    st.caption(said, width=COUNTS_WIDTH)


def unreadable(answers: pd.DataFrame) -> None:
    """The photos that could not be read, each with its reason in full."""
    bad = answers.loc[(answers["error"] != "").to_numpy()]
    if bad.empty:
        return
    said = f"{len(bad):,} could not be read; the others are classified"
    height = ERRORS_HEIGHT if len(bad) > FEW_ERRORS else "content"
    with st.expander(said, icon=":material/broken_image:"), st.container(height=height):
        shown = bad.head(MOST_ERRORS).to_dict("records")
        st.markdown("\n".join(f"- {told(_reason(row['file'], row['error']))}" for row in shown))
        if len(bad) > MOST_ERRORS:
            st.caption(f"The first {MOST_ERRORS} of {len(bad):,}. The CSV export has all of them.")


def _reason(file: str, error: str) -> str:
    """Why a photo could not be read, its name first."""
    name = display_name(file)
    return error if error.startswith(name) else f"{name}: {error}"


def filtered(answers: pd.DataFrame) -> pd.DataFrame:
    """The rows that pass the filters, those to review first."""
    good = answered(answers)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        which = one_of("Show", [ALL, NEEDS_REVIEW, OUT_OF_SCOPE], ALL, "batch_shown")
        classes = _choice("Class", "batch_class", sorted({*predicted(good)} - {OUT_OF_SCOPE}))
        values = {
            name: _choice(name.capitalize(), f"batch_{name}", options)
            for name, options in attribute_values(good).items()
        }
        confidence = st.slider(
            "Confidence", 0.0, 1.0, EVERY_CONFIDENCE, 0.05, key="batch_confidence", bind="query-params", width=220
        )
    chosen = {NEEDS_REVIEW: needs_review(good), OUT_OF_SCOPE: out_of_scope(good)}.get(which)
    return matching(good if chosen is None else good.loc[chosen], classes, confidence, values)


def _choice(label: str, key: str, options: list[str]) -> list[str]:
    return st.multiselect(
        label, options, format_func=class_name, key=key, bind="query-params", placeholder=ALL, width=FILTER_WIDTH
    )


def answers_table(answers: pd.DataFrame, shown: pd.DataFrame, photos: dict[str, PhotoFile]) -> None:
    """The predictions with thumbnails, those out of scope in grey; a row's button opens its photo in Classify."""
    if shown.empty:
        st.caption("Nothing passes these filters." if len(answered(answers)) else "Nothing could be classified.")
        return
    columns = verdicts(shown).assign(open=":material/open_in_new:")
    st.dataframe(
        _in_grey(columns),
        hide_index=True,
        row_height=ROW_HEIGHT,
        height="content" if len(shown) * ROW_HEIGHT < TABLE_HEIGHT else TABLE_HEIGHT,
        placeholder="",
        column_order=["open", *columns.columns.drop("open")],
        column_config={
            "open": st.column_config.ButtonColumn(
                "Open", type="tertiary", on_click=_opened, args=(shown.index.tolist(),), key=CLICK, width="small"
            ),
            "thumbnail": st.column_config.ImageColumn("Photo", width="small"),
            "status": st.column_config.TextColumn("Status", width=120),
            "class": st.column_config.TextColumn("Class", help="Out of scope: what the photo looks like."),
            "probability": st.column_config.ProgressColumn("Probability", format="percent", min_value=0, max_value=1),
            "next": st.column_config.TextColumn("Next class", help="The second most probable class."),
            **{name: st.column_config.TextColumn(name.capitalize()) for name in ATTRIBUTES},
            "file": st.column_config.TextColumn("File"),
        },
        alt="Predictions",
    )
    _open_chosen(answers, photos)


def _in_grey(columns: pd.DataFrame) -> pd.DataFrame | Styler:
    """The table with what is out of scope in grey, unless it is too large to style."""
    refused = [label for label, status in zip(columns.index, columns["status"], strict=True) if status == OUT_OF_SCOPE]
    if not refused or columns.size > MOST_STYLED:
        return columns
    grey = MUTED[st.context.theme.type or "light"]
    styled = columns.style.set_properties(subset=(refused, list(columns.columns)), color=grey)  # pyright: ignore[reportArgumentType]
    styled.format("", subset=["thumbnail"])  # pictures are sent as they are; a styled table sends its texts twice
    return styled


def _opened(rows: list[int]) -> None:
    """Leave it to the run that follows to open the photo: a callback cannot change the page."""
    st.session_state[OPENED] = rows[st.session_state[CLICK]["row"]]


def _open_chosen(answers: pd.DataFrame, photos: dict[str, PhotoFile]) -> None:
    row = st.session_state.pop(OPENED, None)
    if row not in answers.index:
        return
    photo = photos[str(answers["photo"][row])]
    boxes, selected = boxes_of(answers, row)
    open_in_classify(photo.name, photo.read(), page=BATCH_PAGE, boxes=boxes, selected=selected)


def download(answers: pd.DataFrame, shown: pd.DataFrame) -> None:
    """The rows that pass the filters as CSV, in the order of the photos; without filters those that could not be read too."""
    complete = len(shown) == len(answered(answers))
    rows = answers if complete else answers.loc[shown.index.sort_values()]
    since = shown_since("batch_shown_since", repr(rows[["photo", "label"]].to_numpy().tolist()))
    name = f"garments-{since:%Y%m%d-%H%M%S}.csv"
    st.download_button("Export CSV", lambda: as_csv(rows), name, "text/csv", icon=":material/table:", on_click="ignore")
