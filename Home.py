"""The first page: what this is, shown at work, and what it is worth. Start it with `make run`."""

import streamlit as st

from core import ui, ui_home

ui.page("Home")
st.title("Garment Lens", anchor=False)

with ui.errors_shown():
    classifier = ui.classifier()
    st.markdown(
        f"A neural network (ResNet50) that tells **{len(classifier.labels)} kinds of clothes** apart, says how sure it is, "
        "and shows where it looked."
    )
    ui_home.demonstration(classifier)
    ui_home.headline(classifier.run)
    ui_home.provider(classifier.engine)
    ui_home.doors(classifier.run)
