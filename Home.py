"""The first page: what this is, shown at work, and what it is worth. Start it with `make run`."""

import streamlit as st

from core.ui import home, session, shell

shell.page("Home")
st.title("Garment Lens", anchor=False)

with shell.errors_shown():
    run = session.session_run()
    st.markdown(
        f"A neural network (ResNet50) that tells **{len(run.labels)} kinds of clothes** apart, says how sure it is, "
        "and shows where it looked."
    )
    demonstration = st.container(border=True)  # filled last: the page need not wait for the network
    home.headline(run)
    home.evidence(run)
    home.doors()
    with demonstration:
        home.demonstration()
