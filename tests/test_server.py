"""The server as a process, spoken to over Streamlit's protocol: told to stop, and two of them beside one another."""

import io
import json
import signal
import threading
from contextlib import suppress

import pytest

from benchmarks.sessions import Session, running_server
from core import samples
from core.ui_keys import UPLOADER


def jpeg(name: str, size: tuple[int, int] = (480, 640)) -> bytes:
    buffer = io.BytesIO()
    samples.sample(name, size=size).save(buffer, "JPEG")
    return buffer.getvalue()


def answer(session: Session) -> dict[str, object]:
    """The record that the page offers to take away, without the time it took."""
    (export,) = (button.url for button in session.all("download_button") if button.label == "JSON")
    (record,) = json.loads(session.get(export))
    return {name: value for name, value in record.items() if name != "milliseconds"}


@pytest.mark.usefixtures("random_runs")
def test_two_servers_on_one_run_folder_answer_alike():
    with (
        running_server() as first,
        running_server() as second,
        Session(first.address, "Classify") as a,
        Session(second.address, "Classify") as b,
    ):
        for session in (a, b):
            session.upload(UPLOADER, "shirt.jpg", jpeg("Shirts"))
        assert answer(a)["photo"] == "shirt.jpg"
        assert answer(a) == answer(b)


@pytest.mark.usefixtures("random_runs")
def test_told_to_stop_during_a_classify_it_ends_without_a_traceback(tmp_path):
    log = tmp_path / "log"
    with log.open("wb") as output, running_server(output) as server, Session(server.address, "Classify") as session:
        photo = jpeg("Shirts", (3000, 4000))

        def classify() -> None:
            with suppress(Exception):  # the connection ends as the server does
                session.upload(UPLOADER, "shirt.jpg", photo)

        visitor = threading.Thread(target=classify)
        visitor.start()
        visitor.join(0.3)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(30)
        visitor.join(30)
    said = log.read_text()
    assert "Stopping" in said
    assert "Traceback" not in said
