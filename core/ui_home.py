"""The widgets of the home page: a photo classified before the visitor's eyes, and what the shipped run is worth."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import streamlit as st
from PIL import Image

from core import samples
from core.bars import probability_bars
from core.classifier import Classifier
from core.dispatch import Dispatcher
from core.engine import Engine
from core.explain import overlay
from core.history import finished
from core.images import Photo
from core.runs import Run, find_runs, runs_folder

SHOWN = ("Shirts", "Jeans", "Tshirts", "Skirts", "Jackets", "Shorts")
SIZE = (480, 640)
HEAT_OPACITY = 0.55
TOP_K = 5
GRAIN = 2  # of 255


def demonstration(classifier: Classifier) -> None:
    """A drawn garment, classified by the real engine; another one at each click."""
    turn = st.session_state.setdefault("demonstration", 0)
    name = SHOWN[turn % len(SHOWN)]
    photo = _with_grain(_drawn(name, turn))
    start = time.perf_counter()
    reading = classifier.read([(photo, None)])[0]
    answer = classifier.answer(reading, k=TOP_K)
    picture = overlay(photo.image, reading.heat(classifier.labels.index(answer.label), photo.size), HEAT_OPACITY)
    milliseconds = 1000 * (time.perf_counter() - start)
    with st.container(border=True):
        left, middle, right = st.columns([1, 1, 1.5], vertical_alignment="center")
        left.image(photo.image, caption=f"Drawn in code: {name}", alt=f"A drawn garment: {name}")
        middle.image(picture, caption="Where the network looked", alt=f"Heat map of {answer.label}")
        with right:
            verdict = f"{answer.label} · {answer.probability:.0%}" if answer.in_scope else "Not one of these kinds"
            st.markdown(f"#### {verdict}")
            st.html(probability_bars(answer.ranking, classifier.labels, answer.in_scope))
            st.caption(f"Classified and explained in {milliseconds:.0f} ms, just now, on this machine.")
            st.button("Another one", icon=":material/refresh:", on_click=_next)


@st.cache_data(max_entries=12, show_spinner=False)
def _drawn(name: str, seed: int) -> Photo:
    image = samples.sample(name, seed, SIZE)
    return Photo(image, name, "drawn", f"{name}-{seed}", *image.size)


def _with_grain(photo: Photo) -> Photo:
    """The photo with a grain of its own, so that its answer is a new one and not remembered from another visitor."""
    pixels = np.asarray(photo.image).astype(np.int16)
    grain = np.random.default_rng().integers(-GRAIN, GRAIN, pixels.shape, endpoint=True)
    return replace(photo, image=Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)))


def _next() -> None:
    st.session_state["demonstration"] += 1


def headline(run: Run) -> None:
    """The shipped run's figures on photos it never saw, each with its interval."""
    metrics = run.read_json("metrics.json")
    test = metrics["test"]
    accuracy, scope = test["accuracy"], test["in_scope"]
    columns = st.columns(4)
    columns[0].metric(
        "Test accuracy",
        f"{accuracy['value']:.1%}",
        help=f"Share of {test['photos']} photos never used in training that are named right. 95% interval: "
        f"{accuracy['low']:.1%} to {accuracy['high']:.1%} (Wilson).",
    )
    columns[1].metric(
        "Macro-F1", f"{test['macro_f1']:.2f}", help="Mean of F1 over the kinds: rare ones count as much as common ones."
    )
    columns[2].metric(
        "Calibration error",
        f"{test['calibration_error']['after']:.1%}",
        help="How far shown probabilities are from how often they are right, on average (15 bins).",
    )
    columns[3].metric(
        "Tells other things apart",
        f"{scope['auroc']:.2f}",
        help=f"AUROC of refusing {scope['other_products']} photos of other products, such as shoes and bags. 1 is perfect, 0.5 is chance.",
    )
    st.caption(
        f"Run `{run.run_id}`: accuracy {accuracy['low']:.1%} to {accuracy['high']:.1%} with 95% confidence on {test['photos']} photos. "
        + _beside_published()
    )


def _beside_published() -> str:
    """What the published reference reached, read from its run folder; nothing if that is not there."""
    published = [run for run in find_runs(runs_folder())[0] if run.manifest["origin"] == "published"]
    if not published:
        return ""
    best = finished(published[0]).best
    return (
        "" if best is None else f"The published reference reached {best['val_accuracy']:.2%} on its validation photos."
    )


def provider(engine: Engine | Dispatcher) -> None:
    """Where the network runs, and why not on better hardware that is there."""
    where = engine.provider.removesuffix("ExecutionProvider")
    st.caption(f"The network runs on ONNX Runtime ({where}).")
    if engine.provider_problem:
        st.warning(f"{engine.provider_problem}. The network runs on the processor instead.", icon=":material/memory:")


def doors() -> None:
    """The pages, with what each is for."""
    columns = st.columns(4)
    pages = [
        (
            "pages/1_Classify.py",
            "Classify a photo",
            ":material/checkroom:",
            "Upload or shoot a photo, draw boxes, see kinds and heat maps.",
        ),
        (
            "pages/4_Batch.py",
            "Classify many",
            ":material/photo_library:",
            "Drop a zip or many photos, get a table and a CSV.",
        ),
        (
            "pages/2_Training_history.py",
            "Training history",
            ":material/show_chart:",
            "How the network learned, stage by stage.",
        ),
        (
            "pages/3_Confusion_matrix.py",
            "Confusion matrix",
            ":material/grid_on:",
            "What it takes for what, down to single photos.",
        ),
    ]
    for column, (path, label, icon, text) in zip(columns, pages, strict=True):
        with column.container(border=True, height="stretch"):
            st.page_link(path, label=f"**{label}**", icon=icon)
            st.caption(text)
