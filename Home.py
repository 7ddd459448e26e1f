"""The way to every page. Start it with `make run`.

Where there is a folder `pages`, Streamlit 1.67 makes a navigation of its own from it, of the same pages at the same addresses but without
icons, until a visitor of the server opens this page for the first time.
"""

import streamlit as st

from core.ui import home, shell

first = st.Page(home.page, title="Home", icon=":material/home:", url_path="Home", default=True)
others = [st.Page(path, title=title, icon=icon) for path, (title, icon) in shell.PAGES.items()]
st.navigation([first, *others]).run()
