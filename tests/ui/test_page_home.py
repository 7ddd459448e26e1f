"""The home page shows figures of the run folder, and a real classification."""

from streamlit.testing.v1 import AppTest

from core.analysis.model_card import model_card
from core.artifacts.run import Run, current_run
from core.settings import RUNS_FOLDER
from core.ui.home import DOORS
from core.ui.shell import PAGES
from tests.conftest import ROOT

STAND_IN = "types.SimpleNamespace(provider='CPUExecutionProvider', provider_problem='CUDA fails here (no driver)')"


def test_home_shows_the_shipped_runs_own_figures():
    page = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=60).run()
    metrics = current_run().metrics
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["Test accuracy"] == f"{metrics.test.accuracy.value:.1%}"
    assert shown["Phone photo accuracy"] == f"{metrics.phone.test.allowed_set.value:.1%}"
    assert not page.error and not page.exception


def test_home_classifies_another_sample_at_each_click():
    page = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=60).run()
    first = [caption.value for caption in page.caption]
    next(button for button in page.button if button.label == "Show another").click().run()
    assert any("Classified and explained in" in caption.value for caption in page.caption)
    assert page.session_state["demonstration"] == 1 and first


def test_the_model_card_is_one_click_away():
    page = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=60).run()
    next(button for button in page.button if "Model card" in button.label).click().run()
    shown = "\n".join(text.value for text in page.markdown)
    assert not page.exception and model_card(current_run()).partition("\n")[2].strip() in shown


def test_accuracy_and_speed_stand_beside_the_published_ones():
    page = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=60).run()
    published = Run.load(RUNS_FOLDER / "published-reference").metrics
    captions = "\n".join(caption.value for caption in page.caption)
    assert f"\npublished: {published.test.accuracy.as_published}" in captions
    assert f"\npublished: {published.latency.as_published}" in captions


def test_home_names_the_run_that_its_figures_are_of():
    page = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=60).run()
    assert any(current_run().run_id in caption.value for caption in page.caption)


def test_home_links_to_every_page():
    assert {path for path, *_ in DOORS} == set(PAGES)


def test_the_navigation_has_every_page_in_the_order_of_the_files():
    assert list(PAGES) == sorted(f"pages/{path.name}" for path in (ROOT / "pages").glob("*.py"))
    for path, title in PAGES.items():
        page = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=60).run().switch_page(path).run()
        assert page.title[0].value == title and not page.exception


def test_home_says_where_the_network_runs_and_why_not_better(random_runs):
    script = "from core.ui import home, session\nhome.took(12.3, session.classifier().engine)"
    page = AppTest.from_string(script, default_timeout=60).run()
    assert page.caption[0].value == "Classified and explained in 12 ms, just now, on this server (CPU)."
    assert not page.warning
    failing = AppTest.from_string(f"import types\nfrom core.ui import home\nhome.took(12.3, {STAND_IN})").run()
    assert "CUDA fails here (no driver). The network runs on the processor instead." in failing.warning[0].value
