"""Many uploaded photos at once: what is in the uploads, and the predictions as a table, the least confident first."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from core.artifacts.labels import OUT_OF_SCOPE, LabelSet
from core.bulk.pipeline import RECORD_FIELDS, Result
from core.errors import GarmentError, InvalidData
from core.images.decode import display_name, plain_name, spreadsheet_name
from core.images.encode import data_url, jpeg
from core.images.sources import PhotoFile, photos_in_zip
from core.inference.verdict import class_name, rounded

MAX_PHOTOS = 2000
MAX_MEMBERS = 20_000  # entries of a zip, photos or not
MAX_UNPACKED = 2 * 2**30  # bytes that the photos of one zip may claim
MORE = "For more, use `python -m core predict`."
ZIP_ENTRY = b"PK\x01\x02"  # begins each entry of a zip's directory
THUMBNAIL, THUMBNAIL_QUALITY = (72, 72), 75
LOW_CONFIDENCE = 0.6  # a prediction less probable than this should be checked

COLUMNS = (*RECORD_FIELDS, "thumbnail")


class Upload(NamedTuple):
    """A file that a visitor dropped: an id of its own, its name, and its bytes."""

    id: str
    name: str
    data: bytes


def photos_of(uploads: Iterable[Upload]) -> tuple[dict[str, PhotoFile], list[str]]:
    """The photos of uploads, zip files opened, by an id that is stable over reruns; and what was left out, with the reason."""
    photos: dict[str, PhotoFile] = {}
    problems: list[str] = []
    for upload in uploads:
        try:
            found = _photos_in(upload)
            if len(photos) + len(found) > MAX_PHOTOS:
                raise InvalidData(
                    f"{display_name(upload.name)} is left out: at most {MAX_PHOTOS} photos at once. {MORE}"
                )
        except GarmentError as error:
            problems.append(str(error))
            continue
        photos |= {f"{upload.id} {number}": photo for number, photo in enumerate(found)}
    return photos, problems


def _photos_in(upload: Upload) -> list[PhotoFile]:
    name = display_name(upload.name)
    if not upload.name.lower().endswith(".zip"):
        return [PhotoFile(name, lambda: upload.data)]
    if (entries := upload.data.count(ZIP_ENTRY)) > MAX_MEMBERS:  # before a directory of millions is read into memory
        raise InvalidData(f"{name} has {entries} entries; at most {MAX_MEMBERS} are accepted. {MORE}")
    found = list(photos_in_zip(io.BytesIO(upload.data), name))
    if (claimed := sum(size for _, size in found)) > MAX_UNPACKED:
        raise InvalidData(
            f"{name} unpacks to {claimed / 2**30:.1f} GB of photos; at most {MAX_UNPACKED // 2**30} GB are accepted. {MORE}"
        )
    return [PhotoFile(plain_name(photo.name), photo.read) for photo, _ in found]


def row(result: Result) -> dict[str, Any]:
    """A result as a row of the table: its record, and a thumbnail as data URL."""
    return result.record | {"thumbnail": data_url(jpeg(result.picture, THUMBNAIL_QUALITY)) if result.picture else None}


def table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a table with the columns COLUMNS, in the order given."""
    return pd.DataFrame(list(rows), columns=list(COLUMNS))


def answered(table: pd.DataFrame) -> pd.DataFrame:
    """The photos that could be read, the least confident first: out of scope, then the least probable."""
    readable = table.loc[(table["error"] == "").to_numpy()].astype({"in_scope": bool, "probability": float})
    return readable.sort_values(by=["in_scope", "probability"], kind="stable")


def out_of_scope(answered: pd.DataFrame) -> np.ndarray:
    """Which photos are probably not one of the classes, as booleans."""
    return ~answered["in_scope"].to_numpy(bool)


def low_confidence(answered: pd.DataFrame) -> np.ndarray:
    """Which photos are in scope but have no probable class, as booleans."""
    return ~out_of_scope(answered) & (answered["probability"].to_numpy(float) < LOW_CONFIDENCE)


def predicted(answered: pd.DataFrame) -> pd.Series:
    """The class predicted for each photo, or OUT_OF_SCOPE."""
    return pd.Series(answered["label"]).mask(out_of_scope(answered), OUT_OF_SCOPE)


def verdicts(answered: pd.DataFrame) -> pd.DataFrame:
    """The predictions for the screen: columns thumbnail, class, probability (none out of scope), next (the next class) and file."""
    refused = out_of_scope(answered)
    following = [_class_at(ranking, 0 if none else 1) for ranking, none in zip(answered["top_k"], refused, strict=True)]
    columns = {
        "thumbnail": answered["thumbnail"],
        "class": predicted(answered).map(class_name),
        "probability": answered["probability"].mask(refused),
        "next": following,
        "file": answered["file"],
    }
    return pd.DataFrame(columns, index=answered.index)


def _class_at(ranking: dict[str, float], place: int) -> str:
    """Such as `Shirts 12%`; empty if so many are not listed."""
    return "".join(
        f"{class_name(name)} {rounded(probability)}" for name, probability in [*ranking.items()][place : place + 1]
    )


def class_counts(answered: pd.DataFrame, labels: LabelSet) -> pd.DataFrame:
    """How many photos of each class there are, in the order of the labels, then how many out of scope: columns class, group, photos."""
    counts = predicted(answered).value_counts().reindex([*labels.names, OUT_OF_SCOPE], fill_value=0)
    groups = [*(labels.group_of(name) for name in labels.names), ""]
    return pd.DataFrame({"class": counts.index, "group": groups, "photos": counts.to_numpy()})


def as_csv(table: pd.DataFrame) -> str:
    """The records as CSV in the order of the photos; texts are quoted, and one that a spreadsheet would run gets an apostrophe."""
    texts = {column: table[column].map(spreadsheet_name) for column in ("file", "error")}
    records = table.assign(**texts, top_k=table["top_k"].map(json.dumps))
    return records.drop(columns="thumbnail").to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)
