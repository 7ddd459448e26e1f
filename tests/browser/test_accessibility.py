"""axe-core (WCAG 2 A and AA among its rules) finds no serious violation on any page, light or dark; no page asks another site."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.waiting import shown
from tests.conftest import ROOT

PAGES = ["", *(path.stem.partition("_")[2] for path in sorted((ROOT / "pages").glob("*.py")))]
SERIOUS = ("serious", "critical")
SETTLED = """() => !document.querySelector('[data-testid="stStatusWidget"], [data-testid="stSkeleton"]')"""

SHOWN = pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)])

pytestmark = pytest.mark.browser


def serious_violations(page: Page) -> list[str]:
    found = [violation for violation in Axe().run(page).response["violations"] if violation["impact"] in SERIOUS]
    return [f"{rule['id']}: {rule['help']}: {[node['html'] for node in rule['nodes']]}" for rule in found]


def settled(page: Page) -> None:
    page.locator("h1").first.wait_for()
    page.wait_for_function(SETTLED)
    page.wait_for_timeout(1000)  # fades end


@SHOWN
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path or "Home")
def test_a_page_has_no_serious_violation(
    server: str, open_page: Callable[..., Page], path: str, scheme: str, width: int
):
    page = open_page(f"{server}/{path}", color_scheme=scheme, width=width)
    if path == "Confusion_matrix":
        shown(page.locator(".st-key-matrix_chart .nsewdrag"))
    settled(page)
    assert serious_violations(page) == []


@SHOWN
def test_an_answer_has_no_serious_violation(server: str, open_page: Callable[..., Page], scheme: str, width: int):
    page = open_page(f"{server}/Classify", color_scheme=scheme, width=width)
    page.get_by_test_id("stMain").get_by_role("button").filter(has_text="Outfit").first.click()
    shown(page.get_by_role("button", name="Close photo"))
    settled(page)
    assert serious_violations(page) == []


def test_the_model_card_has_no_serious_violation(server: str, open_page: Callable[..., Page]):
    page = open_page(server)
    page.get_by_role("button", name="Model card").click()
    shown(page.get_by_role("dialog").get_by_text("Intended use", exact=True))
    page.wait_for_timeout(1000)
    assert serious_violations(page) == []


def test_the_proof_itself_can_fail(server: str, open_page: Callable[..., Page]):
    page = open_page(server)
    settled(page)
    page.evaluate("document.querySelector('[data-testid=stMain] p').style.color = '#f4f4f4'")
    assert any("color-contrast" in violation for violation in serious_violations(page))


def test_no_page_asks_another_site_and_each_has_its_font(server: str, open_page: Callable[..., Page]):
    page = open_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in PAGES:
        page.goto(f"{server}/{path}")
        settled(page)
        assert page.evaluate("document.fonts.check('16px Inter')")
    hosts = {urlsplit(url).netloc for url in asked if urlsplit(url).scheme in ("http", "https", "ws", "wss")}
    assert hosts == {urlsplit(server).netloc}
    assert any(url.endswith("inter-latin-wght-normal.woff2") for url in asked)
