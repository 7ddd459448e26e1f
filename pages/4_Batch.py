"""Many photos at once: drop them or a zip of them, watch, and look first at the answers that need it."""

import streamlit as st

from core.ui import batch as page
from core.ui import session, shell

shell.page("Batch")
st.title("Batch", anchor=False)

with shell.errors_shown():
    classifier = session.classifier()
    photos = page.upload()
    if not photos:
        page.invite()
        st.stop()

    answers = page.classify(classifier, photos)
    page.summary(answers)
    page.unreadable(answers)
    left, right = st.columns([7, 2], gap="large")
    with left:
        page.answers_table(answers)
        page.download(answers)
    with right:
        st.subheader("Kinds", anchor=False)
        page.kinds(answers, classifier.labels)
