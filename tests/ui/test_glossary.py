"""A term is explained where it is shown: each page is read as its visitor reads it, and so is the model card."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.analysis.glossary import TERMS
from core.analysis.model_card import model_card
from core.artifacts.measures import Metrics, Split
from core.artifacts.run import current_run
from core.samples import garments
from core.ui import home
from tests.conftest import ROOT

# Longer ones first: "Macro-F1" is not "F1".
NAMED = re.compile(rf"\b({'|'.join(sorted(map(re.escape, TERMS), key=len, reverse=True))})\b", re.IGNORECASE)
SPELLED = {name.lower(): name for name in TERMS}


def terms_in(text: str) -> set[str]:
    return {SPELLED[found.lower()] for found in NAMED.findall(text)}


def elements(node: Any) -> Iterator[Any]:
    for child in node.children.values():
        yield from elements(child) if hasattr(child, "children") else [child.proto]


def shown_and_explained(page: AppTest) -> tuple[set[str], set[str]]:
    """The terms that a page shows in labels, options, text and columns of tables, and those that its question marks explain."""
    shown, helps = [], []
    for proto in elements(page._tree):
        shown += [getattr(proto, "label", ""), getattr(proto, "body", "")]
        shown += [getattr(option, "content", "") for option in getattr(proto, "options", ())]
        helps.append(getattr(proto, "help", ""))
        if columns := getattr(proto, "columns", ""):
            shown += json.loads(columns)
            helps += [column.get("help") or "" for column in json.loads(columns).values()]
    words = "\n".join(map(str, helps))
    return terms_in("\n".join(map(str, shown))), {name for name, text in TERMS.items() if text in words}


def opened(page: Path, **address: str) -> AppTest:
    app = AppTest.from_file(str(page), default_timeout=60)
    for key, value in address.items():
        app.query_params[key] = value
    return app.run()


def classify() -> AppTest:
    """With a photo of something else."""
    buffer = io.BytesIO()
    garments.out_of_scope(1).save(buffer, "PNG")
    app = opened(ROOT / "pages" / "1_Classify.py")
    return app.file_uploader[0].set_value([("else.png", buffer.getvalue(), "image/png")]).run()


def confusion(tab: str) -> AppTest:
    return opened(ROOT / "pages" / "3_Confusion_matrix.py", matrix_tab=tab)


PAGES = {
    "Home": (lambda: opened(ROOT / "Home.py"), set()),
    "Classify": (classify, {"Grad-CAM"}),
    "History": (lambda: opened(ROOT / "pages" / "2_Training_history.py"), {"Macro-F1", "Loss"}),
    "Confusion, classes": (lambda: confusion("Classes"), {"Recall", "Precision", "F1", "Average precision"}),
    "Confusion, calibration": (lambda: confusion("Calibration"), {"Calibration", "Calibration error", "Temperature"}),
}


@pytest.mark.parametrize(("open_page", "at_least"), PAGES.values(), ids=PAGES)
def test_a_term_has_its_explanation_on_the_page_that_shows_it(open_page, at_least: set[str]):
    page = open_page()
    shown, explained = shown_and_explained(page)
    assert not page.exception and not page.error
    assert shown <= explained
    assert at_least <= explained


def test_every_explanation_is_on_some_page_or_in_the_model_card():
    card = model_card(current_run())
    in_card = {name for name, text in TERMS.items() if text in card}
    assert set(TERMS) == in_card.union(*(explained for _, explained in PAGES.values()))


def test_a_term_without_explanation_is_seen():
    script = "import streamlit as st\nst.pills('Curves', ['Macro-F1'])\nst.caption('Temperature 2', help='Warm.')"
    assert shown_and_explained(AppTest.from_string(script).run()) == ({"Macro-F1", "Temperature"}, set())


def test_macro_f1_is_explained_on_home_where_a_run_has_no_phone_photos():
    (figure,) = home._figures(Metrics(test=Split(macro_f1=0.9)), Metrics())
    assert figure.explanation == TERMS["Macro-F1"]


def test_the_model_card_explains_its_own_terms():
    card = model_card(current_run()).partition("## Citing")[0]
    assert {"Macro-F1", "Recall", "Calibration error", "AUROC"} <= terms_in(card)
    assert [name for name in terms_in(card) if TERMS[name] not in card] == []


@pytest.mark.parametrize("name", TERMS)
def test_an_explanation_is_one_or_two_short_sentences(name: str):
    assert TERMS[name].endswith(".") and TERMS[name].count(". ") <= 1 and len(TERMS[name]) <= 230
