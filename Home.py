"""The way to every page, and the server's application. Start it with `make run`.

`streamlit run Home.py` imports this file as a module for the application, then runs it as a script for every visitor. Where there is a
folder `pages`, Streamlit 1.67 makes a navigation of its own from it, of the same pages, names and addresses, until this script runs on the
server for the first time.
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
    from core.ui.gate import GATE

    app = st.App(__file__, middleware=GATE)
