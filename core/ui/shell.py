"""What every page shares: its frame and error messages."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import streamlit as st

from core.errors import GarmentError
from core.settings import PROJECT
from core.stopwatch import stopwatch
from core.ui.markdown import told
from core.ui.server import spare_collector

APP_NAME = "Garment Lens"
STATIC = PROJECT / "static"
LOGO, MARK = str(STATIC / "logo.svg"), str(STATIC / "mark.svg")  # the mark with the name, and alone
# Streamlit writes the axes of a light chart in a grey too pale to read, and redraws no chart when the system turns dark (white is for text
# on colour). Its tags and primary buttons are white on the primary colour, which is light in the dark.
INK = (
    "<style>.stPlotlyChart :is([class$=tick] text, [class*=title] text, .heatmap-label text, .bartext-outside, "
    ".annotation text:not([style*='255, 255, 255'])) {fill: currentColor !important}"
    ":is(.stMultiSelect [data-tag] :is(span, button), [data-testid=stBaseButton-primary]) {color: var(--on-brand)}"
    "[data-testid=stBaseButton-primary]:is(:hover, :focus-visible, :active)"
    " {background: color-mix(in srgb, var(--brand) 82%, light-dark(#000, #fff))}</style>"
)
WIDGETS = "".join(path.read_text(encoding="utf-8") for path in sorted((Path(__file__).parent / "assets").glob("*.css")))
CLASSIFY_PAGE = "pages/1_Classify.py"
HISTORY_PAGE = "pages/2_Training_history.py"
CONFUSION_PAGE = "pages/3_Confusion_matrix.py"
BATCH_PAGE = "pages/4_Batch.py"
# File to its name in the navigation.
PAGES = {
    CLASSIFY_PAGE: "Classify",
    HISTORY_PAGE: "Training history",
    CONFUSION_PAGE: "Confusion matrix",
    BATCH_PAGE: "Batch",
}
# Names in the font of symbols that Streamlit brings, set by style: an icon given to Streamlit would be fetched from another site for the
# browser's tab.
ICONS = {
    "Home": "home",
    "Classify": "checkroom",
    "Training history": "show_chart",
    "Confusion matrix": "grid_on",
    "Batch": "photo_library",
}
NAVIGATION = "".join(
    f'[data-testid$=NavLink]:has(span[label="{title}"])::before {{content: "{icon}" / ""}}'
    for title, icon in ICONS.items()
)
log = logging.getLogger(__name__)


TOUR = "tour_step"  # where a session keeps the step of the tour it is at; absent where there is no tour


def page(title: str) -> None:
    """Configure a page; the first call of each. Its icon is ours: Streamlit's own would be fetched from another site."""
    st.set_page_config(page_title=f"{title} · {APP_NAME}", page_icon=MARK, layout="wide")
    st.logo(LOGO, size="large")
    light, dark = (st.get_option(f"theme.{mode}.primaryColor") for mode in ("light", "dark"))
    brand = f":root {{--brand: light-dark({light}, {dark}); --on-brand: light-dark(#fff, #100f17)}}"
    st.html(f"{INK}<style>{brand} {WIDGETS} {NAVIGATION}</style>")


def start_tour() -> None:
    """Show the first step of the tour in the next run; for callbacks."""
    st.session_state[TOUR] = 0


@contextmanager
def errors_shown() -> Generator[None]:
    """Show errors as messages and end the page there: our own as they are, any other with an id that is also in the log."""
    try:
        with stopwatch():
            yield
    except GarmentError as error:
        st.error(told(error), icon=":material/error:")
        st.stop()
    except Exception:
        error_id = uuid.uuid4().hex[:8]
        log.exception("error %s", error_id)
        st.error(
            f"Unexpected error (id {error_id}). Reload the page. If the error returns, report it with this id and the server's log.",
            icon=":material/error:",
        )
        st.stop()
    finally:
        spare_collector()
