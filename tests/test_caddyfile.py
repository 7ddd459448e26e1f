"""What deploy/Caddyfile lets through to a dashboard, with a server of ours in the dashboard's place."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError, URLError

import pytest

from core.settings import PROJECT

COOKIE = "_streamlit_xsrf=2|abc; Path=/; SameSite=Lax"


class Dashboard(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Set-Cookie", COOKIE)
        self.end_headers()
        self.wfile.write(b"the dashboard")

    def log_message(self, *_: object) -> None:
        pass


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The proxy's address without TLS and with it."""
    home = tmp_path_factory.mktemp("caddy")
    own = "{\n\tauto_https disable_redirects\n\tskip_install_trust\n\tadmin off\n}\n"
    (home / "Caddyfile").write_text(f"{own}import {PROJECT}/deploy/Caddyfile\n")
    caddy = shutil.which("caddy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert caddy, "pip install -r requirements-dev.txt"
    ways = {"http": f"http://localhost:{free_port()}", "https": f"https://localhost:{free_port()}"}
    dashboard = ThreadingHTTPServer(("127.0.0.1", 0), Dashboard)
    Thread(target=dashboard.serve_forever, daemon=True).start()
    settings = {"SITE": ", ".join(ways.values()), "UPSTREAMS": f"127.0.0.1:{dashboard.server_port}"}
    folders = {"XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    command = [caddy, "run", "--config", home / "Caddyfile", "--adapter", "caddyfile"]
    proxy = subprocess.Popen(command, env=os.environ | settings | folders, stderr=subprocess.DEVNULL)
    try:
        yield ways
    finally:
        proxy.terminate()
        proxy.wait(30)
        dashboard.shutdown()
        dashboard.server_close()


def asked(address: str, origin: str | None = None) -> tuple[int, str]:
    """Status and the cookie against forged requests, once the proxy is there."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(address, headers={"Origin": origin} if origin else {})
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30, context=trusting) as answer:
                cookies = answer.headers.get_all("Set-Cookie", [])
                return answer.status, next((cookie for cookie in cookies if "xsrf" in cookie), "")
        except HTTPError as error:
            with error:
                return error.code, ""
        except URLError:
            assert time.monotonic() < deadline, "the proxy never came"
            time.sleep(0.2)


def body(address: str, host: str) -> bytes:
    """What the proxy answers to a request for a name, over TLS for the right one."""
    asked(address)
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    port = address.rpartition(":")[2]
    request = urllib.request.Request(address, headers={"Host": f"{host}:{port}"})
    try:
        with urllib.request.urlopen(request, timeout=30, context=trusting) as answer:
            return answer.read()
    except HTTPError as error:
        with error:
            return error.read()


@pytest.mark.parametrize("way", ["http", "https"])
def test_a_request_from_another_site_does_not_reach_the_dashboard(addresses, way):
    address = addresses[way]
    assert asked(address)[0] == asked(address, address)[0] == 200
    for origin in ("https://another-site.example", "null", f"{address}.another-site.example", "https://localhost"):
        assert asked(f"{address}/_stcore/stream", origin)[0] == 403, origin


def test_figures_of_the_server_are_not_public(addresses):
    assert asked(f"{addresses['https']}/_stcore/metrics")[0] == 404
    assert asked(f"{addresses['https']}/_stcore/health")[0] == 200


def test_behind_tls_the_cookie_against_forged_requests_is_sent_over_tls_only(addresses):
    assert asked(addresses["https"])[1] == f"{COOKIE}; Secure"
    assert asked(addresses["http"])[1] == COOKIE


@pytest.mark.parametrize("way", ["http", "https"])
def test_a_request_under_another_name_does_not_reach_the_dashboard(addresses, way):
    assert b"the dashboard" in body(addresses[way], "localhost")
    assert b"the dashboard" not in body(addresses[way], "another-name.example")
