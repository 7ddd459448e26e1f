"""Links to the training history hold, in a real browser: over a reload, the way back, a new default run, and a copy."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.settings import RUNS_FOLDER
from tests.browser.conftest import running_server
from tests.browser.waiting import shown
from tests.run_factory import write_run

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("linked") / "runs"
    write_run(folder, "ours", name="our run")
    shutil.copytree(RUNS_FOLDER / "published-reference", folder / "published-reference")
    return folder


@pytest.fixture(scope="module")
def linked_server(runs: Path) -> Iterator[str]:
    with running_server(GARMENTS_RUNS=str(runs)) as address:
        yield address


def expect_run(page: Page, name: str, run_id: str) -> None:
    shown(page.get_by_test_id("stMultiSelect").get_by_text(name))
    expect(page).to_have_url(re.compile(rf"[?&]runs={run_id}(&|$)"))


@pytest.mark.timeout(300)
def test_a_link_holds_over_reload_the_way_back_and_a_new_default_run(linked_server, runs, open_page):
    page = open_page(f"{linked_server}/Training_history")
    expect_run(page, "our run", "ours")
    page.goto(f"{linked_server}/Training_history?runs=published-reference")
    expect_run(page, "published reference", "published-reference")
    page.reload()
    expect_run(page, "published reference", "published-reference")
    page.get_by_role("link", name="Batch", exact=True).first.click()  # above or beside the page
    shown(page.get_by_role("heading", name="Batch", exact=True))
    page.go_back()
    expect_run(page, "published reference", "published-reference")

    link = f"{linked_server}/Training_history?runs=ours"
    write_run(runs, "newer", name="a newer run", created="2027-01-01T00:00:00+00:00")
    page.goto(link)
    expect_run(page, "our run", "ours")
    page.goto(f"{linked_server}/Training_history?runs=gone")
    shown(page.get_by_text("These runs are not here: gone."))
    page.reload()
    shown(page.get_by_text("These runs are not here: gone."))


@pytest.mark.timeout(240)
def test_the_link_is_copied_with_all_settings_of_the_page(linked_server, open_page):
    page = open_page(
        f"{linked_server}/Training_history?runs=ours&axis=Step", permissions=["clipboard-read", "clipboard-write"]
    )
    expect_run(page, "our run", "ours")
    page.get_by_role("button", name="Copy link").click()
    shown(page.get_by_role("button", name="Link copied"))
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.url and "axis=Step" in copied and "runs=ours" in copied
