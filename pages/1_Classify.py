"""Upload or shoot a photo, draw boxes round garments, see what each one is and where the network looked."""

import streamlit as st

from core.ui import server, session, shell
from core.ui.classify import boxes, card, close_call, controls, export, feedback, keys, neighbours, photos

shell.page("Classify")
st.title("Classify", anchor=False)

with shell.errors_shown(), server.turns.taken(session.visitor()):
    classifier = session.classifier()
    with st.sidebar:
        set_to, top_k = controls.answer_controls(classifier.run)
        heat = controls.heat_controls(classifier.labels)
    left, right = st.columns([1, 1], gap="medium")
    with left:
        photos.upload()
        photo = photos.selected_photo()
    if photo is None:
        st.subheader("No photo at hand? Take a drawn one", anchor=False)
        photos.gallery()
        st.stop()

    with left:
        photos.true_label(photo)
        boxes.propose_if_asked(classifier, photo)
        marked = boxes.regions(photo)
        photos.photo_buttons(photo)
    with right, st.container(key=keys.ANSWERS_BOX):
        readings = card.read(classifier, photo, marked)
        answers = [classifier.answer(reading, set_to, top_k) for reading in readings]
        for mark, reading, answer in [*zip(marked, readings, answers, strict=True)][::-1]:
            with card.card(classifier, photo, mark, reading, answer, heat):
                close_call.candidates(classifier.labels, photo, mark, reading, answer, heat)
                neighbours.nearest(classifier.run, mark, reading)
                feedback.correct(classifier.run, photo, mark, answer)
        export.downloads(photo, marked, readings, answers, classifier, set_to, heat)
