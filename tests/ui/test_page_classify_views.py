"""The heat map's views, and the two candidates of a close call, on the page as a script."""

import pytest
from streamlit.testing.v1 import AppTest

from core.inference import classifier as module
from tests.conftest import ROOT
from tests.ui.test_page_classify import headlines, photo, upload


@pytest.fixture
def page(random_runs) -> AppTest:
    page = AppTest.from_file(str(ROOT / "pages" / "1_Classify.py"), default_timeout=60).run()
    return upload(page, ("shirt.png", photo()))


def captions(page: AppTest) -> list[str]:
    return [caption for image in page.image for caption in image.captions if caption]


def test_each_view_is_another_picture_of_the_same_map_without_a_forward_pass(page, monkeypatch):
    monkeypatch.setattr("core.inference.engine.Engine.run", lambda *_: pytest.fail("a forward pass"))
    for against in ("nothing", "Jeans"):
        page.selectbox("against").set_value(against).run()
        pictures, meanings = set(), set()
        for view in ("Overlay", "Side by side", "Contour"):
            page.pills("view").set_value(view).run()
            pictures.add(page.image[-1].proto.imgs[0].url)
            meanings |= set(captions(page))
        assert len(pictures) == 3 and len(meanings) == 1
    assert headlines(page) and not page.error


def test_a_legend_says_what_the_ends_of_the_colours_mean(page):
    def legends() -> list[str]:
        return [html.value for html in page.html if "linear-gradient" in html.value]

    assert ">little<" in legends()[0] and ">most<" in legends()[0]
    page.selectbox("explain").set_value("Skirts").run()
    page.selectbox("against").set_value("Jeans").run()
    assert ">Jeans<" in legends()[0] and ">Skirts<" in legends()[0]
    page.toggle("heat").set_value(False).run()
    assert not legends()


def test_a_close_call_shows_both_candidates_with_their_probabilities_and_their_contrast(random_runs, monkeypatch):
    monkeypatch.setattr(module, "CLOSE_CALL", 1.1)  # every call is close
    page = AppTest.from_file(str(ROOT / "pages" / "1_Classify.py"), default_timeout=60).run()
    upload(page, ("shirt.png", photo()))
    (bars,) = [html.value for html in page.html if "Probabilities" in html.value]
    first, contrast, second = captions(page)[-3:]
    name, probability = headlines(page)[0].split(" · ")
    other = second.rpartition(" ")[0]
    assert first == f"{name} {probability}"
    assert contrast == f"Blue: {name}, red: {other}"
    assert bars.index(name) < bars.index(other)
    page.toggle("heat").set_value(False).run()
    assert not captions(page)


def test_a_clear_call_shows_one_picture(random_runs, monkeypatch):
    monkeypatch.setattr(module, "CLOSE_CALL", 0.0)
    page = AppTest.from_file(str(ROOT / "pages" / "1_Classify.py"), default_timeout=60).run()
    upload(page, ("shirt.png", photo()))
    assert len(captions(page)) == 1
