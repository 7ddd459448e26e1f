"""The first page: what this is, shown at work, and what it is worth. Start it with `make run`."""

import streamlit as st

from core import ui, ui_home

ui.page("Home")
st.title("Garment Lens", anchor=False)

with ui.errors_shown():
    run = ui.session_run()
    st.markdown(
        f"A neural network (ResNet50) that tells **{len(run.labels)} kinds of clothes** apart, says how sure it is, "
        "and shows where it looked."
    )
    demonstration = st.container(border=True)  # filled last: the page need not wait for the network
    ui_home.headline(run)
    ui_home.evidence(run)
    ui_home.doors()
    with demonstration:
        ui_home.demonstration()
