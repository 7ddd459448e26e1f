"""Corrections of a catalogue's labels: CSV files given to --data, as the confusion page exports them.

Each row has an `id` and a `label`, the article type that the photo should have. An empty label leaves the photo out.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from core.artifacts.tables import read_table
from core.errors import InvalidData
from train.catalogue import PRODUCT

SUFFIX = ".csv"


def digest(path: Path) -> str:
    """Hexadecimal SHA-256 of a file of corrections. Raises InvalidData."""
    return hashlib.sha256(_content(path)).hexdigest()


def read_corrections(path: Path) -> dict[int, str]:
    """Id to article type, or to nothing.

    Raises:
        InvalidData: the file is no such table; the message names the line.
    """
    table = read_table(_content(path), path.name)
    missing = [column for column in ("id", "label") if column not in table.frame]
    if missing:
        raise InvalidData(f"{path.name} lacks the column {' and the column '.join(missing)}.")
    corrections: dict[int, str] = {}
    labels = table.frame["label"].fillna("")
    for line, photo, label in zip(table.lines, table.frame["id"], labels, strict=True):
        if not str(photo).isdecimal() or int(photo) in corrections:
            problem = "is there twice" if str(photo).isdecimal() else "is no number of the catalogue"
            raise InvalidData(f"{path.name} line {line}: the id {photo} {problem}.")
        corrections[int(photo)] = str(label)
    return corrections


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidData(f"{path} cannot be read ({error.strerror}).") from None


def corrected(rows: pd.DataFrame, path: Path, known: set[str]) -> tuple[pd.DataFrame, list[str]]:
    """Rows with the corrections of a file, and which of its ids there are not.

    Args:
        rows: with the columns id, kind and articleType.
        path: of the file.
        known: article types that a label may name, besides those of the rows.

    Raises:
        InvalidData: as `read_corrections`, or a label is no article type.
    """
    corrections = read_corrections(path)
    of_catalogue = rows["kind"] == PRODUCT
    types = known | set(rows.loc[of_catalogue, "articleType"]) | {""}
    unknown = sorted({label for label in corrections.values() if label not in types})
    if unknown:
        raise InvalidData(f"{path.name} has labels that are no article type: {', '.join(unknown[:5])}.")
    new = rows["id"].map(corrections).where(of_catalogue)  # pyright: ignore[reportArgumentType]
    kept = rows.assign(articleType=new.fillna(rows["articleType"])).loc[new != ""]
    absent = sorted(set(corrections) - set(rows.loc[of_catalogue, "id"]))
    return kept.reset_index(drop=True), [f"{path.name}: there is no photo with id {photo}" for photo in absent]
