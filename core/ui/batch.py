"""The widgets of the batch page: uploading many photos, the progress of their classification, and the table of predictions."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st
from PIL import Image

from core.artifacts.labels import OUT_OF_SCOPE, LabelSet
from core.bulk.pipeline import Request, predict
from core.bulk.table import (
    LOW_CONFIDENCE,
    MAX_PHOTOS,
    THUMBNAIL,
    Upload,
    answered,
    as_csv,
    class_counts,
    low_confidence,
    out_of_scope,
    photos_of,
    row,
    table,
    verdicts,
)
from core.images import sandbox
from core.images.decode import ACCEPTED_SUFFIXES
from core.images.sources import PhotoFile, batched
from core.inference.classifier import Classifier
from core.inference.verdict import class_name
from core.plots.bars import count_bars
from core.samples import garments
from core.ui import session
from core.ui.choice import one_of
from core.ui.markdown import told
from core.ui.session import shown_since

BATCH = 16  # photos between two looks at the clock
ROW_HEIGHT = 64
METRIC_WIDTH = 150
ALL_PHOTOS, TO_CHECK = "All", "To check"


def upload() -> dict[str, PhotoFile]:
    """Upload of photos and zip files; returns the photos in them and shows what is left out."""
    files = st.file_uploader(
        "Photos of clothes, or zip files of them",
        type=["zip", *(suffix.lstrip(".") for suffix in ACCEPTED_SUFFIXES)],
        accept_multiple_files=True,
        key="batch_upload",
        help=f"At most {MAX_PHOTOS} photos at once. They stay in this session and are never stored.",
    )
    sandbox.start()
    photos, problems = photos_of(Upload(file.file_id, file.name, file.getvalue()) for file in files)
    for problem in problems:
        st.error(told(problem), icon=":material/folder_zip:")
    return photos or (samples() if st.session_state.get("batch_samples") and not files else {})


def invite() -> None:
    """What to do on the empty page, and samples for visitors without photos."""
    st.info(
        "Drop photos or a zip file of photos above. Every photo is classified, least confident first.",
        icon=":material/arrow_upward:",
    )
    st.button("Try samples", icon=":material/draw:", on_click=_use_samples)


def _use_samples() -> None:
    st.session_state["batch_samples"] = True


@st.cache_resource(show_spinner=False)
def samples() -> dict[str, PhotoFile]:
    """The samples of Home and a few of other things, by an id as `upload` gives it."""
    pictures = {f"{name} {seed}": garments.sample(name, seed) for name in garments.SHOWN for seed in range(1, 3)}
    pictures |= {f"Something else {seed}": garments.out_of_scope(seed) for seed in range(1, 4)}
    return {f"sample {name}": PhotoFile(f"{name}.png", _png(picture)) for name, picture in pictures.items()}


def _png(picture: Image.Image) -> Callable[[], bytes]:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue


def classify(classifier: Classifier, photos: dict[str, PhotoFile]) -> pd.DataFrame:
    """Predictions for the photos as `core.bulk.table.table`; those new in this session are classified now, with a progress bar."""
    rows = _rows_of_this_session(classifier.run.run_id)
    for gone in rows.keys() - photos.keys():
        del rows[gone]
    waiting = {key: photo for key, photo in photos.items() if key not in rows}
    if waiting:
        _classify(classifier, waiting, rows)
    return table(rows[key] for key in photos)


def _rows_of_this_session(run_id: str) -> dict[str, dict[str, Any]]:
    kept = st.session_state.setdefault("batch", {})
    if run_id not in kept:  # another run is shipped now
        kept.clear()
    return kept.setdefault(run_id, {})


def _classify(classifier: Classifier, waiting: dict[str, PhotoFile], rows: dict[str, dict[str, Any]]) -> None:
    """Rows grow with each batch, so that what the visitor interrupts is continued at the next rerun."""
    bar = st.progress(0.0, f"0 of {len(waiting)} photos")
    keys, done, start = iter(waiting), 0, time.perf_counter()
    decode = partial(sandbox.decode_apart, visitor=session.visitor())
    for results in predict(classifier, batched(waiting.values(), BATCH), Request(picture=THUMBNAIL), decode):
        rows.update((next(keys), row(result)) for result in results)
        done += len(results)
        bar.progress(done / len(waiting), _progress(done, len(waiting), time.perf_counter() - start))
    bar.empty()


def _progress(done: int, total: int, seconds: float) -> str:
    left = round((total - done) * seconds / done)
    return f"{done} of {total} photos · {done / seconds:.1f} images/s · {left // 60}:{left % 60:02} left"


def summary(answers: pd.DataFrame) -> None:
    """How many photos there are, and how many should be checked."""
    good = answered(answers)
    figures = (
        ("Classified", len(good), None),
        (OUT_OF_SCOPE, int(out_of_scope(good).sum()), "Photos that are probably not one of the classes."),
        ("Low confidence", int(low_confidence(good).sum()), f"Less than {LOW_CONFIDENCE:.0%} probable."),
        ("Unreadable", len(answers) - len(good), None),
    )
    with st.container(horizontal=True):  # two by two on a phone
        for label, number, explanation in figures:
            st.metric(label, number, help=explanation, width=METRIC_WIDTH)


def answers_table(answers: pd.DataFrame) -> None:
    """The predictions with thumbnails, the least confident first."""
    shown = answered(answers)
    choice = one_of("Photos", [ALL_PHOTOS, TO_CHECK], ALL_PHOTOS, "batch_shown")
    if choice == TO_CHECK:
        shown = shown.loc[out_of_scope(shown) | low_confidence(shown)]
    st.dataframe(
        verdicts(shown),
        hide_index=True,
        row_height=ROW_HEIGHT,
        column_config={
            "thumbnail": st.column_config.ImageColumn("Photo", width="small"),
            "class": st.column_config.TextColumn("Class"),
            "probability": st.column_config.ProgressColumn("Probability", format="percent", min_value=0, max_value=1),
            "next": st.column_config.TextColumn(
                "Next class", help="The second most probable class; for a photo out of scope, the most probable."
            ),
            "file": st.column_config.TextColumn("File"),
        },
    )


def class_bars(answers: pd.DataFrame, labels: LabelSet) -> None:
    """How many photos of each class there are."""
    counts = class_counts(answered(answers), labels)
    st.html(
        count_bars([*counts.assign(**{"class": counts["class"].map(class_name)}).itertuples(index=False, name=None)])
    )


def unreadable(answers: pd.DataFrame) -> None:
    """The photos that could not be read, with the reason."""
    bad = answers[answers["error"] != ""]
    if bad.empty:
        return
    st.warning(f"{len(bad)} could not be read; the others are classified.", icon=":material/broken_image:")
    columns = {
        "file": st.column_config.TextColumn("File", width="small"),
        "error": st.column_config.TextColumn("Reason", width="large"),
    }
    st.dataframe(bad[["file", "error"]], hide_index=True, column_config=columns)


def download(answers: pd.DataFrame) -> None:
    """All predictions as CSV, in the order of the photos."""
    csv = as_csv(answers)
    name = f"garments-{shown_since('batch_shown_since', csv):%Y%m%d-%H%M%S}.csv"
    st.download_button("Export CSV", csv, name, "text/csv", icon=":material/table:", on_click="ignore")
