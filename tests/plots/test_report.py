"""The report of a training is one page that needs nothing else, and shows text as text."""

import re

import pytest

from core.artifacts.run import Run
from core.artifacts.training import Training, finished, read_training
from core.plots.report import html_report
from core.settings import RUNS_FOLDER
from tests.run_factory import write_live_run, write_run


@pytest.fixture(scope="module")
def published() -> str:
    return html_report(finished(Run.load(RUNS_FOLDER / "published-reference")))


def tables(page: str) -> str:
    """What a reader sees, without charts."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_the_report_needs_no_network(published):
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?(?:https?:)?//", published)
    assert "Plotly.newPlot" in published and "91.45%" in tables(published)


def test_the_charting_library_is_in_it_once(published):
    assert published.count("Plotly.newPlot(") >= 3 and 4_000_000 < len(published) < 8_000_000


def test_it_holds_the_figures_of_the_files(tmp_path):
    training = finished(write_run(tmp_path, "run"))
    page = tables(html_report(training))
    for value in training.epochs["val_accuracy"]:
        assert f"<td>{value:.2%}</td>" in page
    assert "Test accuracy 90.0%, 95% interval 87.0% to 92.0%." in page
    assert "3 of 5 custom photos" in page and "photo 60004 is damaged" in page
    assert "<td>23,538,767</td>" in page


def test_what_is_not_known_is_not_made_up(published):
    page = tables(published)
    assert "Test accuracy about 90-91%, as published." in page
    assert "<td>not known</td>" in page and "Training loss" not in page and "nan" not in page.lower()


def test_names_and_notes_are_shown_as_text(tmp_path):
    epochs = finished(write_run(tmp_path, "run")).epochs
    notes = {"notes": ["<img src=x onerror=alert(1)>"]}
    data = {"problems": ["<u>photo</u>"], "classes": {"<s>": {"train": 1}}}
    hostile = Training(tmp_path, "<script>alert(1)</script>", epochs, {"<b>": "<i>"}, data, notes, {}, {})
    page = html_report(hostile)
    assert "<script>alert" not in page
    assert not re.findall(r"<(?:img|u|s|b|i)\b", tables(page))


def test_a_run_without_epochs_has_a_report(tmp_path):
    page = html_report(read_training(write_live_run(tmp_path, "begun")))
    assert "No epoch has been validated yet." in page and "Not tested yet." in page
