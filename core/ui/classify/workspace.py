"""The classify page below its field for photos: strip, viewer, panels and export, drawn anew by themselves at each gesture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from core.images.region import Region, Size
from core.inference.classifier import Classifier, Reading
from core.inference.postprocess import Controls
from core.ui import handover, session, shell, waiting
from core.ui.classify import boxes, export, garments, intake, panels, photos, readings
from core.ui.classify.boxes import Marked
from core.ui.classify.controls import TOP_PREDICTION, HeatSettings, answer_controls, heat_controls, proposal_control
from core.ui.classify.strip import strip
from core.ui.classify.viewer import Seen, Shown, acts_done, viewer
from core.ui.handover import label_and_way_back
from core.ui.markdown import told

TODO = "todo_on_photo"  # what an act left to the next run, where errors are shown and visitors take turns


@st.fragment
def workspace() -> None:
    """All of it, for the photo looked at; samples where there is none."""
    with shell.errors_shown(), waiting.turn():
        run = session.session_run()
        with st.sidebar:
            controls, top_k = answer_controls(run)
            heat = heat_controls(run.labels)
            proposing = proposal_control()
        sha256 = photos.selected_sha256()
        if handover.WANTED in st.session_state or intake.is_outdated():
            st.rerun()
        if sha256 is None:
            intake.note_in_address("")
            intake.gallery()
            _warm(session.classifier())
        else:
            intake.note_in_address(photos.photos()[sha256].sample)
            _photo(session.classifier(), sha256, controls, top_k, heat, proposing)


@st.cache_resource(show_spinner=False, max_entries=2)
def _warmed(_classifier: Classifier, run_id: str) -> bool:
    """One pass before the first photo is there: the first of a network takes several times as long as the others."""
    from core.samples.garments import sample

    _classifier.predict([sample("Tshirts", size=(96, 128))])
    return True


def _warm(classifier: Classifier) -> None:
    _warmed(classifier, classifier.run.run_id)


def _photo(
    classifier: Classifier, sha256: str, controls: Controls, top_k: int, heat: HeatSettings, proposing: bool
) -> None:
    photo = photos.open_photo(sha256)
    everywhere = photos.photos()
    wholes = readings.read(classifier, [(other, None) for other in everywhere], photos.open_photo)
    answers = {other: classifier.answer(reading, controls) for other, reading in zip(everywhere, wholes, strict=True)}
    if origin := everywhere[sha256].origin:
        label_and_way_back(origin)
    if len(everywhere) > 1:
        strip(answers, sha256)
    _do_left(classifier, sha256)
    if proposing:
        whole = wholes[[*everywhere].index(sha256)]
        garments.propose(classifier, photo, classifier.answer(whole), _framed(photo.size, whole))
    seen = _seen(classifier, sha256, boxes.marked(sha256), controls, top_k)
    selected = next(item for item in seen if item.mark.number == boxes.selected(sha256).number)
    offers = garments.known_garments(classifier, photo)
    shown = Shown(photo, seen, selected, classifier.labels, controls, heat, offers)
    curve = panels.curve_if_asked(classifier, shown)
    viewer(shown, curve, _acts_done)
    if problem := st.session_state.pop("box_problem", None):
        st.toast(told(problem), icon=":material/crop_free:")
    panels.panels(classifier.run, shown, curve)
    export.downloads(classifier, shown, answers)
    waiting.speed()


def _framed(size: Size, reading: Reading) -> Region:
    """What the network saw of a photo, in its pixels."""
    left, top, right, bottom = reading.frame
    width, height = size
    return Region(round(left * width), round(top * height), round(right * width), round(bottom * height))


def _seen(classifier: Classifier, sha256: str, marked: list[Marked], controls: Controls, top_k: int) -> list[Seen]:
    found = readings.read(classifier, [(sha256, mark.region) for mark in marked], photos.open_photo)

    def seen(mark: Marked, reading: Reading) -> Seen:
        full = classifier.answer(reading, controls)
        if mark.outline:  # found with a threshold of its own for what is in scope
            full = replace(full, in_scope=True)
        return Seen(mark, reading, replace(full, ranking=full.ranking[:top_k]), full)

    return [seen(mark, reading) for mark, reading in zip(marked, found, strict=True)]


def _acts_done() -> None:
    """What the visitor did in the viewer; what needs the network is left to the run that follows."""
    acts_done(
        {
            "select": lambda act: _on_photo(act, lambda sha256: boxes.select(sha256, int(act["number"]))),
            "remove": lambda act: _on_photo(act, lambda sha256: boxes.remove(sha256, int(act["number"]))),
            "undo": lambda act: _on_photo(act, boxes.undo),
            "clear": lambda act: _on_photo(act, lambda sha256: boxes.replace(sha256, [])),
            "move": lambda act: _on_photo(act, lambda sha256: _move(sha256, act)),
            "find": _leave,
            "point": _leave,
            "heat": lambda act: st.session_state.update(heat=bool(act["shown"])),
            "explain": lambda act: st.session_state.update(explain=act["name"] or TOP_PREDICTION),
            "previous": lambda _: photos.step(-1),
            "next": lambda _: photos.step(1),
        }
    )


def _on_photo(act: dict[str, Any], do: Any) -> None:
    """Do something to the photo that an act was meant for, unless it is closed."""
    if sha256 := photos.by_id(act["photo"]):
        do(sha256)


def _move(sha256: str, act: dict[str, Any]) -> None:
    width, height = photos.photos()[sha256].size
    left, top, right, bottom = (float(share) for share in act["box"])
    region = Region(round(left * width), round(top * height), round(right * width), round(bottom * height))
    boxes.said(lambda: boxes.move((width, height), sha256, int(act["number"]), region))


def _leave(act: dict[str, Any]) -> None:
    st.session_state.setdefault(TODO, []).append(act)


def _do_left(classifier: Classifier, sha256: str) -> None:
    """Do what acts left to this run, on the photo they were meant for."""
    photo = photos.open_photo(sha256)
    for act in st.session_state.pop(TODO, []):
        if photos.by_id(act["photo"]) != sha256:
            continue
        if act["do"] == "find":
            garments.find(classifier, photo)
        else:
            garments.at_point(classifier, photo, float(act["x"]) * photo.width, float(act["y"]) * photo.height)
