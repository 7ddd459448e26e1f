"""Many photos at once: upload them or a zip of them, and check the least confident predictions first."""

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
        st.subheader("Classes", anchor=False)
        page.class_bars(answers, classifier.labels)
