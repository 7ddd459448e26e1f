"""What visitors say of wrong answers, and what reviewers decide, in one SQLite file; with the photo only where they agreed.

Several servers may share the file: each call waits for its turn, opens it, and closes it again. It is made at the first correction.
The turn is a lock file beside it: SQLite's own locks go with a file, and do not hold while a damaged one gives its name to a new one.
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from PIL import Image

from core.errors import FeedbackUnavailable
from core.images.region import Region
from core.settings import FEEDBACK

NONE_OF_THESE = "none of these"
SCHEMA = 1
WAIT_SECONDS = 5.0  # for another program that is writing
IN_USE = "is in use by another program. Try again in a moment"
LARGEST_FILE = 2 * 2**30  # bytes; a visitor could fill the disk
LARGEST_PHOTO = (2400, 2400)  # in pixels; a larger one is shrunk before it is kept
TABLES = """
CREATE TABLE correction (
    number INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, photo_sha256 TEXT NOT NULL,
    photo_width INTEGER NOT NULL, photo_height INTEGER NOT NULL,
    region_left INTEGER NOT NULL, region_top INTEGER NOT NULL, region_right INTEGER NOT NULL, region_bottom INTEGER NOT NULL,
    run_id TEXT NOT NULL, predicted TEXT NOT NULL, probability REAL NOT NULL, corrected TEXT NOT NULL,
    photo_kept INTEGER NOT NULL
);
CREATE TABLE photo (sha256 TEXT PRIMARY KEY, png BLOB NOT NULL);
"""
DECISIONS = "CREATE TABLE IF NOT EXISTS decision (photo TEXT PRIMARY KEY, label TEXT NOT NULL, time TEXT NOT NULL)"
FIRST_ID = (
    500_000_001  # of corrected photos: beyond the published custom ones (from 60001), below those that phone photos get
)
COLUMNS = (
    *("time", "photo_sha256", "photo_width", "photo_height", "region_left", "region_top", "region_right", "region_bottom"),
    *("run_id", "predicted", "probability", "corrected", "photo_kept"),
)  # fmt: skip
INSERT = f"INSERT INTO correction ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
LATEST = f"""
SELECT number, {", ".join(COLUMNS)} FROM correction WHERE number IN (
    SELECT max(number) FROM correction GROUP BY photo_sha256, region_left, region_top, region_right, region_bottom
) ORDER BY number
"""  # noqa: S608
DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
REASONS = {
    sqlite3.SQLITE_BUSY: IN_USE,
    sqlite3.SQLITE_LOCKED: IN_USE,
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full. Free some space and try again",
    sqlite3.SQLITE_READONLY: f"is read-only. Allow the server to write it, or name another file in {FEEDBACK}",
    sqlite3.SQLITE_CANTOPEN: f"cannot be opened. Allow the server to write its folder, or name another file in {FEEDBACK}",
    sqlite3.SQLITE_NOTADB: "is damaged or no SQLite file. Move it away, or name another file in " + FEEDBACK,
    sqlite3.SQLITE_CORRUPT: "is damaged. Move it away, or name another file in " + FEEDBACK,
}


@dataclass(frozen=True)
class Correction:
    """What somebody says that a photo or region shows.

    Args:
        corrected: a class name, or NONE_OF_THESE.
        photo_sha256: hexadecimal digest of the photo's bytes as they came.
        photo_size: (width, height) of the upright photo, in pixels.
        region: in pixels of the upright photo; all of it for the whole photo.
        run_id: of the network that answered.
        predicted: its answer.
        probability: of that answer, in [0, 1].
    """

    corrected: str
    photo_sha256: str
    photo_size: tuple[int, int]
    region: Region
    run_id: str
    predicted: str
    probability: float


@dataclass(frozen=True)
class Stored:
    """A correction with what was noted when it was stored.

    Args:
        number: from 1, never used twice.
        time: ISO 8601, UTC.
        correction: itself.
        photo_kept: whether the visitor agreed that the photo is kept.
    """

    number: int
    time: str
    correction: Correction
    photo_kept: bool

    @property
    def photo_id(self) -> int:
        """Its photo's id in a data set, the same in every export, so that splits of several trainings can be compared."""
        return FIRST_ID - 1 + self.number


def store(path: Path, correction: Correction, photo: Image.Image | None = None) -> Path | None:
    """Store a correction, and the photo if it is given: upright as decoded, as PNG, without metadata.

    Returns:
        Where a damaged file was put, to make room for a new one; None as a rule.

    Raises:
        FeedbackUnavailable: the file is in use for long, read-only, of a newer schema or not ours, or the disk is full.
    """
    png = None if photo is None else _png(photo)
    _make_folder(path)
    with _turn(path):
        if path.exists() and path.stat().st_size + len(png or b"") > LARGEST_FILE:
            raise FeedbackUnavailable(
                f"{path} has reached {LARGEST_FILE >> 30} GB, so nothing more is stored. Export it and move it away, or name another file "
                f"in {FEEDBACK}."
            )
        try:
            _insert(path, correction, png)
        except FeedbackUnavailable as error:
            if _code(error.__cause__) not in DAMAGED:
                raise
            aside = _set_aside(path)
            _insert(path, correction, png)
            return aside
    return None


def latest(path: Path) -> list[Stored]:
    """The last correction of each region of each photo, in the order stored; none if nothing was ever stored.

    Raises:
        FeedbackUnavailable: the file cannot be read, or is not ours.
    """
    if not path.exists():
        return []
    with _turn(path), _opened(path) as connection:
        _check_schema(path, connection)
        return [_from_row(row) for row in connection.execute(LATEST)]


def kept_photo(path: Path, sha256: str) -> Image.Image:
    """A photo that was kept, RGB and upright; at another scale than the photo that came, where that was large.

    Raises:
        FeedbackUnavailable: the file cannot be read, or does not hold the photo.
    """
    with _turn(path), _opened(path) as connection:
        row = connection.execute("SELECT png FROM photo WHERE sha256 = ?", (sha256,)).fetchone()
    if row is None:
        raise FeedbackUnavailable(f"{path} holds no photo {sha256[:12]}..., though a correction says that it was kept.")
    with Image.open(io.BytesIO(row[0]), formats=["PNG"]) as image:
        return image.convert("RGB")


def kept_region(path: Path, stored: Stored) -> Image.Image:
    """The part of a photo that was kept which a correction is about. Raises FeedbackUnavailable as `kept_photo` does."""
    said = stored.correction
    photo = kept_photo(path, said.photo_sha256)
    return photo.crop(said.region.box_in(photo.size, said.photo_size))


def decide(path: Path, photo: str, label: str | None) -> None:
    """Store what a reviewer decides about a photo, or take it back.

    Args:
        path: of the file.
        photo: id of a photo of the catalogue, or of a correction's.
        label: its correct class; empty to leave the photo out; None to take back what was decided.

    Raises:
        FeedbackUnavailable: as `store`.
    """
    _make_folder(path)
    with _turn(path), _opened(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        _make_tables(path, connection)
        connection.execute(DECISIONS)
        connection.execute("DELETE FROM decision WHERE photo = ?", (photo,))
        if label is not None:
            connection.execute("INSERT INTO decision VALUES (?, ?, ?)", (photo, label, _now()))


def decisions(path: Path) -> dict[str, str]:
    """What reviewers decided, photo id to class or to nothing, in the order decided. Raises FeedbackUnavailable."""
    if not path.exists():
        return {}
    with _turn(path), _opened(path) as connection:
        _check_schema(path, connection)
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'decision'").fetchone():
            return {}
        return dict(connection.execute("SELECT photo, label FROM decision ORDER BY rowid"))


def _png(photo: Image.Image) -> bytes:
    kept = photo.convert("RGB")
    kept.info = {}
    kept.thumbnail(LARGEST_PHOTO)
    buffer = io.BytesIO()
    kept.save(buffer, "PNG")
    return buffer.getvalue()


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FeedbackUnavailable(
            f"The folder of {path} cannot be made ({error.strerror}). Name another file in {FEEDBACK}."
        ) from error


@contextmanager
def _turn(path: Path) -> Generator[None]:
    """The only one at the file, among threads and programs."""
    lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=WAIT_SECONDS, poll_interval=0.01)
    try:
        lock.acquire()
    except Timeout as error:
        raise FeedbackUnavailable(f"{path} {IN_USE}.") from error
    except OSError as error:
        raise FeedbackUnavailable(f"{path} {REASONS[sqlite3.SQLITE_CANTOPEN]}.") from error
    try:
        yield
    finally:
        lock.release()


def _insert(path: Path, correction: Correction, png: bytes | None) -> None:
    with _opened(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        _make_tables(path, connection)
        connection.execute(INSERT, _to_row(correction, png is not None))
        if png is not None:
            connection.execute("INSERT OR IGNORE INTO photo VALUES (?, ?)", (correction.photo_sha256, png))


def _make_tables(path: Path, connection: sqlite3.Connection) -> None:
    if not _check_schema(path, connection):
        for statement in TABLES.split(";"):  # executescript would end the transaction
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA}")


@contextmanager
def _opened(path: Path) -> Generator[sqlite3.Connection]:
    """A connection whose transaction is kept if all goes well; SQLite's errors become messages."""
    try:
        connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
        try:
            with connection:
                yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        reason = REASONS.get(_code(error), f"cannot be used ({error})")
        raise FeedbackUnavailable(f"{path} {reason}.") from error


def _code(error: BaseException | None) -> int:
    """SQLite's primary result code of an error; 0 if it has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _check_schema(path: Path, connection: sqlite3.Connection) -> bool:
    """Whether the file holds our tables; false for an empty one. Raises FeedbackUnavailable for anybody else's."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version != SCHEMA and (version or tables):
        raise FeedbackUnavailable(
            f"{path} is of schema {version}; this version of the product writes schema {SCHEMA}. Name another file in {FEEDBACK}."
        )
    return tables > 0


def _to_row(correction: Correction, photo_kept: bool) -> tuple[object, ...]:
    return (
        *(_now(), correction.photo_sha256, *correction.photo_size, *correction.region.box, correction.run_id),
        *(correction.predicted, correction.probability, correction.corrected, photo_kept),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _from_row(row: tuple[Any, ...]) -> Stored:
    number, time, sha256, width, height, left, top, right, bottom, run_id, predicted, probability, corrected, kept = row
    region = Region(left, top, right, bottom)
    correction = Correction(corrected, sha256, (width, height), region, run_id, predicted, probability)
    return Stored(number, time, correction, bool(kept))


def _set_aside(path: Path) -> Path:
    """Rename the damaged file, and the journal that belongs to it; returns its new name."""
    aside = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}")
    try:
        for ending in ("-journal", ""):
            if path.with_name(path.name + ending).exists():
                path.with_name(path.name + ending).rename(aside.with_name(aside.name + ending))
    except OSError as error:
        raise FeedbackUnavailable(
            f"{path} is damaged and cannot be renamed ({error.strerror}). Move it away."
        ) from error
    return aside
