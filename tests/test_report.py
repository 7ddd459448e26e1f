"""The report of a training is one page that needs nothing else, and shows text as text."""

import re

from core.history import Training, finished
from core.report import html_report
from core.runs import RUNS_FOLDER, Run


def published() -> Training:
    return finished(Run.load(RUNS_FOLDER / "published-reference"))


def test_the_report_needs_no_network():
    page = html_report(published())
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?(?:https?:)?//", page)
    assert "Plotly.newPlot" in page and "91.45%" in page


def test_the_charting_library_is_in_it_once():
    page = html_report(published())
    assert page.count("Plotly.newPlot(") >= 3 and len(page) < 8_000_000


def test_names_and_notes_are_shown_as_text():
    training = published()
    hostile = Training(
        "x",
        "<script>alert(1)</script>",
        training.epochs,
        {"<b>": "<i>"},
        {},
        {"notes": ["<img src=x onerror=alert(1)>"]},
        {},
        {},
    )
    page = html_report(hostile)
    assert "<script>alert" not in page and "<img src=x" not in page and "<i>" not in page


def test_a_run_without_epochs_has_a_report():
    training = published()
    empty = Training("x", "x", training.epochs.iloc[:0], {}, {}, {}, {}, {})
    assert "No epoch has been validated yet." in html_report(empty)
