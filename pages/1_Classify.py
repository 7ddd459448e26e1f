"""Upload or shoot a photo, draw boxes round garments, see what each one is and where the network looked."""

import streamlit as st

from core import ui, ui_close_call, ui_feedback, ui_keys, ui_neighbours, ui_regions
from core import ui_classify as page

ui.page("Classify")
st.title("Classify", anchor=False)

with ui.errors_shown(), ui.turns:
    classifier = ui.classifier()
    with st.sidebar:
        controls, top_k = page.controls(classifier.run)
        heat = page.heat_controls(classifier.labels)
    left, right = st.columns([1, 1], gap="medium")
    with left:
        page.upload()
        photo = page.selected_photo()
    if photo is None:
        st.subheader("No photo at hand? Take a drawn one", anchor=False)
        page.gallery()
        st.stop()

    with left:
        page.true_label(photo)
        ui_regions.propose_if_asked(classifier, photo)
        marked = ui_regions.regions(photo)
        page.photo_buttons(photo)
    with right, st.container(key=ui_keys.ANSWERS_BOX):
        readings = page.read(classifier, photo, marked)
        answers = [classifier.answer(reading, controls, top_k) for reading in readings]
        for mark, reading, answer in [*zip(marked, readings, answers, strict=True)][::-1]:
            with page.card(classifier, photo, mark, reading, answer, heat):
                ui_close_call.candidates(classifier.labels, photo, mark, reading, answer, heat)
                ui_neighbours.nearest(classifier.run, mark, reading)
                ui_feedback.correct(classifier.run, photo, mark, answer)
        page.downloads(photo, marked, readings, answers, classifier, controls, heat)
