"""What does not reach Streamlit: requests of other sites' pages, and uploads that the memory has no room for."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit import config, runtime
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from benchmarks.sessions import Session, running_server
from core.ui import gate
from core.ui.gate import Gate
from core.ui.quota import MB, Quota

Sent = list[dict[str, Any]]


class Dashboard:
    """In Streamlit's place: answers when it is let go, and knows which uploads it keeps."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.kept: set[tuple[str, str]] = set()
        self.let_go = asyncio.Event()
        self.let_go.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached.append(scope["path"])
        if scope.get("method") == "PUT":
            session, file = scope["path"].split("/")[-2:]
            self.kept.add((session, file))
        await self.let_go.wait()

    def get_files(self, session: str, files: list[str]) -> list[str]:
        return [file for file in files if (session, file) in self.kept]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Its result. In a thread of its own: where a browser was driven before, this one has a running event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> Dashboard:
    made = Dashboard()
    monkeypatch.setattr(runtime, "get_instance", lambda: SimpleNamespace(uploaded_file_mgr=made))
    monkeypatch.setattr(gate, "quota", Quota(800 * MB, 1800 * MB))
    return made


def request(path: str, kind: str = "http", method: str = "GET", **headers: str) -> dict[str, Any]:
    named = {"host": "shop.example:8501"} | headers
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]
    return {"type": kind, "method": method, "path": path, "headers": fields, "client": ("192.0.2.7", 5)}


def upload(file: str, megabytes: int, session: str = "tab") -> dict[str, Any]:
    return request(f"/_stcore/upload_file/{session}/{file}", method="PUT", content_length=str(megabytes * MB))


async def sent_by(asked: Gate, scope: dict[str, Any]) -> Sent:
    sent: Sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("a byte of the request was read")

    await asked(scope, receive, send)
    return sent


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("origin", ["https://another-site.example", "null", "http://shop.example", "http://localhost"])
def test_a_request_of_another_sites_page_does_not_reach_streamlit(dashboard: Dashboard, kind: str, origin: str):
    (first, *_) = run(sent_by(Gate(dashboard), request("/_stcore/stream", kind, origin=origin)))
    assert not dashboard.reached and (first.get("status") == 403 or first["type"] == "websocket.close")


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_ones_own_and_a_programs_reach_it_and_so_does_a_site_that_the_settings_allow(
    dashboard: Dashboard, kind: str, monkeypatch: pytest.MonkeyPatch
):
    options = {"server.enableCORS": True, "server.corsAllowedOrigins": ["https://friend.example"]}
    monkeypatch.setattr(config, "get_option", options.__getitem__)
    asked = Gate(dashboard)
    for headers in ({}, {"origin": "https://shop.example:8501"}, {"origin": "https://friend.example"}):
        assert run(sent_by(asked, request("/_stcore/stream", kind, **headers))) == []
    assert len(dashboard.reached) == 3


def test_of_twenty_uploads_of_199_mb_at_once_those_without_room_are_refused_unread(dashboard: Dashboard):
    async def all_at_once() -> list[Sent]:
        dashboard.let_go.clear()
        asked = Gate(dashboard)
        uploads = [asyncio.create_task(sent_by(asked, upload(str(number), 199))) for number in range(20)]
        await asyncio.sleep(0)
        dashboard.let_go.set()
        return await asyncio.gather(*uploads)

    answers = run(all_at_once())
    assert len(dashboard.reached) == 2  # each takes its size twice while it comes
    assert [sent[0]["status"] for sent in answers if sent] == [413] * 18


def test_an_upload_counts_for_as_long_as_streamlit_keeps_it(dashboard: Dashboard):
    asked = Gate(dashboard)
    for number in range(3):
        assert run(sent_by(asked, upload(str(number), 200))) == []
    refused = run(sent_by(asked, upload("one more", 200)))
    assert refused[0]["status"] == 413 and b"for one visitor" in refused[1]["body"]
    dashboard.kept.clear()
    assert run(sent_by(asked, upload("one more", 200))) == []


def test_an_upload_that_does_not_tell_its_size_counts_as_the_largest(dashboard: Dashboard):
    asked = Gate(dashboard)
    scope = request("/_stcore/upload_file/tab/a", method="PUT", transfer_encoding="chunked")
    assert run(sent_by(asked, scope)) == []
    (held,) = asked._uploads.values()
    assert held.size == config.get_option("server.maxUploadSize") * MB


@pytest.fixture
def asked_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that a server started now fills with the places outside this machine that it asks, as Python's audit events tell."""
    asked = tmp_path / "asked"
    asked.touch()
    (tmp_path / "sitecustomize.py").write_text(
        f"""
import sys

def note(event, arguments):
    place = arguments[1] if event == "socket.connect" else arguments[0] if event == "socket.getaddrinfo" else None
    host = place[0] if isinstance(place, tuple) else place
    if isinstance(host, str) and host not in ("127.0.0.1", "localhost", "0.0.0.0", "::1") and event.startswith("socket"):
        with open({str(asked)!r}, "a") as file:
            print(event, arguments, file=file)

sys.addaudithook(note)
"""
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    subprocess.run(
        [sys.executable, "-c", "import socket; socket.getaddrinfo('outside.invalid', 80)"], stderr=subprocess.DEVNULL
    )
    assert "outside.invalid" in asked.read_text()
    asked.write_text("")
    monkeypatch.setenv("STREAMLIT_SERVER_ADDRESS", "0.0.0.0")
    return asked


@pytest.mark.skipif(sys.platform == "win32", reason="the server is told to listen on all addresses")
def test_from_its_start_on_the_server_asks_nobody_outside_whoever_connects(asked_outside: Path):
    with running_server() as server:
        stream = f"{server.address.replace('http', 'ws', 1)}/_stcore/stream"
        with pytest.raises(InvalidStatus, match="403"):
            connect(stream, origin=Origin("https://another-site.example"), subprotocols=[Subprotocol("streamlit")])
        with Session(server.address) as visitor:
            assert visitor.elements
    assert asked_outside.read_text() == ""
