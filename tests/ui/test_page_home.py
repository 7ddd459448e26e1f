"""The home page: a photo or a sample leads to Classify, figures are of the run folder, and the example is classified by the network."""

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes
from streamlit.testing.v1 import AppTest

from core.analysis.model_card import model_card
from core.artifacts.measures import Coarse, CoarseSplits, Metrics, Share
from core.artifacts.run import Run, current_run
from core.images.decode import Photo
from core.inference.classifier import Classifier
from core.samples import garments
from core.settings import RUNS_FOLDER
from core.ui import home
from core.ui.shell import PAGES
from tests.conftest import ROOT
from tests.ui.test_page_classify import headlines, photo, upload

STAND_IN = "types.SimpleNamespace(provider='CPUExecutionProvider', provider_problem='CUDA fails here (no driver)')"


@pytest.fixture
def page() -> AppTest:
    return AppTest.from_file(str(ROOT / "Home.py"), default_timeout=180).run()


def test_photos_brought_to_home_are_classified_on_classify_and_a_bad_one_is_named(random_runs):
    page = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=180).run()
    upload(page, ("a.png", photo()), ("notes.jpg", b"just some text"))
    assert page.title[0].value == "Classify" and len(headlines(page)) == 1 and not page.exception
    assert [error.value.partition(" is")[0] for error in page.error] == ["notes.jpg"]


def test_a_class_chosen_on_home_opens_its_sample(random_runs):
    page = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=180).run()
    tiles = [button.key for button in page.button if str(button.key).startswith("sample-")]
    assert tiles == [f"sample-{name}" for name in garments.SAMPLE_NAMES]
    page.button("sample-Jeans").click().run()
    assert page.title[0].value == "Classify" and len(headlines(page)) == 1
    assert [kept.sample for kept in page.session_state["photos"].values()] == ["Jeans"]


def test_home_shows_the_shipped_runs_own_figures_with_their_evidence(page):
    metrics = current_run().metrics
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["Products"] == f"{metrics.test.accuracy.value:.1%}"
    assert shown["Phone photos"] == f"{metrics.phone.test.allowed_set.value:.1%}"
    links = [link.proto for link in page.get("page_link")]
    assert len(links) == len(shown) and {link.page for link in links} == {"Confusion_matrix"}
    assert any(link.query_string == "matrix_tab=Phone+and+worn&matrix_elsewhere=Phone+photos" for link in links)
    assert not page.error and not page.exception


def test_products_phone_photos_and_worn_garments_are_the_figures_where_all_were_measured():
    coarse = CoarseSplits(test=Coarse(photos=9, exact=Share(), allowed_set=Share(value=0.5, low=0.2, high=0.8, n=8)))
    figures = list(home._figures(Metrics(phone=coarse, worn=coarse), Metrics()))
    assert [(figure.label, figure.value, figure.note) for figure in figures] == [
        ("Phone photos", "50.0%", "20.0–80.0% on 8 photos"),
        ("Worn garments", "50.0%", "20.0–80.0% on 8 photos"),
    ]


def test_a_link_to_phone_photos_opens_them():
    page = AppTest.from_file(str(ROOT / "pages" / "3_Confusion_matrix.py"), default_timeout=180)
    figure = home._of_kind("Phone photos", Coarse(photos=0, exact=Share(), allowed_set=Share()))
    for name, value in figure.evidence[1].items():
        page.query_params[name] = value
    page.run()
    assert page.segmented_control("matrix_elsewhere").value == "phone" and not page.exception


def test_home_classifies_another_sample_at_each_click(page):
    first = [markdown.value for markdown in page.markdown if markdown.value.startswith("## ")]
    next(button for button in page.button if button.label == "Show another").click().run()
    assert any("ms** with picture and heat map" in caption.value for caption in page.caption)
    assert [markdown.value for markdown in page.markdown if markdown.value.startswith("## ")] != first


def test_the_heat_map_of_each_example_lies_on_its_garment():
    classifier = Classifier.load()
    for name, seed in home.EXAMPLES:
        image = garments.sample(name, seed, (240, 320))
        (reading,) = classifier.read([(Photo(image, name, "drawn", "", *image.size), None)])
        heat = reading.heat(classifier.labels.index(name), image.size)
        garment = binary_fill_holes(np.asarray(image.convert("L")) < 245)
        assert classifier.answer(reading).label == name
        assert heat[garment].sum() / heat.sum() > 0.75, name


def test_the_model_card_is_one_click_away(page):
    next(button for button in page.button if "Model card" in button.label).click().run()
    shown = "\n".join(text.value for text in page.markdown)
    assert not page.exception and model_card(current_run()).partition("\n")[2].strip() in shown


def test_accuracy_and_speed_stand_beside_the_published_ones(page):
    published = Run.load(RUNS_FOLDER / "published-reference").metrics
    captions = "\n".join(caption.value for caption in page.caption)
    assert f"published: {published.test.accuracy.as_published}" in captions
    assert f"published: {published.latency.as_published}" in home.speed_when_exported(current_run())


def test_home_names_the_run_that_its_figures_are_of(page):
    assert any(current_run().run_id in caption.value for caption in page.caption)


def test_the_navigation_has_every_page_in_the_order_of_the_files():
    assert list(PAGES) == sorted(f"pages/{path.name}" for path in (ROOT / "pages").glob("*.py"))
    for path, title in PAGES.items():
        page = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=180).run().switch_page(path).run()
        assert page.title[0].value == title and not page.exception


def test_home_says_where_the_network_runs_and_why_not_better(random_runs):
    script = "from core.ui import home, session\nhome.took(4.2, 16.4, session.classifier().engine)"
    page = AppTest.from_string(script, default_timeout=180).run()
    assert (
        page.caption[0].value == "**4 ms** network, **16 ms** with picture and heat map, just now on this server (CPU)."
    )
    assert not page.warning
    failing = AppTest.from_string(f"import types\nfrom core.ui import home\nhome.took(4.2, 16.4, {STAND_IN})").run()
    assert "CUDA fails here (no driver). The network runs on the processor instead." in failing.warning[0].value
