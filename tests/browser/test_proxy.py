"""Two dashboards behind the reverse proxy of deploy/Caddyfile: its headers break no page, a session stays where it began, and
it serves TLS."""

import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page

from core.samples.garments import sample
from tests.browser.conftest import ROOT, free_port, running_server, wait_for
from tests.browser.waiting import canvas_shown, shown

PATHS = ("", *(path.stem.partition("_")[2] for path in sorted((ROOT / "pages").glob("*.py"))))
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
}
# Nothing that would need rights or the machine's certificates: no port 80, no port for commands.
CONFIGURATION = f"""{{
	auto_https disable_redirects
	skip_install_trust
	admin off
}}
import {ROOT}/deploy/Caddyfile
"""

pytestmark = pytest.mark.browser


class Proxy(NamedTuple):
    """A proxy in front of two dashboards: its address, the one with TLS, and the authority that signed for this one."""

    plain: str
    secure: str
    authority: Path


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    home = tmp_path_factory.mktemp("caddy")
    (home / "Caddyfile").write_text(CONFIGURATION)
    beside = Path(sys.executable).parent  # where pip puts it
    caddy = shutil.which("caddy", path=f"{beside}{os.pathsep}{os.environ['PATH']}")
    assert caddy, "pip install -r requirements-dev.txt"
    ways = Proxy(
        f"http://127.0.0.1:{free_port()}",
        f"https://localhost:{free_port()}",
        home / "caddy" / "pki" / "authorities" / "local" / "root.crt",
    )
    with running_server() as first, running_server() as second:
        upstreams = " ".join(address.removeprefix("http://") for address in (first, second))
        settings = {"SITE": f"{ways.plain}, {ways.secure}", "UPSTREAMS": upstreams}
        folders = {"XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
        command = [caddy, "run", "--config", home / "Caddyfile", "--adapter", "caddyfile"]
        server = subprocess.Popen(command, cwd=ROOT, env=os.environ | settings | folders, stderr=subprocess.DEVNULL)
        try:
            wait_for(f"{ways.plain}/_stcore/health")
            yield ways
        finally:
            server.terminate()
            server.wait(20)


@pytest.fixture
def proxy(both_ways: Proxy) -> str:
    """Its address without TLS, for a browser that does not know the authority."""
    return both_ways.plain


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
    shown(page.get_by_role("button", name="Close photo"))
    canvas_shown(page)
    cookies = {cookie["name"] for cookie in page.context.cookies()}
    assert "garments" in cookies and refused == []


def test_it_serves_tls_with_a_certificate_of_its_own_for_localhost(both_ways: Proxy):
    wait_for(f"{both_ways.secure}/_stcore/health", ssl.create_default_context(cafile=both_ways.authority))
    with pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):  # whoever does not trust Caddy's authority
        urlopen(both_ways.secure, timeout=20)
