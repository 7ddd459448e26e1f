"""Visitors without a browser: Streamlit's own protocol, spoken from Python, so that fifty of them cost next to nothing.

A session is a websocket that carries protobufs: the client sends the state of its widgets (`BackMsg`), the server runs the page and sends
its elements (`ForwardMsg`). Files go to an address of their own by PUT, pictures and downloads come by GET, as in a browser.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import IO, Any, Self

import psutil
import requests
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileURLs
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120.0  # seconds; a busy machine is no failure
XSRF_COOKIE = "_streamlit_xsrf"


@dataclass(frozen=True)
class Server:
    """A dashboard that runs in a process of its own.

    Args:
        address: such as http://127.0.0.1:8501.
        process: that serves it.
        started: seconds from its start until it answered.
    """

    address: str
    process: psutil.Process
    started: float

    @property
    def megabytes(self) -> float:
        """Its resident memory, with that of the processes that decode for it."""
        return megabytes(self.process)


def megabytes(process: psutil.Process) -> float:
    """Resident memory of a process and of those that it started; what they share counts for each."""
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) / 2**20


@contextmanager
def running_server(output: int | IO[bytes] = subprocess.DEVNULL) -> Iterator[Server]:
    """The dashboard on a free port of this machine, as `make run` starts it; what it says goes to `output`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "Home.py", "--server.port", str(port)]
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(f"{address}/_stcore/health", start + PATIENCE)
            yield Server(address, psutil.Process(process.pid), time.perf_counter() - start)
        finally:
            process.terminate()


def _wait_for(url: str, deadline: float) -> None:
    while time.perf_counter() < deadline:
        try:
            requests.get(url, timeout=2).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(0.02)
    raise TimeoutError(f"no answer from {url}")


class Session:
    """One visitor's tab on one page. Not for several threads.

    Args:
        address: of the server.
        page: its name in the address, such as Classify; the home page if empty.
        visitor: the address that the visitor comes from, as a proxy says it; all without one are one visitor.

    Raises:
        RuntimeError: from its methods, if a page's script fails.
        TimeoutError: if the server is silent for PATIENCE seconds.
    """

    def __init__(self, address: str, page: str = "", visitor: str = ""):
        self.address, self.page = address, page
        self.elements: list[Element] = []  # of the latest run of the page, in the order they came
        self.came: dict[str, float] = {}  # when the last of each kind did, by time.perf_counter
        self._id = ""
        self._widgets: dict[str, WidgetState] = {}
        self._http = requests.Session()
        self._http.headers["Connection"] = "close"  # one kept open may be closed by the server just as it is used again
        self._http.get(f"{address}/_stcore/health", timeout=PATIENCE).raise_for_status()
        self.xsrf_token = self._http.cookies.get(XSRF_COOKIE, "")
        stream = f"{address.replace('http', 'ws', 1)}/_stcore/stream"
        self._open = ExitStack()
        self._socket = self._open.enter_context(
            connect(
                stream,
                subprotocols=["streamlit"],  # type: ignore
                additional_headers={"X-Forwarded-For": visitor} if visitor else None,
                max_size=None,
                open_timeout=PATIENCE,
            )
        )
        self.rerun()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        self._http.close()

    def rerun(self, over: Event | None = None) -> None:
        """Send the widgets' state and take the page's new elements, until `over` is set where it is given."""
        message = BackMsg()
        message.rerun_script.page_name = self.page
        message.rerun_script.widget_states.widgets.extend(self._widgets.values())
        self._socket.send(message.SerializeToString())
        while (answer := self._receive()).WhichOneof("type") != "script_finished":
            self._take(answer)
            if over and over.is_set():
                return
        if answer.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
            raise RuntimeError("another run took the place of this one")
        if answer.script_finished != ForwardMsg.FINISHED_SUCCESSFULLY:
            raise RuntimeError(f"the page's script ended with status {answer.script_finished}")

    def upload(self, key: str, name: str, data: bytes, over: Event | None = None) -> None:
        """Put one more file into an uploader and let the page run, until `over` is set where it is given."""
        uploader = self.widget("file_uploader", key)
        urls = self._file_urls(name)
        with self._http.put(
            f"{self.address}{urls.upload_url}",
            files={"file": (name, data)},
            headers={"X-Xsrftoken": self.xsrf_token},
            timeout=PATIENCE,
            stream=True,  # a server that refuses a file hangs up, maybe within the answer's text
        ) as answer:
            answer.raise_for_status()
        state = self._widgets.setdefault(uploader.id, WidgetState(id=uploader.id))
        files = state.file_uploader_state_value.uploaded_file_info
        files.add(name=name, size=len(data), file_id=urls.file_id, file_urls=urls)
        self.rerun(over)

    def report(self, key: str, **state: Any) -> None:
        """Let a component tell the page something, as the browser's part of it would."""
        component = self.widget("bidi_component", key)
        self._widgets[component.id] = WidgetState(id=component.id, json_value=json.dumps(state))
        self.rerun()

    def widget(self, kind: str, key: str) -> Any:
        """The element of a kind whose widget has a key, with a number after it or not; RuntimeError if the page has none."""
        for element in self.all(kind):
            if re.search(rf"-{re.escape(key)}(-\d+)?$", element.id):
                return element
        raise RuntimeError(f"the page {self.page!r} has no {kind} with the key {key!r}")

    def all(self, kind: str) -> list[Any]:
        """The page's elements of a kind, such as markdown, imgs or download_button."""
        return [getattr(element, kind) for element in self.elements if element.WhichOneof("type") == kind]

    def download(self, label: str) -> bytes:
        """The file behind a download button; the server makes it now, if it makes it only when asked."""
        (button,) = (button for button in self.all("download_button") if button.label == label)
        if not button.HasField("deferred_file_id"):
            return self.get(button.url)
        message = BackMsg()
        message.backend_operation_request.request_id = label
        message.backend_operation_request.session_id = self._id
        message.backend_operation_request.deferred_file.file_id = button.deferred_file_id
        self._socket.send(message.SerializeToString())
        while (answer := self._receive()).WhichOneof("type") != "backend_operation_response":
            self._take(answer)
        return self.get(answer.backend_operation_response.deferred_file.url)

    def get(self, url: str) -> bytes:
        """What lies at an address that an element named, such as a picture's."""
        answer = self._http.get(f"{self.address}{url}", timeout=PATIENCE)
        answer.raise_for_status()
        return answer.content

    def _file_urls(self, name: str) -> FileURLs:
        message = BackMsg()
        message.file_urls_request.request_id = name
        message.file_urls_request.file_names.append(name)
        message.file_urls_request.session_id = self._id
        self._socket.send(message.SerializeToString())
        while (answer := self._receive()).WhichOneof("type") != "file_urls_response":
            self._take(answer)
        return answer.file_urls_response.file_urls[0]

    def _receive(self) -> ForwardMsg:
        return ForwardMsg.FromString(self._socket.recv(timeout=PATIENCE))  # type: ignore

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.elements, self.came = [], {}
            self._id = message.new_session.initialize.session_id
        elif kind == "delta" and message.delta.HasField("new_element"):
            self.elements.append(message.delta.new_element)
            self.came[message.delta.new_element.WhichOneof("type")] = time.perf_counter()
