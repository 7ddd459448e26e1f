"""The predictions of the batch page: one row a photo, or one row a garment found in it. What a visit has classified is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from core.bulk.garments import Garments, find_all
from core.bulk.pipeline import Request, predict_in_turns
from core.bulk.table import THUMBNAIL, garment_rows, row, table
from core.images import sandbox
from core.images.sources import PhotoFile, batched
from core.inference.classifier import Classifier
from core.ui import session
from core.ui.choice import one_of
from core.ui.markdown import told
from core.ui.waiting import turn

FOUND_IN_A_TURN = 4  # photos
PHOTOS, GARMENTS = "Photos", "Garments"

Row = dict[str, Any]
Progress = Callable[[int], None]


def answers(classifier: Classifier, photos: dict[str, PhotoFile], of: str) -> pd.DataFrame:
    """Predictions as `core.bulk.table.table`; photos new in this session are classified now, with a progress bar.

    Args:
        classifier: the session's.
        photos: by an id.
        of: PHOTOS, or GARMENTS; a photo in which none is found keeps a row of its own.
    """
    rows: dict[str, Row] = _kept("photos", classifier, photos)
    _work("Classifying", photos, rows, partial(_classify, classifier))
    if of == PHOTOS:
        return table(rows[key] for key in photos)
    found: dict[str, list[Row]] = _kept("garments", classifier, photos)
    readable = {key: photo for key, photo in photos.items() if not rows[key]["error"]}
    _work("Looking for garments", readable, found, partial(_find, classifier))
    return table(garment for key in photos for garment in found.get(key) or [rows[key]])


def rows_wanted(classifier: Classifier) -> str:
    """What the visitor wants a row of: PHOTOS or GARMENTS."""
    if not classifier.finds:
        return PHOTOS
    return one_of(
        "Rows",
        [PHOTOS, GARMENTS],
        PHOTOS,
        "batch_rows",
        help="Garments are found in each photo, and each is classified by itself.",
    )


def _kept(kind: str, classifier: Classifier, photos: dict[str, PhotoFile]) -> dict[str, Any]:
    """What this session knows of the photos from this run, by photo; of other photos and runs it is forgotten."""
    kept = st.session_state.setdefault("batch", {}).setdefault(kind, {})
    if classifier.run.run_id not in kept:  # another run is shipped now
        kept.clear()
    rows: dict[str, Any] = kept.setdefault(classifier.run.run_id, {})
    for gone in rows.keys() - photos.keys():
        del rows[gone]
    return rows


def _work(
    what: str,
    photos: dict[str, PhotoFile],
    done: dict[str, Any],
    do: Callable[[dict[str, PhotoFile], dict[str, Any], Progress], None],
) -> None:
    """Do what is not done yet; `done` grows with each batch, so that what the visitor interrupts is continued at the next rerun."""
    waiting = {key: photo for key, photo in photos.items() if key not in done}
    if not waiting:
        return
    total, start = len(waiting), time.perf_counter()
    bar = st.progress(0.0, f"{what}: 0 of {total} photos")

    def progress(finished: int) -> None:
        bar.progress(finished / total, f"{what}: {_progress(finished, total, time.perf_counter() - start)}")

    do(waiting, done, progress)
    bar.empty()


def _progress(done: int, total: int, seconds: float) -> str:
    left = round((total - done) * seconds / done)
    return f"{done} of {total} photos · {done / seconds:.1f} images/s · {left // 60}:{left % 60:02} left"


def _classify(classifier: Classifier, waiting: dict[str, PhotoFile], rows: dict[str, Any], progress: Progress) -> None:
    keys, done = iter(waiting), 0
    decode = partial(sandbox.decode_apart, visitor=session.visitor())
    take_turn = partial(turn, st.empty())
    for results in predict_in_turns(classifier, waiting.values(), Request(picture=THUMBNAIL), decode, take_turn):
        of_batch = [(next(keys), result) for result in results]
        rows.update((key, row(key, result)) for key, result in of_batch)
        done += len(of_batch)
        progress(done)


def _find(classifier: Classifier, waiting: dict[str, PhotoFile], rows: dict[str, Any], progress: Progress) -> None:
    decode = partial(sandbox.decode_apart, visitor=session.visitor())
    keys, done, line = iter(waiting), 0, st.empty()
    for files in batched(waiting.values(), FOUND_IN_A_TURN):
        with turn(line):
            looked_at = [*find_all(classifier, files, out_of_scope=True, decode=decode)]
        for garments in looked_at:
            key = next(keys)
            rows[key] = garment_rows(key, garments)
            _say(garments)
        done += len(looked_at)
        progress(done)


def _say(garments: Garments) -> None:
    """Name a photo whose garments cannot be looked for; its row stays."""
    if garments.error:
        st.warning(told(garments.error), icon=":material/search_off:")
