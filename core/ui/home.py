"""The widgets of the home page: the field for photos, a sample classified just now, the classes, and how good the shipped run is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import streamlit as st
from PIL import Image

from core.analysis.glossary import TERMS
from core.artifacts.measures import Coarse, Latency, Metrics, Rate, Share
from core.artifacts.run import Run, find_runs
from core.errors import BrokenRun
from core.images.decode import Photo
from core.images.encode import data_url, jpeg
from core.inference.verdict import class_name, verdict
from core.plots.bars import probability_bars
from core.samples import garments
from core.settings import DEFAULTS
from core.ui import handover, markdown, photo_field, samples, session, shell
from core.ui.shell import CONFUSION_PAGE

if TYPE_CHECKING:
    from core.inference.batching import Dispatcher
    from core.inference.classifier import Reading
    from core.inference.engine import Engine
SIZE = (480, 640)
GRAIN = 2  # of 255
LISTED = 3  # classes of the example
TOUR = "A tour of five minutes through all pages, in large type."
STYLE = """<style>
.stMainBlockContainer { max-width: 1720px; padding-inline: clamp(1rem, 3vw, 4rem); }
.st-key-figures a { padding-inline: 0; }
.st-key-example h2 { padding: 0 0 0.4rem; }
.st-key-example [data-testid=stVerticalBlock] { gap: 0.6rem; }
.stHorizontalBlock:has(.st-key-example, .st-key-invitation) { row-gap: 1.2rem; }
.st-key-invitation h1 { font-size: clamp(1.9rem, 2.6vw, 2.9rem); line-height: 1.12; padding: 0 0 0.35rem; }
</style>"""
EXAMPLES = (  # class and seed of samples whose heat maps lie on the garment
    ("Blazers", 1),
    ("Shirts", 1),
    ("Skirts", 4),
    ("Jackets", 2),
    ("Sweaters", 4),
)


def page() -> None:
    """The first page: what this is, a photo of one's own, a prediction made just now, and how good the network is."""
    shell.page("Home")
    with shell.errors_shown():
        take_in()
        run = session.session_run()
        st.html(STYLE)
        left, right = st.columns([1, 1.15], gap="large", vertical_alignment="center")
        with left:
            invitation(run)
        example = right.container(border=True, key="example")  # filled last: the page need not wait for the network
        classes(run)
        headline(run)
        with example:
            demonstration()


def take_in() -> None:
    """Take photos that have come, or a sample that was chosen, to the classify page."""
    if photos := photo_field.came():
        handover.bring(photos)
    handover.go_on()


def invitation(run: Run) -> None:
    """What the product does, and the field for a photo."""
    with st.container(key="invitation"):
        st.title("Recognise clothes in a photo", anchor=False)
        st.markdown(
            f"A neural network (ResNet50) predicts one of **{len(run.labels)} classes**, with a confidence and a heat map that shows "
            "which parts of the photo decide."
        )
        photo_field.large_uploader()
        with st.container(horizontal=True, vertical_alignment="center"):
            photo_field.camera_button()
            st.button(
                "Try a street photo",
                icon=":material/groups:",
                on_click=handover.want,
                args=(garments.STREET,),
                help="A sample with several garments, each boxed and classified.",
            )
        photo_field.camera()
        photo_field.listen()


def classes(run: Run) -> None:
    """The classes, each with a sample that leads to the classify page."""
    drawn = [name for name in run.labels.names if name in garments.SAMPLE_NAMES]
    if drawn:
        st.subheader(f"The {len(run.labels)} classes", anchor=False, help="Choose a sample to classify it.")
        samples.tiles(drawn, in_one_row=True)


def demonstration() -> None:
    """A sample, classified by the network that serves; another one at each click. The sample stands there while the network is loaded."""
    from core.plots.heatmap import muted, overlay, side_by_side

    turn = st.session_state.setdefault("demonstration", 0)
    name, seed = EXAMPLES[turn % len(EXAMPLES)]
    photo = _with_grain(_sample(name, seed))
    left, right = st.columns([1.35, 1], vertical_alignment="center", gap="medium")
    shown = left.empty()
    if session.CLASSIFIER not in st.session_state:
        shown.image(
            data_url(jpeg(side_by_side(photo.image, photo.image))),
            alt=f"A sample garment ({class_name(name)})",
            width="stretch",
        )
    with right:
        classifier = session.classifier()
        start = time.perf_counter()
        prepared = classifier.prepare(photo)
        before = time.perf_counter()
        (reading,) = classifier.read_inputs([prepared])
        network = time.perf_counter() - before
        answer = classifier.answer(reading, k=LISTED)
        heat = reading.heat(classifier.labels.index(answer.label), photo.size)
        explained = overlay(muted(photo.image), heat, DEFAULTS.opacity)
        picture = data_url(jpeg(side_by_side(*(_seen(image, reading) for image in (photo.image, explained)))))
        whole = time.perf_counter() - start
        words = verdict(answer, len(classifier.labels))
        st.markdown(f"## {words.short}")
        st.caption(" · ".join(part for part in ("Sample photo", words.confidence, words.note) if part))
        st.html(probability_bars(answer.ranking, classifier.labels, answer.in_scope))
        took(1000 * network, 1000 * whole, classifier.engine, speed_when_exported(classifier.run))
        st.button("Show another", icon=":material/refresh:", on_click=_next, type="tertiary")
    shown.image(
        picture,
        alt=f"A sample garment ({class_name(name)}), and the same with a heat map of {class_name(answer.label)}",
        width="stretch",
    )


@st.cache_data(max_entries=12, show_spinner=False)
def _sample(name: str, seed: int) -> Photo:
    image = garments.sample(name, seed, SIZE)
    return Photo(image, name, "drawn", f"{name}-{seed}", *image.size)


def _with_grain(photo: Photo) -> Photo:
    """The photo with noise of its own, so that the network runs now; otherwise an earlier result would be reused."""
    pixels = np.asarray(photo.image).astype(np.int16)
    grain = np.random.default_rng().integers(-GRAIN, GRAIN, pixels.shape, endpoint=True)
    return replace(photo, image=Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)))


def _seen(image: Image.Image, reading: Reading) -> Image.Image:
    """The part of a photo that the network saw: all but a uniform border."""
    left, top, right, bottom = reading.frame
    return image.crop(
        (round(left * image.width), round(top * image.height), round(right * image.width), round(bottom * image.height))
    )


def _next() -> None:
    st.session_state["demonstration"] += 1


class Figure(NamedTuple):
    """A measure of the run: what it is called, its value, what stands below it, its explanation, and where its evidence is.

    Args:
        evidence: text of the link, and query parameters of the confusion page.
    """

    label: str
    value: str
    note: str
    explanation: str
    evidence: tuple[str, dict[str, str]]


def headline(run: Run) -> None:
    """How good the shipped run is on photos it never saw, each figure with its interval and a link to the evidence."""
    with st.container(horizontal=True, vertical_alignment="center", key="measured"):
        st.subheader("Accuracy on photos it never saw", anchor=False, width="content")
        st.caption(f"Run {run.run_id}, with 95% intervals", width="stretch")
        if st.button("Model card", icon=":material/description:", type="tertiary"):
            _show_card(run)
        st.button("Presenter mode", icon=":material/co_present:", on_click=shell.start_tour, help=TOUR)
    try:
        figures = list(_figures(run.metrics, _published()))
    except BrokenRun as error:  # the network in memory goes on
        st.warning(f"The figures of this run cannot be shown. {markdown.told(error)}")
        return
    with st.container(key="figures"), st.grid(len(figures) or 1, border=True) as grid:
        for figure in figures:
            with grid.cell(), st.container(gap="xxsmall"):
                st.metric(figure.label, figure.value, help=figure.explanation)
                st.caption(figure.note)
                link, parameters = figure.evidence
                st.page_link(CONFUSION_PAGE, label=link, icon=":material/arrow_forward:", query_params=parameters)


def _figures(metrics: Metrics, published: Metrics) -> Iterator[Figure]:
    """What was measured; a measure that the run does not have is left out."""
    test = metrics.test
    if test.accuracy.value is not None:
        yield Figure(
            "Products",
            f"{test.accuracy.value:.1%}",
            f"{_interval(test.accuracy)} on {test.photos:,} photos{_beside(published.test.accuracy.as_published)}",
            f"Test accuracy on {test.photos:,} photos that were never used in training, with its 95% Wilson interval. Published is what "
            "the original coursework reports for its own test photos.",
            ("Confusion matrix", {}),
        )
    for kind, measured in (("Phone photos", metrics.phone.test), ("Worn garments", metrics.worn.test)):
        if measured:
            yield _of_kind(kind, measured)
    if test.macro_f1 is not None and not (metrics.phone.test and metrics.worn.test):
        yield Figure(
            "Macro-F1",
            f"{test.macro_f1:.2f}",
            "rare classes count as much as common ones",
            TERMS["Macro-F1"],
            ("Results by class", {"matrix_tab": "Classes"}),
        )


def _of_kind(kind: str, measured: Coarse) -> Figure:
    share = measured.allowed_set
    return Figure(
        kind,
        _value(share),
        f"{_interval(share)} on {share.n:,} photos",
        f"Share of {share.n:,} test photos that are predicted as a class their label allows. Their labels are "
        "coarse: “pants” allows jeans and trousers, for example. With its 95% Wilson interval.",
        (f"Results on {kind.lower()}", {"matrix_tab": "Phone and worn", "matrix_elsewhere": kind}),
    )


def _value(share: Share) -> str:
    return "n=0" if share.value is None else f"{share.value:.1%}"


def _interval(rate: Rate) -> str:
    return "" if rate.low is None or rate.high is None else f"{100 * rate.low:.1f}–{rate.high:.1%}"


def _beside(published: str | None) -> str:
    return f" · published: {published}" if published else ""


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


def took(network: float, whole: float, engine: Engine | Dispatcher, measured: str = "") -> None:
    """How long a prediction took, where the network ran, and why not on better hardware that is there.

    Args:
        network: milliseconds of the network.
        whole: milliseconds from the photo to picture and heat map.
        engine: what ran it.
        measured: what was measured when the network was exported, as a tooltip.
    """
    where = engine.provider.removesuffix("ExecutionProvider")
    st.caption(
        f"**{network:.0f} ms** network, **{whole:.0f} ms** with picture and heat map, just now on this server ({where}).",
        help=measured or None,
    )
    if engine.provider_problem:
        st.warning(f"{engine.provider_problem}. The network runs on the processor instead.", icon=":material/memory:")


def speed_when_exported(run: Run) -> str:
    """The network's time as it was measured when it was exported, beside the published one; empty where that is not known."""
    try:
        latency, published = run.metrics.latency, _published().latency
    except BrokenRun:
        return ""
    return _speed(latency, published) if latency.median_ms is not None else ""


def _speed(latency: Latency, published: Latency) -> str:
    return (
        f"Median when the network was exported: {latency.median_ms:.0f} ms, 95% within {latency.p95_ms:.0f} ms ({latency.engine})"
        f"{_beside(published.as_published)}."
    )
