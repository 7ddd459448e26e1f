"""Many photos at once: upload them, a folder or a zip of them, and review the least confident predictions first."""

import streamlit as st

from core.ui import session, shell
from core.ui.batch import intake, results
from core.ui.batch.answers import answers, rows_wanted

shell.page("Batch")
st.title("Batch", anchor=False)

with shell.errors_shown():
    classifier = session.classifier()
    intake.upload()
    photos = intake.photos()
    if not photos:
        intake.invite()
        st.stop()

    figures = st.container(horizontal=True, vertical_alignment="bottom")
    with figures:
        wanted = rows_wanted(classifier)
    rows = answers(classifier, photos, wanted)
    with figures:
        results.summary(rows)
    results.unreadable(rows)
    shown = results.filtered(rows)
    results.answers_table(rows, shown, photos)
    results.download(rows, shown)
