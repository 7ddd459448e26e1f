"""Error analysis of a run or of your own test set: from the accuracy to the very photos behind each mistake."""

import streamlit as st

from core import confusion, ui, ui_analysis
from core import ui_confusion as page
from core.ui_predictions import choose_source, select_rows

ui.page("Confusion matrix")
st.title("Confusion matrix", anchor=False)

with ui.errors_shown():
    source = choose_source()
    page.clear_cell_of_other(source)
    selection = select_rows(source.predictions)
    counts = confusion.counts_of(source.predictions, selection.answered)
    page.headline(source, selection, counts)

    above = st.container()
    left, right = st.columns([9, 5], gap="medium")
    with right:
        cell = page.cell_choice(source)
    with above:
        view = page.controls(source, counts, cell)
    with left:
        page.matrix(counts, source, view)
    with right:
        page.photos_of_cell(source, selection, counts, view)

    ui_analysis.tabs(source, selection, counts, view)
