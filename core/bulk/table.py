"""Many uploaded photos at once: what is in the uploads, and the predictions as a table, those to review first."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from core.artifacts.labels import OUT_OF_SCOPE
from core.bulk.garments import Garments
from core.bulk.pipeline import RECORD_FIELDS, Result, predicted_fields
from core.errors import GarmentError, InvalidData
from core.images.decode import Photo, display_name, plain_name, spreadsheet_name
from core.images.encode import data_url, jpeg
from core.images.outline import Outline
from core.images.region import Region
from core.images.sources import PhotoFile, is_photo, photos_in_zip
from core.inference.attributes import ATTRIBUTES
from core.inference.classifier import Found
from core.inference.verdict import class_name, instead, rounded
from core.settings import DEFAULTS

MAX_PHOTOS = 2000
MAX_MEMBERS = 20_000  # entries of a zip, photos or not
MAX_UNPACKED = 2 * 2**30  # bytes that the photos of one zip may claim
MORE = "For more, use `python -m core predict`."
ZIP_ENTRY = b"PK\x01\x02"  # begins each entry of a zip's directory
THUMBNAIL, THUMBNAIL_QUALITY = (72, 72), 75
LOW_CONFIDENCE = 0.6  # a prediction less probable than this should be reviewed
NEEDS_REVIEW = "Needs review"
EVERY_CONFIDENCE = (0.0, 1.0)

BOX = (
    "left",
    "top",
    "right",
    "bottom",
)  # of a garment, in pixels of the upright photo; empty where a row is of a whole photo
ON_SCREEN = ("photo", "outline", "thumbnail")  # the photo's id, the garment's outline, a small picture
COLUMNS = (*RECORD_FIELDS, *BOX, *ON_SCREEN)


class Upload(NamedTuple):
    """A file that a visitor dropped: an id of its own, its name, and its bytes."""

    id: str
    name: str
    data: bytes


def photos_of(uploads: Iterable[Upload], already: int = 0) -> tuple[dict[str, PhotoFile], list[str]]:
    """The photos of uploads, zip files opened, by an id of their own; and what was left out, with the reason.

    Args:
        uploads: files as they were dropped. In a folder, what is neither a photo nor a zip file is passed over.
        already: photos that count towards MAX_PHOTOS too.
    """
    photos: dict[str, PhotoFile] = {}
    problems: list[str] = []
    for upload in uploads:
        try:
            found = _photos_in(upload)
            if already + len(photos) + len(found) > MAX_PHOTOS:
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
        of_folder = "/" in upload.name
        return (
            [] if of_folder and not is_photo(upload.name) else [PhotoFile(plain_name(upload.name), lambda: upload.data)]
        )
    if (entries := upload.data.count(ZIP_ENTRY)) > MAX_MEMBERS:  # before a directory of millions is read into memory
        raise InvalidData(f"{name} has {entries} entries; at most {MAX_MEMBERS} are accepted. {MORE}")
    found = list(photos_in_zip(io.BytesIO(upload.data), name))
    if (claimed := sum(size for _, size in found)) > MAX_UNPACKED:
        raise InvalidData(
            f"{name} unpacks to {claimed / 2**30:.1f} GB of photos; at most {MAX_UNPACKED // 2**30} GB are accepted. {MORE}"
        )
    return [PhotoFile(plain_name(photo.name), photo.read) for photo, _ in found]


def row(photo: str, result: Result) -> dict[str, Any]:
    """A photo's result as a row of the table: its record, and a thumbnail as data URL."""
    picture = data_url(jpeg(result.picture, THUMBNAIL_QUALITY)) if result.picture else None
    return result.record | dict.fromkeys(BOX) | {"photo": photo, "outline": None, "thumbnail": picture}


def garment_rows(photo: str, garments: Garments) -> list[dict[str, Any]]:
    """The garments found in a photo as rows of the table; none where none was found."""
    return [_garment_row(photo, garments.file, garments.photo, found) for found in garments.found if garments.photo]


def _garment_row(photo: str, file: str, decoded: Photo, found: Found) -> dict[str, Any]:
    picture = decoded.image.crop(found.region.box_in(decoded.image.size, decoded.size))
    picture.thumbnail(THUMBNAIL)
    fields = predicted_fields(found.answer) | {"top_k": dict(found.answer.ranking[: DEFAULTS.top_k])}
    size = {"width": decoded.width, "height": decoded.height}
    record = dict.fromkeys(RECORD_FIELDS) | fields | size | {"file": file, "error": ""}
    box = dict(zip(BOX, found.region.box, strict=True))
    url = data_url(jpeg(picture, THUMBNAIL_QUALITY))
    return record | box | {"photo": photo, "outline": found.outline, "thumbnail": url}


def boxes_of(table: pd.DataFrame, chosen: int) -> tuple[list[tuple[Region, Outline | None]], int]:
    """The garments to box on the photo of a row: those in scope, and the row's own; and the place of that one among them, from 1.

    Args:
        table: as `table` makes it.
        chosen: label of the row in the table's index.

    Returns:
        Boxes with their outlines (an outline says that the garment is in scope), and 0 for the place if the row is of a whole photo.
    """
    same_photo = (table["photo"] == table["photo"][chosen]).to_numpy() & table["left"].notna().to_numpy()
    in_scope = (table["in_scope"] == True).to_numpy()  # noqa: E712 (None where a photo could not be read)
    garments = table.loc[same_photo & (in_scope | (table.index == chosen))]
    boxes = [
        (Region(*(int(row[side]) for side in BOX)), row["outline"] if row["in_scope"] else None)
        for row in garments.to_dict("records")
    ]
    return boxes, 1 + int(np.flatnonzero(garments.index == chosen)[0]) if chosen in garments.index else 0


def table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a table with the columns COLUMNS, in the order given."""
    return pd.DataFrame(list(rows), columns=list(COLUMNS))


def answered(table: pd.DataFrame) -> pd.DataFrame:
    """The photos that could be read, those to review first: the least probable before others, and last what is out of scope."""
    readable = table.loc[(table["error"] == "").to_numpy()].astype({"in_scope": bool, "probability": float})
    return readable.sort_values(by=["in_scope", "probability"], ascending=[False, True], kind="stable")


def out_of_scope(answered: pd.DataFrame) -> np.ndarray:
    """Which photos are probably not one of the classes, as booleans."""
    return ~answered["in_scope"].to_numpy(bool)


def needs_review(answered: pd.DataFrame) -> np.ndarray:
    """Which photos are in scope but have no probable class, as booleans."""
    return ~out_of_scope(answered) & (answered["probability"].to_numpy(float) < LOW_CONFIDENCE)


def predicted(answered: pd.DataFrame) -> pd.Series:
    """The class predicted for each photo, or OUT_OF_SCOPE."""
    return pd.Series(answered["label"]).mask(out_of_scope(answered), OUT_OF_SCOPE)


def matching(
    answered: pd.DataFrame,
    classes: Collection[str] = (),
    confidence: tuple[float, float] = EVERY_CONFIDENCE,
    attributes: Mapping[str, Collection[str]] = {},  # noqa: B006
) -> pd.DataFrame:
    """The photos that pass every filter.

    Args:
        answered: as `answered` gives them.
        classes: to keep, OUT_OF_SCOPE among them; all if empty.
        confidence: lowest and highest probability to keep, both included. What is out of scope passes only the whole range.
        attributes: name to the values to keep; no values keep every photo.
    """
    keep = np.ones(len(answered), bool)
    if classes:
        keep &= predicted(answered).isin(list(classes)).to_numpy()
    if confidence != EVERY_CONFIDENCE:
        keep &= ~out_of_scope(answered) & answered["probability"].between(*confidence).to_numpy()
    for name, values in attributes.items():
        if values:
            keep &= answered[name].isin(list(values)).to_numpy()
    return answered.loc[keep]


def attribute_values(answered: pd.DataFrame) -> dict[str, list[str]]:
    """The values that attributes have here, the most frequent first; attributes without any are left out."""
    counts = {name: Counter(str(value) for value in answered[name] if value) for name in ATTRIBUTES}
    return {name: [value for value, _ in found.most_common()] for name, found in counts.items() if found}


def verdicts(answered: pd.DataFrame) -> pd.DataFrame:
    """The predictions for the screen.

    Columns thumbnail, status, class (out of scope: what the photo looks like), probability (none out of scope), next (the next class),
    one for each attribute that has values, and file.
    """
    refused = out_of_scope(answered)
    status = np.select([refused, needs_review(answered)], [OUT_OF_SCOPE, NEEDS_REVIEW], "")
    columns = {
        "thumbnail": answered["thumbnail"],
        "status": status,
        "class": [_shown_class(row) for row in answered.to_dict("records")],
        "probability": answered["probability"].mask(refused),
        "next": ["" if none else _second(ranking) for ranking, none in zip(answered["top_k"], refused, strict=True)],
        **{name: answered[name] for name in attribute_values(answered)},
        "file": answered["file"],
    }
    return pd.DataFrame(columns, index=answered.index)


def _shown_class(row: Mapping[Any, Any]) -> str:
    if row["in_scope"]:
        return class_name(row["label"])
    looks_like = (row["looks_like"], row["looks_like_probability"]) if row["looks_like"] else None
    return instead(looks_like, [*row["top_k"]], mentioned=1)


def _second(ranking: dict[str, float]) -> str:
    """Such as `Shirts 12%`; empty if there is but one."""
    return "".join(f"{class_name(name)} {rounded(probability)}" for name, probability in [*ranking.items()][1:2])


def as_csv(table: pd.DataFrame) -> bytes:
    """The records as CSV for Excel, with the boxes if there are any: a byte order mark says that it is UTF-8.

    Texts are quoted, and one that a spreadsheet would run gets an apostrophe.
    """
    texts = {column: table[column].map(spreadsheet_name) for column in ("file", "error")}
    records = table.assign(**texts, top_k=table["top_k"].map(json.dumps))
    boxed = bool(table["left"].notna().to_numpy().any())
    if boxed:
        records = records.astype(dict.fromkeys(BOX, "Int64"))
    unused = [*ON_SCREEN, *(() if boxed else BOX)]
    return records.drop(columns=unused).to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC).encode("utf-8-sig")
