"""Error analysis of a run or of your own test set: from the accuracy to the very photos behind each mistake."""

import streamlit as st

from core.analysis import confusion
from core.ui import share, shell
from core.ui.confusion import matrix, tabs
from core.ui.confusion.source import choose_source, select_rows

shell.page("Confusion matrix")
with st.container(horizontal=True, vertical_alignment="center"):
    st.title("Confusion matrix", anchor=False, width="stretch")
    share.copy_link("matrix-link")

with shell.errors_shown():
    source = choose_source()
    matrix.clear_cell_of_other(source)
    selection = select_rows(source.predictions)
    counts = confusion.counts_of(source.predictions, selection.answered)
    matrix.headline(source, selection, counts)
    tabs.analysis(source, selection, counts)
