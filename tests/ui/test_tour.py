"""Presenter mode: every step opens its page, the worst confusion is the most frequent one, the QR code is of the first page."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix
from streamlit.testing.v1 import AppTest

from core.artifacts.run import current_run
from core.inference.classifier import Classifier
from core.inference.verdict import class_name
from core.samples import garments
from core.ui.handover import Wanted
from core.ui.shell import PAGES, TOUR
from core.ui.tour import bar, closing, steps, warm
from tests.conftest import ROOT
from tests.ui.test_page_classify import headlines, photo, upload

CLOSING = "from core.ui.tour import closing\nclosing.page()"


@pytest.fixture(autouse=True)
def nothing_in_the_background(monkeypatch):
    monkeypatch.setattr(warm, "begin", lambda: None)


def at_step(number: int) -> AppTest:
    """The dashboard just after a click has led to a step."""
    page = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=180)
    page.session_state[TOUR], page.session_state[bar.MOVED] = number, number > 0
    return page.run()


@pytest.mark.parametrize("number", range(len(steps.STEPS)))
def test_a_step_opens_its_page_and_says_what_it_shows(number):
    page, step = at_step(number), steps.STEPS[number]
    assert page.title[0].value == {steps.FIRST: "Recognise clothes in a photo", steps.LAST: "Try it on your phone"}.get(
        step.page
    ) or PAGES.get(step.page)
    assert any(
        f"**{step.title}**" in text.value and f"{number + 1} of {len(steps.STEPS)}" in text.value
        for text in page.markdown
    )
    assert not page.exception and not page.error
    if step.page == "pages/1_Classify.py":
        assert len(headlines(page)) >= 1


def test_the_button_on_home_starts_the_tour_and_its_end_ends_it():
    page = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=180).run()
    next(button for button in page.button if button.label == "Presenter mode").click().run()
    assert page.session_state[TOUR] == 0
    next(button for button in page.button if button.label == "End tour").click().run()
    assert TOUR not in page.session_state and not [button for button in page.button if button.label == "Next"]


def test_the_worst_confusion_is_the_most_frequent_mistake_of_the_shipped_run():
    run = current_run()
    table, names = pd.read_csv(run.folder / "predictions.csv"), list(run.labels.names)
    counts = confusion_matrix(table["label"], table[names].idxmax(axis=1), labels=names)
    np.fill_diagonal(counts, 0)
    true, predicted = (names[i] for i in np.unravel_index(counts.argmax(), counts.shape))
    assert steps._worst() == {"matrix_true": class_name(true), "matrix_called": class_name(predicted)}
    assert f"{counts.max()} of" in steps._worst_words()


def test_a_run_without_predictions_leaves_the_step_without_a_cell(random_runs):
    assert steps._worst() == {} and "no mistakes" in steps._worst_words()


def test_the_street_step_takes_the_visitors_own_photo_if_one_is_open(random_runs):
    page = AppTest.from_file(str(ROOT / "pages" / "1_Classify.py"), default_timeout=180).run()
    upload(page, ("mine.png", photo()))
    page.session_state["wants_sample"] = Wanted("Jeans")
    page.run()
    page.session_state["wants_sample"] = Wanted(garments.STREET, own_first=True)
    page.run()
    assert [kept.name for kept in page.session_state["photos"].values()] == ["mine.png", "Jeans sample.png"]
    assert page.session_state["selected_photo"] == hashlib.sha256(photo()).hexdigest()


@pytest.mark.parametrize(
    ("address", "home", "local"),
    [
        ("http://lab-7:8501/On_your_phone", "http://lab-7:8501/", False),
        ("https://example.com/garments/On_your_phone?a=b", "https://example.com/garments/", False),
        ("http://127.0.0.1:8501/On_your_phone", "http://127.0.0.1:8501/", True),
        ("", "", False),
    ],
)
def test_the_code_is_of_the_first_pages_address(address, home, local):
    assert closing.home_of(address) == home and closing.is_local(home) == local


def test_the_last_page_shows_code_and_address_and_says_where_phones_cannot_reach_it(monkeypatch):
    monkeypatch.setattr(closing.st, "context", SimpleNamespace(url="http://127.0.0.1:8501/On_your_phone"))
    page = AppTest.from_string(CLOSING).run()
    assert page.get("imgs") or page.get("image")
    assert "http://127.0.0.1:8501/" in page.markdown[0].value and "this computer only" in page.warning[0].value
    monkeypatch.setattr(closing.st, "context", SimpleNamespace(url=None))
    assert "address bar" in AppTest.from_string(CLOSING).run().info[0].value


def test_another_address_is_another_code():
    one, other = closing.code("http://lab-7:8501/"), closing.code("http://lab-8:8501/")
    assert one.startswith("<svg") and one != other


def test_what_is_warmed_is_there():
    warm.load(Classifier.load())
