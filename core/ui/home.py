"""The widgets of the home page: a sample classified just now, and how good the shipped run is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import streamlit as st
from PIL import Image

from core.analysis.glossary import TERMS
from core.artifacts.measures import Metrics, Rate, Share
from core.artifacts.run import Run, find_runs
from core.errors import BrokenRun
from core.images.decode import Photo
from core.images.encode import data_url, jpeg
from core.inference.verdict import class_name, verdict
from core.plots.bars import probability_bars
from core.samples import garments
from core.settings import DEFAULTS
from core.stopwatch import timed
from core.ui import markdown, session, shell, waiting
from core.ui.shell import BATCH_PAGE, CLASSIFY_PAGE, CONFUSION_PAGE, HISTORY_PAGE

if TYPE_CHECKING:
    from core.inference.batching import Dispatcher
    from core.inference.engine import Engine
SIZE = (480, 640)
GRAIN = 2  # of 255
ALIGNED = (
    "<style>.st-key-doors a {padding-inline: 0}</style>"  # a link is indented; its title should stand above its text
)
DOORS = (
    (CLASSIFY_PAGE, "Classify a photo", ":material/checkroom:", "Upload or take a photo and box the garments."),
    (HISTORY_PAGE, "Training history", ":material/show_chart:", "How the network learned, stage by stage."),
    (CONFUSION_PAGE, "Confusion matrix", ":material/grid_on:", "Which classes it confuses, photo by photo."),
    (BATCH_PAGE, "Batch", ":material/photo_library:", "Many photos at once, the least confident first."),
)


def page() -> None:
    """The first page: what this is, a prediction made just now, and how good the network is."""
    shell.page("Home")
    st.title("Garment Lens", anchor=False)
    with shell.errors_shown():
        run = session.session_run()
        st.markdown(
            f"A neural network (ResNet50) that recognises **{len(run.labels)} classes of clothes**, with a confidence and a heat map for "
            "every prediction."
        )
        above = st.container(border=True)  # filled last: the page need not wait for the network
        headline(run)
        evidence(run)
        doors()
        with above:
            demonstration()


def demonstration() -> None:
    """A sample, classified by the network that serves; another one at each click. The sample stands there while the network is loaded."""
    from core.plots.heatmap import overlay, side_by_side

    turn = st.session_state.setdefault("demonstration", 0)
    name = garments.SHOWN[turn % len(garments.SHOWN)]
    photo = _with_grain(_sample(name, turn))
    left, right = st.columns([1, 1.15], vertical_alignment="center")
    shown = left.empty()
    if session.CLASSIFIER not in st.session_state:
        shown.image(
            data_url(jpeg(side_by_side(photo.image, photo.image))),
            caption=f"{class_name(name)} (sample)",
            alt=f"A sample garment ({class_name(name)})",
            width="stretch",
        )
    with right:
        classifier = session.classifier()
        start = time.perf_counter()
        reading = classifier.read([(photo, None)])[0]
        answer = classifier.answer(reading, k=DEFAULTS.top_k)
        with timed("heat map"):
            heat = reading.heat(classifier.labels.index(answer.label), photo.size)
            picture = overlay(photo.image, heat, DEFAULTS.opacity)
        milliseconds = 1000 * (time.perf_counter() - start)
        words = verdict(answer, len(classifier.labels))
        st.markdown(f"## {words.short}")
        st.caption(" · ".join(part for part in (words.confidence, words.note) if part))
        st.html(probability_bars(answer.ranking, classifier.labels, answer.in_scope))
        took(milliseconds, classifier.engine)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button("Show another", icon=":material/refresh:", on_click=_next)
            st.page_link(CLASSIFY_PAGE, label="Use your own photo", icon=":material/add_a_photo:")
    shown.image(
        data_url(jpeg(side_by_side(photo.image, picture))),
        caption=f"{class_name(name)} (sample), and the heat map of the prediction",
        alt=f"A sample garment ({class_name(name)}), and the same with a heat map of {class_name(answer.label)}",
        width="stretch",
    )
    waiting.speed()


@st.cache_data(max_entries=12, show_spinner=False)
def _sample(name: str, seed: int) -> Photo:
    image = garments.sample(name, seed, SIZE)
    return Photo(image, name, "drawn", f"{name}-{seed}", *image.size)


def _with_grain(photo: Photo) -> Photo:
    """The photo with noise of its own, so that the network runs now; otherwise an earlier result would be reused."""
    pixels = np.asarray(photo.image).astype(np.int16)
    grain = np.random.default_rng().integers(-GRAIN, GRAIN, pixels.shape, endpoint=True)
    return replace(photo, image=Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)))


def _next() -> None:
    st.session_state["demonstration"] += 1


class Figure(NamedTuple):
    """A measure of the run: what it is called, its value, what stands below it, and the explanation behind its question mark."""

    label: str
    value: str
    note: str
    explanation: str


def headline(run: Run) -> None:
    """How good the shipped run is on photos it never saw, each figure with its interval, beside the published reference."""
    try:
        figures = list(_figures(run.metrics, _published()))
    except BrokenRun as error:  # the network in memory goes on
        st.warning(f"The figures of this run cannot be shown. {markdown.told(error)}")
        return
    with st.container(horizontal=True):
        for figure in figures:
            with st.container(gap=None):
                st.metric(figure.label, figure.value, help=figure.explanation)
                st.caption(figure.note)


def _figures(metrics: Metrics, published: Metrics) -> Iterator[Figure]:
    """What was measured; a measure that the run does not have is left out."""
    test, latency = metrics.test, metrics.latency
    if test.accuracy.value is not None:
        yield Figure(
            "Test accuracy",
            f"{test.accuracy.value:.1%}",
            f"{_interval(test.accuracy)}{_beside(published.test.accuracy.as_published)}",
            f"Accuracy on {test.photos:,} photos that were never used in training, with its 95% Wilson interval. Published is what the "
            "original coursework reports for its own test photos.",
        )
    if latency.median_ms is not None:
        yield Figure(
            "Time per photo",
            f"{latency.median_ms:.0f} ms",
            f"95% within {latency.p95_ms:.0f} ms{_beside(published.latency.as_published)}",
            f"One forward pass on a processor, without a GPU ({latency.engine}), measured when the network was exported.",
        )
    if metrics.phone.test:
        yield _of_phone_photos(metrics.phone.test.allowed_set)
    elif test.macro_f1 is not None:
        yield Figure("Macro-F1", f"{test.macro_f1:.2f}", "rare classes count as much as common ones", TERMS["Macro-F1"])
    if test.calibration_error:
        off = f"{test.calibration_error.after:.1%}"
        yield Figure(
            "Calibration error", off, "average gap between confidence and accuracy", TERMS["Calibration error"]
        )
    if test.in_scope and test.in_scope.auroc is not None:
        yield Figure(
            "Out-of-scope AUROC",
            f"{test.in_scope.auroc:.3f}",
            "1 is perfect, 0.5 is chance",
            f"How well the in-scope score separates photos of the classes from {test.in_scope.other_products:,} photos of other products, "
            f"such as shoes and bags. {TERMS['AUROC']}",
        )


def _of_phone_photos(share: Share) -> Figure:
    return Figure(
        "Phone photo accuracy",
        "n=0" if share.value is None else f"{share.value:.1%}",
        _interval(share),
        f"Share of {share.n} phone photos, never used in training, that are predicted as a class their label allows. Their labels are "
        "coarse: “pants” allows jeans and trousers, for example. With its 95% Wilson interval.",
    )


def _interval(rate: Rate) -> str:
    return "" if rate.low is None or rate.high is None else f"{rate.low:.1%} to {rate.high:.1%}"


def _beside(published: str | None) -> str:
    return f"  \npublished: {published}" if published else ""


def _published() -> Metrics:
    """The measures of the published reference, from its run folder; without values if that is not there."""
    published = next((run for run in find_runs()[0] if run.facts.is_published), None)
    return published.metrics if published else Metrics()


@st.dialog("Model card", width="large", icon=":material/description:")
def _show_card(run: Run) -> None:
    from core.analysis.model_card import (
        model_card,  # scikit-learn comes with it, which the first page need not wait for
    )

    with shell.errors_shown():
        st.markdown(model_card(run).partition("\n")[2])  # its first line is the dialog's title


def took(milliseconds: float, engine: Engine | Dispatcher) -> None:
    """How long a prediction took and where the network ran, and why not on better hardware that is there."""
    where = engine.provider.removesuffix("ExecutionProvider")
    st.caption(f"Classified and explained in {milliseconds:.0f} ms, just now, on this server ({where}).")
    if engine.provider_problem:
        st.warning(f"{engine.provider_problem}. The network runs on the processor instead.", icon=":material/memory:")


def evidence(run: Run) -> None:
    """The run that the figures are of, and its model card."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Measured on photos that run {run.run_id} was not trained on; intervals are 95%.", width="content")
        if st.button("Model card", icon=":material/description:", type="tertiary"):
            _show_card(run)


def doors() -> None:
    """The pages, with what each is for."""
    st.html(ALIGNED)
    with st.container(horizontal=True, vertical_alignment="distribute", key="doors"):
        for path, label, icon, text in DOORS:
            with st.container(border=True, gap=None):
                st.page_link(path, label=f"**{label}**", icon=icon)
                st.caption(text)
