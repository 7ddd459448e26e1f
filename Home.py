"""The way to every page, and the server's application. Start it with `make run`.

`streamlit run Home.py` imports this file as a module for the application, then runs it as a script for every visitor.
"""

import streamlit as st

if __name__ == "__main__":
    from core.ui import home, shell
    from core.ui.tour import bar, closing

    first = st.Page(home.page, title="Home", url_path="Home", default=True)
    others = [st.Page(path, title=title) for path, title in shell.PAGES.items()]
    last = st.Page(closing.page, title="On your phone", url_path="On_your_phone", visibility="hidden")
    page = st.navigation([first, *others, last], position="top")
    bar.bar(page, first, last)
    page.run()
else:
    from streamlit.runtime.pages_manager import PagesManager

    from core.ui.gate import GATE

    # Streamlit 1.67 makes a navigation of its own, at the side, from a folder `pages` until st.navigation was called on the server for the
    # first time: whoever opened another page than this one before would have that.
    PagesManager.uses_pages_directory = False
    app = st.App(__file__, middleware=GATE)
