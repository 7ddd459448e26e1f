"""Corrections are stored whole or not at all, never at the cost of what is there, and photos only where they are given."""

import hashlib
import io
import sqlite3
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from core import feedback
from core.errors import FeedbackUnavailable
from core.feedback import Correction, decide, decisions, kept_photo, latest, store
from core.images.decode import decode_photo
from core.images.region import Region
from core.settings import feedback_file

SAID = Correction("Shirts", "ab" * 32, (600, 800), Region(10, 20, 300, 400), "run-1", "Tshirts", 0.625)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "somewhere" / "feedback.sqlite3"


def corrected(path) -> list[str]:
    return [stored.correction.corrected for stored in latest(path)]


def gps_photo() -> bytes:
    """A JPEG lying on its side, with a place and a comment in its metadata."""
    exif = Image.Exif()
    exif[274] = 6
    exif.get_ifd(0x8825)[1] = "N"
    buffer = io.BytesIO()
    Image.effect_noise((80, 60), 60).convert("RGB").save(buffer, "JPEG", exif=exif, comment=b"secret place")
    return buffer.getvalue()


def test_what_is_stored_is_read_back_with_the_time(path):
    assert store(path, SAID) is None
    (stored,) = latest(path)
    assert stored.correction == SAID and stored.number == 1 and not stored.photo_kept
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(stored.time) < timedelta(minutes=1)


def test_decisions_are_kept_in_their_order_changed_and_taken_back_and_no_correction_is_lost(path):
    assert decisions(path) == {} and not path.parent.exists()
    store(path, SAID)
    assert decisions(path) == {}  # a file of before there were any
    for photo, label in (("7", "Tops"), ("500000001", ""), ("8", "Shirts"), ("7", "Jeans"), ("8", None)):
        decide(path, photo, label)
    assert list(decisions(path).items()) == [("500000001", ""), ("7", "Jeans")]
    assert corrected(path) == ["Shirts"]
    decide(path.with_name("new"), "7", "Tops")
    assert latest(path.with_name("new")) == [] and decisions(path.with_name("new")) == {"7": "Tops"}


def test_reading_makes_no_file(path):
    assert latest(path) == []
    assert not path.parent.exists()


def test_the_last_word_on_a_region_counts_and_every_region_has_its_own(path):
    whole = replace(SAID, region=Region(0, 0, 600, 800), corrected="Jeans")
    for said in (SAID, whole, replace(SAID, corrected="Tops")):
        store(path, said)
    assert corrected(path) == ["Jeans", "Tops"]


def test_without_agreement_no_pixel_is_kept(path):
    store(path, SAID)
    with pytest.raises(FeedbackUnavailable, match=r"holds no photo abababababab\.\.\."):
        kept_photo(path, SAID.photo_sha256)


def test_a_kept_photo_is_upright_and_without_metadata(path):
    photo = decode_photo(gps_photo())
    tagged = photo.image.copy()
    tagged.info = {"icc_profile": b"a secret place", "comment": "a secret place"}
    store(path, replace(SAID, photo_sha256=photo.sha256), tagged)
    np.testing.assert_array_equal(np.asarray(kept_photo(path, photo.sha256)), np.asarray(photo.image))
    assert photo.size == (60, 80)
    with sqlite3.connect(path) as connection:
        (png,) = connection.execute("SELECT png FROM photo").fetchone()
    connection.close()
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG" and not image.info and not image.getexif()
    assert b"secret" not in path.read_bytes()


def test_a_photo_is_kept_once_for_all_its_regions_and_not_too_large(path):
    large = Image.new("RGB", (4800, 1200), "navy")
    store(path, SAID, large)
    store(path, replace(SAID, region=Region(0, 0, 50, 50)), large)
    assert kept_photo(path, SAID.photo_sha256).size == (2400, 600)
    assert [stored.photo_kept for stored in latest(path)] == [True, True]


def test_several_writers_lose_nothing(path):
    said = [replace(SAID, photo_sha256=hashlib.sha256(bytes([i])).hexdigest()) for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: store(path, one), said))
    assert {stored.correction for stored in latest(path)} == set(said)


def test_a_file_in_use_says_so_and_keeps_what_it_has(path, monkeypatch):
    monkeypatch.setattr(feedback, "WAIT_SECONDS", 0.05)
    store(path, SAID)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(FeedbackUnavailable, match="in use by another program. Try again"):
        store(path, replace(SAID, corrected="Jeans"))
    other.rollback()
    other.close()
    assert corrected(path) == ["Shirts"]


@pytest.mark.parametrize("content", [b"this is no database, " * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_file_is_set_aside_whole(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(FeedbackUnavailable, match=r"feedback\.sqlite3 is damaged .*Move it away"):
        latest(path)
    aside = store(path, SAID)
    assert aside and aside.name.startswith("feedback.sqlite3.damaged-") and aside.read_bytes() == content
    assert corrected(path) == ["Shirts"]


def store_all(path, numbers) -> int:
    """How often a damaged file was set aside on the way."""
    said = [replace(SAID, photo_sha256=f"{number:064}") for number in numbers]
    with ThreadPoolExecutor(8) as pool:
        return sum(place is not None for place in pool.map(partial(store, path), said))


def test_two_servers_at_a_damaged_file_set_it_aside_once_and_lose_nothing(tmp_path):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as servers:
        for attempt in range(12):
            path = tmp_path / str(attempt) / "feedback.sqlite3"
            path.parent.mkdir()
            path.write_bytes(b"rubbish " * 1000)
            times = servers.map(partial(store_all, path), [range(8), range(8, 16)])
            assert sum(times) == 1 and len(list(path.parent.glob("*damaged*"))) == 1
            assert len(latest(path)) == 16


def test_whoever_holds_the_file_for_long_is_named_and_nothing_is_lost(path, monkeypatch):
    store(path, SAID)
    monkeypatch.setattr(feedback, "WAIT_SECONDS", 0.05)
    with FileLock(path.with_name(f"{path.name}.lock")), pytest.raises(FeedbackUnavailable, match="in use by another"):
        store(path, replace(SAID, corrected="Jeans"))
    assert corrected(path) == ["Shirts"]


def test_a_full_disk_says_so_and_keeps_what_it_has(path, monkeypatch):
    store(path, SAID)
    connect = sqlite3.connect

    def nearly_full(*args, **kwargs):
        connection = connect(*args, **kwargs)
        connection.execute("PRAGMA max_page_count = 1")  # no more than it has already
        return connection

    monkeypatch.setattr(sqlite3, "connect", nearly_full)
    with pytest.raises(FeedbackUnavailable, match="the disk is full. Free some space"):
        store(path, replace(SAID, corrected="Jeans"), Image.effect_noise((200, 200), 80))
    assert corrected(path) == ["Shirts"]


def test_a_read_only_file_says_so(path, monkeypatch):
    store(path, SAID)
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda name, **options: connect(f"file:{name}?mode=ro", uri=True, **options)
    )
    with pytest.raises(
        FeedbackUnavailable, match="is read-only. Allow the server to write it, or .* GARMENTS_FEEDBACK"
    ):
        store(path, SAID)


def test_a_file_that_has_reached_its_limit_takes_no_more_and_keeps_what_it_has(path, monkeypatch):
    store(path, SAID)
    monkeypatch.setattr(feedback, "LARGEST_FILE", path.stat().st_size)
    store(path, replace(SAID, corrected="Jeans"))
    with pytest.raises(FeedbackUnavailable, match="has reached 0 GB, so nothing more is stored"):
        store(path, SAID, Image.effect_noise((200, 200), 80))
    assert corrected(path) == ["Jeans"]


def test_a_path_that_cannot_be_says_so(path, tmp_path):
    path.mkdir(parents=True)
    with pytest.raises(FeedbackUnavailable, match="cannot be opened. Allow .* GARMENTS_FEEDBACK"):
        store(path, SAID)
    (tmp_path / "file").touch()
    with pytest.raises(FeedbackUnavailable, match="folder of .* cannot be made .* GARMENTS_FEEDBACK"):
        store(tmp_path / "file" / "feedback.sqlite3", SAID)


@pytest.mark.parametrize("statement", ["PRAGMA user_version = 2", "CREATE TABLE accounts (id)"])
def test_a_newer_file_or_anothers_is_left_alone(path, statement):
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    before = path.read_bytes()
    for use in (lambda: store(path, SAID), lambda: latest(path)):
        with pytest.raises(FeedbackUnavailable, match=r"is of schema \d; this version of the product writes schema 1"):
            use()
    assert path.read_bytes() == before


def test_the_setting_names_the_file(monkeypatch, tmp_path):
    monkeypatch.setenv("GARMENTS_FEEDBACK", str(tmp_path / "mine.db"))
    assert feedback_file() == tmp_path / "mine.db"
    monkeypatch.delenv("GARMENTS_FEEDBACK")
    assert feedback_file().parts[-2:] == ("data", "feedback.sqlite3")


def test_a_clock_that_jumps_back_does_not_change_which_word_was_the_last(path, monkeypatch):
    class Jumping(datetime):
        hours = iter((12, 3))

        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 1, 1, next(cls.hours), tzinfo=tz)

    monkeypatch.setattr(feedback, "datetime", Jumping)
    store(path, SAID)
    store(path, replace(SAID, corrected="Jeans"))
    assert corrected(path) == ["Jeans"]
