"""The server as a process, spoken to over Streamlit's protocol: what it keeps apart, refuses and leaves behind, and how it ends."""

import csv
import io
import json
import signal
import threading
import tomllib
import zipfile
from collections.abc import Iterator

import pytest
import requests
from websockets.exceptions import ConnectionClosed

from benchmarks.sessions import Server, Session, running_server
from core.images.decode import MAX_BYTES
from core.samples import garments
from core.ui.photo_field import UPLOADER
from tests.conftest import ROOT

LIMIT = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["server"]["maxUploadSize"] * 2**20


def jpeg(name: str, size: tuple[int, int] = (480, 640)) -> bytes:
    buffer = io.BytesIO()
    garments.sample(name, size=(480, 640)).resize(size).save(
        buffer, "JPEG"
    )  # drawing at the size of a phone's photo takes seconds
    return buffer.getvalue()


def answer(session: Session) -> dict[str, object]:
    """The record that the page offers to take away, without its time."""
    (record,) = json.loads(session.download("JSON"))
    return {name: value for name, value in record.items() if name != "time"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server


def test_one_visitor_sees_nothing_of_another(server):
    with Session(server.address, "Classify") as mine, Session(server.address, "Classify") as anothers:
        mine.upload(UPLOADER, "my shirt.jpg", jpeg("Shirts"))
        anothers.rerun()
        assert answer(mine)["photo"] == "my shirt.jpg"
        assert not anothers.all("download_button")
        assert "my shirt" not in str(anothers.elements)


def test_no_spreadsheet_runs_a_photos_name(server):
    with Session(server.address, "Classify") as session:
        session.upload(UPLOADER, "=HYPERLINK(1).jpg", jpeg("Shirts"))
        (row,) = csv.DictReader(io.StringIO(session.download("CSV").decode()))
        assert row["photo"] == "'=HYPERLINK(1).jpg"
        assert answer(session)["photo"] == "=HYPERLINK(1).jpg"


def test_an_upload_from_another_site_is_refused(server):
    """It comes with the visitor's cookie but cannot know the token in it."""
    with Session(server.address, "Classify") as session:
        session.xsrf_token = "guessed"
        with pytest.raises(requests.HTTPError, match="403"):
            session.upload(UPLOADER, "shirt.jpg", jpeg("Shirts"))


def test_an_upload_over_the_limit_is_refused(server):
    with Session(server.address, "Batch") as session, pytest.raises(requests.HTTPError, match="413"):
        session.upload("batch_upload_Files", "photos.zip", bytes(LIMIT + 2**20))


def test_a_zip_file_may_be_larger_than_a_photo(server):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("shirt.jpg", jpeg("Shirts"))
        file.writestr("notes.bin", bytes(MAX_BYTES + 2**20))
    with Session(server.address, "Batch") as session:
        session.upload("batch_upload_Files", "photos.zip", archive.getvalue())
        assert "shirt.jpg" in session.download("Export CSV").decode()


def test_nothing_is_left_behind_on_the_disk(tmp_path, monkeypatch):
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    for folder, names in ((home, ("HOME", "XDG_CACHE_HOME")), (temporary, ("TMPDIR",))):
        folder.mkdir()
        for name in names:
            monkeypatch.setenv(name, str(folder))
    with running_server() as server, Session(server.address, "Classify") as session:
        session.upload(UPLOADER, "shirt.jpg", jpeg("Shirts"))
        session.upload(UPLOADER, "bad.jpg", b"no photo")
        assert list(temporary.iterdir()) == []
    assert [*home.rglob("*"), *temporary.rglob("*")] == []


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
        photo, outcomes = jpeg("Shirts", (3000, 4000)), []

        def classify() -> None:
            try:
                session.upload(UPLOADER, "shirt.jpg", photo)
                outcomes.append("answered")
            except (ConnectionClosed, requests.ConnectionError):
                outcomes.append("told that the server went")

        visitor = threading.Thread(target=classify)
        visitor.start()
        visitor.join(0.3)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) in (0, -signal.SIGTERM)
        visitor.join(30)
    assert outcomes in (["answered"], ["told that the server went"])
    said = log.read_text()
    assert "You can now view" in said
    assert "Traceback" not in said
