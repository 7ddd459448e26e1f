"""The widgets of the home page: a photo classified before the visitor's eyes, and what the shipped run is worth."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
from PIL import Image

from core.analysis.glossary import TERMS
from core.artifacts.labels import NO_KIND
from core.artifacts.run import Run, find_runs
from core.errors import BrokenRun
from core.images.decode import Photo
from core.images.encode import data_url, jpeg
from core.inference.verdict import rounded
from core.plots.bars import probability_bars
from core.samples import garments
from core.settings import DEFAULTS
from core.ui import markdown, session, shell
from core.ui.shell import BATCH_PAGE, CLASSIFY_PAGE, CONFUSION_PAGE, HISTORY_PAGE

if TYPE_CHECKING:
    from core.inference.batching import Dispatcher
    from core.inference.engine import Engine
SIZE = (480, 640)
GRAIN = 2  # of 255
ALIGNED = "<style>.st-key-doors a {padding-inline: 0}</style>"  # a link is indented; a door's title is to stand above its text
DOORS = (
    (CLASSIFY_PAGE, "Classify a photo", ":material/checkroom:", "Upload or shoot one, and draw boxes in it."),
    (HISTORY_PAGE, "Training history", ":material/show_chart:", "How the network learned, stage by stage."),
    (CONFUSION_PAGE, "Confusion matrix", ":material/grid_on:", "What it takes for what, photo by photo."),
    (BATCH_PAGE, "Batch", ":material/photo_library:", "Many photos at once, the doubtful ones first."),
)


def page() -> None:
    """The first page: what this is, shown at work, and what it is worth."""
    shell.page("Home")
    st.title("Garment Lens", anchor=False)
    with shell.errors_shown():
        run = session.session_run()
        st.markdown(
            f"A neural network (ResNet50) that tells **{len(run.labels)} kinds of clothes** apart, says how sure it is, "
            "and shows where it looked."
        )
        above = st.container(border=True)  # filled last: the page need not wait for the network
        headline(run)
        evidence(run)
        doors()
        with above:
            demonstration()


def demonstration() -> None:
    """A drawn garment, classified by the real engine; another one at each click. The drawing stands there while the network is loaded."""
    from core.plots.heatmap import overlay, side_by_side

    turn = st.session_state.setdefault("demonstration", 0)
    name = garments.SHOWN[turn % len(garments.SHOWN)]
    photo = _with_grain(_drawn(name, turn))
    left, right = st.columns([1, 1.15], vertical_alignment="center")
    shown = left.empty()
    if session.CLASSIFIER not in st.session_state:
        shown.image(
            data_url(jpeg(side_by_side(photo.image, photo.image))),
            caption=f"{name}, drawn in code",
            alt=f"A drawn garment ({name})",
            width="stretch",
        )
    with right:
        classifier = session.classifier()
        start = time.perf_counter()
        reading = classifier.read([(photo, None)])[0]
        answer = classifier.answer(reading, k=DEFAULTS.top_k)
        picture = overlay(
            photo.image, reading.heat(classifier.labels.index(answer.label), photo.size), DEFAULTS.opacity
        )
        milliseconds = 1000 * (time.perf_counter() - start)
        verdict = f"{answer.label} · {rounded(answer.probability)}" if answer.in_scope else NO_KIND
        st.markdown(f"## {verdict}")
        st.html(probability_bars(answer.ranking, classifier.labels, answer.in_scope))
        took(milliseconds, classifier.engine)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button("Another one", icon=":material/refresh:", on_click=_next)
            st.page_link(CLASSIFY_PAGE, label="Your own photo", icon=":material/add_a_photo:")
    shown.image(
        data_url(jpeg(side_by_side(photo.image, picture))),
        caption=f"{name}, drawn in code · where it looked",
        alt=f"A drawn garment ({name}), and the same with a heat map of {answer.label}",
        width="stretch",
    )


@st.cache_data(max_entries=12, show_spinner=False)
def _drawn(name: str, seed: int) -> Photo:
    image = garments.sample(name, seed, SIZE)
    return Photo(image, name, "drawn", f"{name}-{seed}", *image.size)


def _with_grain(photo: Photo) -> Photo:
    """The photo with a grain of its own, so that its answer is a new one and not remembered from another visitor."""
    pixels = np.asarray(photo.image).astype(np.int16)
    grain = np.random.default_rng().integers(-GRAIN, GRAIN, pixels.shape, endpoint=True)
    return replace(photo, image=Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)))


def _next() -> None:
    st.session_state["demonstration"] += 1


def headline(run: Run) -> None:
    """What the shipped run is worth on photos it never saw, each figure with its interval, beside the published reference."""
    try:
        metrics, reference = run.read_json("metrics.json"), _published()
    except BrokenRun as error:  # the network in memory goes on
        st.warning(f"The figures of this run cannot be shown. {markdown.told(error)}")
        return
    test = metrics["test"]
    accuracy, speed, error, scope = (
        test["accuracy"],
        metrics["latency"],
        test["calibration_error"]["after"],
        test["in_scope"],
    )
    published_accuracy = reference.get("test", {}).get("accuracy", {}).get("as_published")
    published_speed = reference.get("latency", {}).get("as_published")
    figures = [
        (
            "Test accuracy",
            f"{accuracy['value']:.1%}",
            f"{accuracy['low']:.1%} to {accuracy['high']:.1%}{_beside(published_accuracy)}",
            f"Share of {test['photos']:,} photos never used in training that are named right, with its 95% Wilson interval. "
            "Published is what the original coursework reports of its own test photos.",
        ),
        (
            "The network takes",
            f"{speed['median_ms']:.0f} ms",
            f"95% within {speed['p95_ms']:.0f} ms{_beside(published_speed)}",
            f"One forward pass on a processor, without a GPU ({speed['engine']}), measured when the network was exported.",
        ),
        _of_phone_photos(metrics["phone"]["test"]) if "phone" in metrics else _of_rare_kinds(test),
        (
            "Calibration error",
            f"{error:.1%}",
            "how far its probabilities are off",
            TERMS["Calibration error"],
        ),
        (
            "Spots other things",
            f"{scope['auroc']:.3f}",
            "AUROC: 1 is perfect, 0.5 is chance",
            f"How well its score tells them from {scope['other_products']:,} photos of other products, such as shoes and bags. "
            f"{TERMS['AUROC']}",
        ),
    ]
    with st.container(horizontal=True):
        for label, value, note, explanation in figures:
            with st.container(gap=None):
                st.metric(label, value, help=explanation)
                st.caption(note)


def _of_phone_photos(phone: dict[str, Any]) -> tuple[str, str, str, str]:
    share = phone["allowed_set"]
    return (
        "On phone photos",
        f"{share['value']:.1%}",
        f"{share['low']:.1%} to {share['high']:.1%}",
        f"Share of {share['n']} phone photos never used in training whose answer is a kind that their coarse label allows: for “pants”, "
        "say, jeans or trousers. With its 95% Wilson interval.",
    )


def _of_rare_kinds(test: dict[str, Any]) -> tuple[str, str, str, str]:
    return (
        "Macro-F1",
        f"{test['macro_f1']:.2f}",
        "rare kinds count as much as common ones",
        TERMS["Macro-F1"],
    )


def _beside(published: str | None) -> str:
    return f"  \npublished: {published}" if published else ""


def _published() -> dict[str, Any]:
    """The measures of the published reference, from its run folder; empty if that is not there."""
    published = [run for run in find_runs()[0] if run.manifest["origin"] == "published"]
    return published[0].read_json("metrics.json") if published else {}


@st.dialog("Model card", width="large", icon=":material/description:")
def _show_card(run: Run) -> None:
    from core.analysis.model_card import (
        model_card,  # scikit-learn comes with it, which the first page need not wait for
    )

    with shell.errors_shown():
        st.markdown(model_card(run).partition("\n")[2])  # its first line is the dialog's title


def took(milliseconds: float, engine: Engine | Dispatcher) -> None:
    """How long an answer took and where the network ran, and why not on better hardware that is there."""
    where = engine.provider.removesuffix("ExecutionProvider")
    st.caption(f"Classified and explained in {milliseconds:.0f} ms, just now, on this machine ({where}).")
    if engine.provider_problem:
        st.warning(f"{engine.provider_problem}. The network runs on the processor instead.", icon=":material/memory:")


def evidence(run: Run) -> None:
    """Where the figures come from, and the model card."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Measured on photos that run {run.run_id} never trained on; intervals are 95%.", width="content")
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
