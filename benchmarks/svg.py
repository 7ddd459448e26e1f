"""A Plotly figure as SVG, drawn by Chromium: the tests need it anyway, so that nothing else need be installed."""

from __future__ import annotations

import shutil
import urllib.parse

import plotly.graph_objects as go
from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM_OPTIONS

TO_SVG = "() => Plotly.toImage(document.querySelector('.plotly-graph-div'), {format: 'svg'})"


def as_svg(figure: go.Figure) -> bytes:
    """The figure at the size that its layout names."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_OPTIONS)
        page = browser.new_page()
        page.set_content(figure.to_html(include_plotlyjs=True))
        address = page.evaluate(TO_SVG)
        browser.close()
    return urllib.parse.unquote(address.partition(",")[2]).encode()
