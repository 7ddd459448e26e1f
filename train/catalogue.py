"""Read data sets, each a zip or its extracted folder.

The Kaggle "Fashion Product Images" data set is `styles.csv` and `images/<id>.jpg`. A set of phone photos is `labels.csv` (`file,label`, and
`sender` where it is known) and `images/<file>`. A set of street photos is `labels.csv` (`value,label`), `images/<name>.jpg`, and
`masks/<name>.png`, whose pixels have those values.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import re
import threading
import zipfile
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from core.errors import InvalidData
from train import worn
from train.meter import meter
from train.targets import ClassList

COLUMNS = ("id", "articleType", "baseColour", "usage", "productDisplayName")
MOST_DIGITS = 18  # of an id, so that it fits 64 bits
TABLES = ("styles.csv", "labels.csv")
PRODUCT, PHONE, WORN = (
    "product",
    "phone",
    "worn",
)  # kinds of photos: of a catalogue, taken at home, of people in the street
WHOLE, SQUASHED = "whole", "squashed"  # views of a product or phone photo; `train.worn` names those of worn garments
HASHED_IDS_FROM = 1_000_000_000  # rows of a labels.csv have no ids of their own: theirs come from the file's name
NEIGHBOURS = 20  # street photos with neighbouring numbers may show one person, so this many in a row form a block and stay together
AFTER = "after"  # a line that a quotation mark left open would swallow
LAST_COLUMN = "productDisplayName"  # the free text at the end of a row: stray commas belong to it


@dataclass
class Source:
    """One data set on disk; thread safe, each thread reading through its own handle.

    Args:
        path: the zip, or the folder that has one of TABLES.

    Raises:
        InvalidData: there is no data set at the path.
    """

    path: Path
    table: str = field(init=False, default="")
    _prefix: str = field(init=False, default="")
    _local: threading.local = field(init=False, default_factory=threading.local, repr=False)

    def __post_init__(self) -> None:
        if not self.path.exists():
            raise InvalidData(
                f"There is no data set at {self.path}. Give the Kaggle zip or its extracted folder to --data."
            )
        if self.path.name in TABLES:
            raise InvalidData(
                f"{self.path} is the table of a data set. Give the folder that it lies in, {self.path.parent}."
            )
        found = sorted((name for name in self._members if Path(name).name in TABLES), key=len)
        if not found:
            raise InvalidData(_no_table(self.path, self._members))
        self.table = Path(found[0]).name
        self._prefix = found[0].removesuffix(self.table)

    @cached_property
    def _members(self) -> dict[str, tuple[int, int]]:
        """File name to (size, checksum or modification time): what changes when the data set does."""
        if self.path.is_dir():
            files = ((file, file.stat()) for file in self.path.rglob("*") if file.is_file())
            return {file.relative_to(self.path).as_posix(): (stat.st_size, stat.st_mtime_ns) for file, stat in files}
        try:
            with zipfile.ZipFile(self.path) as archive:
                return {info.filename: (info.file_size, info.CRC) for info in archive.infolist()}
        except (zipfile.BadZipFile, OSError) as error:
            raise InvalidData(f"{self.path} is not a readable zip file ({error}). Download it again.") from None

    def read(self, name: str) -> bytes:
        """Bytes of a file of the data set, whatever the case of its letters; KeyError or OSError if there is none."""
        full = self._prefix + name
        full = full if full in self._members else self._by_lower_case.get(full.lower(), full)
        if self.path.is_dir():
            return (self.path / full).read_bytes()
        if not hasattr(self._local, "archive"):
            self._local.archive = zipfile.ZipFile(self.path)
        return self._local.archive.read(full)

    @cached_property
    def _by_lower_case(self) -> dict[str, str]:
        return {name.lower(): name for name in self._members}

    def photos(self, classes: ClassList) -> tuple[pd.DataFrame, list[str]]:
        """One row a view of each photo, and what was left out.

        Columns: `COLUMNS`; `file` below `images/`; `kind`; `view`; `left, top, right, bottom`, the box in pixels that the view shows (all 0
        for the whole photo); `key`, the person or street that photos share (empty if unknown).

        Raises:
            InvalidData: as `read_styles`, `read_labels` and `read_values` do.
        """
        name, data = f"{self.path.name}: {self.table}", self.read(self.table)
        if self.table == "labels.csv" and data.lstrip(b"\xef\xbb\xbf").startswith(b"value,"):
            return self._worn(read_values(data, name), classes)
        if self.table == "labels.csv":
            rows, problems = read_labels(data, name, classes)
        else:
            rows, problems = read_styles(data, name, classes.labels.names)
            rows = rows.assign(file=rows["id"].astype(str) + ".jpg", kind=PRODUCT, key="")
        return rows.assign(view=WHOLE, left=0, top=0, right=0, bottom=0), problems

    def _worn(self, labels: dict[int, str], classes: ClassList) -> tuple[pd.DataFrame, list[str]]:
        """Rows of a set of street photos: the views of each garment, and one of the background where there is room."""
        names = sorted(name.removeprefix(f"{self._prefix}masks/") for name in self._members if "masks/" in name)
        found: list[dict[str, str | int]] = []
        problems: list[str] = []
        for name in meter(names, "reading masks", "masks"):
            stem = PurePosixPath(name).stem
            try:
                mask = worn.read_mask(self.read(f"masks/{name}"))
            except Exception as error:  # whatever a damaged file provokes in the decoder
                problems.append(f"{self.path.name}: masks/{name}: does not decode ({error})")
                continue
            boxes = [
                (label, box) for label, box in worn.garments(mask, labels) if worn.PREFIX + label in classes.coarse
            ]
            backdrop = worn.backdrop_box(mask, stem)
            for label, box in boxes + ([(worn.BACKDROP, backdrop)] if backdrop else []):
                found += _views(stem, label, box, (mask.shape[1], mask.shape[0]), classes)
        return pd.DataFrame(found).assign(baseColour="", usage="", productDisplayName=""), problems

    def garment(self, file: str, view: str, box: worn.Box, image: Image.Image, label: str) -> Image.Image:
        """The view of a worn garment, cut from its decoded street photo. Raises KeyError or OSError if its mask is missing."""
        if view == worn.CUT_OUT:
            value = {name: value for value, name in self.values.items()}[label.removeprefix(worn.PREFIX)]
            image = worn.cut_out(image, self.mask(file) == value)
        return image.crop(box)

    def mask(self, file: str) -> np.ndarray:
        """Label values of a street photo's pixels, uint8 (height, width). Raises KeyError or OSError if there is none."""
        return worn.read_mask(self.read(f"masks/{PurePosixPath(file).stem}.png"))

    @cached_property
    def values(self) -> dict[int, str]:
        """Label of each value of the masks of street photos."""
        return read_values(self.read(self.table), self.table)

    def fingerprint(self) -> str:
        """Hexadecimal digest that changes whenever a file of the data set does."""
        return hashlib.sha256(repr(sorted(self._members.items())).encode()).hexdigest()


def _no_table(path: Path, members: Collection[str]) -> str:
    """Why a zip or folder without a table is not a data set."""
    inner = sorted(name for name in members if name.lower().endswith(".zip"))
    if inner:
        return f"{path} has no styles.csv, but another zip: {inner[0]}. Extract {path.name} and give {Path(inner[0]).name} to --data."
    return (
        f"{path} has no styles.csv, so it is not the Kaggle data set or its download is incomplete; nor has it the labels.csv of a set of "
        "phone or street photos."
    )


def read_styles(data: bytes, source: str, classes: Collection[str] = ()) -> tuple[pd.DataFrame, list[str]]:
    """Parse styles.csv, which has unquoted commas in its last column.

    Args:
        data: the file.
        source: its name, for messages.
        classes: article types whose misspellings, such as "T-shirt", are reported; any other name is another product's.

    Returns:
        A table with `COLUMNS` (`id` as int, the others as text), and what was wrong with the rows left out, by line.

    Raises:
        InvalidData: the file is empty, its first line is not UTF-8 or no CSV, or lacks a column.
    """
    header, rows = _rows(data, source)
    spelling = {_bare(name): name for name in classes}
    problems: list[str] = []
    seen: dict[int, int] = {}
    records: list[dict[str, str | int]] = []
    for line, row, damage in rows:
        record = dict(zip(header, row, strict=False))
        problem = damage or _problem(header, row, record, seen)
        problem = problem or _unknown_type(record["articleType"], spelling)
        if problem:
            problems.append(f"{source} line {line}: {problem}")
            continue
        if len(row) > len(header):
            record[LAST_COLUMN] = ",".join(row[len(header) - 1 :])
        photo_id = int(record["id"])
        seen[photo_id] = line
        records.append({column: record[column] for column in COLUMNS} | {"id": photo_id})
    return pd.DataFrame(records, columns=list(COLUMNS)), problems


def _views(
    stem: str, label: str, box: worn.Box, size: tuple[int, int], classes: ClassList
) -> list[dict[str, str | int]]:
    """Rows for the views of one garment: those of a class have all, the others the exact box and one jittered."""
    of_class = bool(classes.classes_of(worn.PREFIX + label))
    views = (worn.EXACT, *worn.JITTERED, worn.CUT_OUT) if of_class else (worn.EXACT, worn.JITTERED[0])
    name = f"{stem}/{label}"
    boxes = {view: worn.jittered(box, size, name, view) for view in worn.JITTERED}
    known: dict[str, str | int] = {
        "id": _hashed_id(name),
        "articleType": worn.PREFIX + label,
        "file": f"{stem}.jpg",
        "kind": WORN,
        "key": f"street {int(stem) // NEIGHBOURS}" if stem.isdecimal() else f"street {stem}",
    }
    sides = ("left", "top", "right", "bottom")
    return [known | {"view": view} | dict(zip(sides, boxes.get(view, box), strict=True)) for view in views]


def _hashed_id(name: str) -> int:
    return HASHED_IDS_FROM + int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")


def read_values(data: bytes, source: str) -> dict[int, str]:
    """Parse the labels.csv of a set of street photos: value of a mask's pixels to label. Raises InvalidData."""
    _, rows = _rows(data, source, ("value", "label"))
    wrong = [line for line, row, damage in rows if damage or len(row) < 2 or not row[0].strip().isdecimal()]
    if wrong:
        raise InvalidData(f"{source} line {wrong[0]}: a row is `value,label`, such as `24,jacket`.")
    return {int(row[0]): row[1].strip() for _, row, _ in rows}


def read_labels(data: bytes, source: str, classes: ClassList) -> tuple[pd.DataFrame, list[str]]:
    """Parse a labels.csv of phone photos.

    Args:
        data: the file, with columns `file` and `label`, and `sender` where it is known who took the photo.
        source: its name, for messages.
        classes: whose coarse labels are known; rows with a label that is never taught are skipped.

    Returns:
        `COLUMNS` (the label as article type, nothing known of colour, usage and name), `file`, `kind` and `key`, ordered by file, ids
        from HASHED_IDS_FROM; and what was wrong with the rows left out.

    Raises:
        InvalidData: as `read_styles`.
    """
    header, rows = _rows(data, source, ("file", "label"))
    labels: dict[str, str] = {}
    senders: dict[str, str] = {}
    problems: list[str] = []
    for line, row, damage in rows:
        record = dict(zip(header, row, strict=False))
        if record.get("label") in classes.untaught:
            continue
        problem = damage or _label_problem(record, labels, classes.coarse)
        if problem:
            problems.append(f"{source} line {line}: {problem}")
        else:
            labels[record["file"]] = record["label"]
            senders[record["file"]] = f"sender {record['sender']}" if record.get("sender") else ""
    files = sorted(labels)
    known = {
        "id": [_hashed_id(file) for file in files],
        "articleType": [labels[file] for file in files],
        "file": files,
        "kind": PHONE,
        "key": [senders[file] for file in files],
    }
    return pd.DataFrame(known | {column: "" for column in COLUMNS if column not in known}), problems


def _label_problem(record: dict[str, str], seen: dict[str, str], coarse: Collection[str]) -> str:
    file, label = record.get("file", ""), record.get("label", "")
    if not file or PurePosixPath(file).name != file:
        return f"the file {file[:40]!r} is not the name of a file in images/"
    if file in seen:
        return f"the file {file} is listed twice"
    return "" if label in coarse else f"the label {label[:40]!r} is none of {', '.join(coarse)}"


class _Row(NamedTuple):
    """A row of a table: its line in the file, its cells, and what keeps it from being read (else empty)."""

    line: int
    cells: list[str]
    problem: str


def _rows(data: bytes, source: str, columns: tuple[str, ...] = COLUMNS) -> tuple[list[str], list[_Row]]:
    """The header, and the rows that are not empty, each read by itself: a fault in one line costs no other."""
    lines = re.split(rb"\r\n|\n|\r", data.removeprefix(codecs.BOM_UTF8))
    rows = [_row(number, line) for number, line in enumerate(lines, 1)]
    if rows[0].problem:
        raise InvalidData(f"{source} line 1: {rows[0].problem}. Save the file as a CSV table in UTF-8 and try again.")
    header = [name.strip() for name in rows[0].cells]
    missing = [column for column in columns if column not in header]
    if missing:
        raise InvalidData(
            f"{source} lacks the column(s) {', '.join(missing)}; its first line is {','.join(header)[:120]!r}."
        )
    return header, [row for row in rows[1:] if row.cells or row.problem]


def _row(number: int, line: bytes) -> _Row:
    try:
        cells, *following = csv.reader([line.decode("utf-8"), AFTER])
    except UnicodeDecodeError:
        return _Row(number, [], "it is not UTF-8")
    except csv.Error as error:
        return _Row(number, [], f"it is not a row of a CSV table ({error})")
    return _Row(number, cells, "" if following else "a quotation mark is not closed; close it or drop it")


def _unknown_type(name: str, spelling: dict[str, str]) -> str:
    if not name.strip():
        return "it has no articleType"
    known = spelling.get(_bare(name), name)
    return "" if name == known else f"the articleType {name[:40]!r} is unknown; write {known!r}"


def _bare(name: str) -> str:
    """A name without what is easily mistaken: case, spaces, hyphens, the plural's s."""
    return re.sub(r"[\s_-]", "", name).casefold().removesuffix("s")


def _problem(header: list[str], row: list[str], record: dict[str, str], seen: dict[int, int]) -> str:
    if len(row) < len(header):
        return f"{len(row)} columns where {len(header)} are needed"
    if len(row) > len(header) and header[-1] != LAST_COLUMN:
        return (
            f"{len(row)} columns where {len(header)} are expected, and the last is not free text, which may hold commas"
        )
    photo_id = record["id"].strip()
    if not photo_id.isdecimal() or len(photo_id) > MOST_DIGITS:
        return f"the id {photo_id[:40]!r} is not a whole number of at most {MOST_DIGITS} digits"
    if int(photo_id) in seen:
        return f"the id {int(photo_id)} is in line {seen[int(photo_id)]} already"
    return ""
