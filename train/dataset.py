"""From data sets on disk to an index of photos, and their decoded pixels in one memory-mapped file.

The pixels are exactly what the product feeds its engine: `core.preprocess.letterbox` of the decoded photo.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import imagehash
import numpy as np
import pandas as pd
from filelock import FileLock
from PIL import Image, ImageOps

from core.errors import InvalidData
from core.images.letterbox import letterbox
from train.catalogue import Source
from train.folder import replaced, write_json
from train.meter import meter
from train.targets import ClassList

OUT_OF_SCOPE = -1  # target of a photo that is no product of the classes
HASH_SIZE = 16  # of the difference hash: 256 bits
CACHE_VERSION = 2  # raise when the meaning of the cached pixels changes

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Index:
    """What a data set holds.

    Args:
        photos: one row a photo that loads: `id, articleType, baseColour, usage, productDisplayName, target` (class index or
            OUT_OF_SCOPE), `file` (below `images/`), `phone` (whether it is a phone photo, its article type then a coarse label),
            `source` (position in the list of sources), `hash` (bytes, of the first source's photo of that id, so that sharper copies
            change no split).
        problems: one message for each row or file left out.
        failed: ids that stand in a table but have no photo that loads.
        fingerprint: hexadecimal digest of the sources and the class list.
        sources: the data sets, in the order given.
    """

    photos: pd.DataFrame
    problems: list[str]
    failed: list[int]
    fingerprint: str
    sources: list[Source]

    @property
    def in_scope(self) -> np.ndarray:
        """Whether a photo is a product of one of the classes, bool of shape (n_photos,)."""
        return self.photos["target"].to_numpy() != OUT_OF_SCOPE

    @property
    def phone(self) -> np.ndarray:
        """Whether it is a phone photo, bool of shape (n_photos,)."""
        return self.photos["phone"].to_numpy()


def build_index(paths: list[Path], classes: ClassList, cache: Path) -> Index:
    """Read the tables, verify every photo once, and keep the result in `cache` until a source changes.

    Raises:
        InvalidData: a source is unreadable, or no photo of any class loads.
        OSError: the cache cannot be written.
    """
    sources = [Source(path) for path in paths]
    labels, coarse = classes.labels, sorted(classes.coarse)
    fingerprint = _digest(CACHE_VERSION, labels.groups, coarse, *(source.fingerprint() for source in sources))
    photos_file, failures_file = cache / f"{fingerprint[:16]}.parquet", cache / f"{fingerprint[:16]}.failures.json"
    with _only_writer(photos_file):
        if not failures_file.exists():
            photos, failures = _verified(*_all_rows(sources, classes), sources)
            with replaced(photos_file) as partial:
                photos.to_parquet(partial)
            write_json(failures_file, failures)
    index = Index(
        pd.read_parquet(photos_file), **json.loads(failures_file.read_text()), fingerprint=fingerprint, sources=sources
    )
    if not index.in_scope.any():
        raise InvalidData(
            f"No photo of the {len(labels)} classes loads from {', '.join(map(str, paths))}. {' '.join(index.problems[:3])}"
        )
    return index


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _only_writer(path: Path) -> FileLock:
    """A second trainer on the same cache waits for the first, and then finds the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{path}.lock")


def _all_rows(sources: list[Source], classes: ClassList) -> tuple[pd.DataFrame, list[str]]:
    """The rows of all tables, ordered by id and then by source, and what was wrong with the rows left out."""
    tables, problems = [], []
    for position, source in enumerate(sources):
        table, wrong = source.photos(classes.coarse, classes.labels.names)
        tables.append(table.assign(source=position))
        problems += wrong
    rows = pd.concat(tables).sort_values(["id", "source"], ignore_index=True)
    targets = {name: index for index, name in enumerate(classes.labels.names)}
    return rows.assign(target=[targets.get(name, OUT_OF_SCOPE) for name in rows["articleType"]]), problems


def _verified(
    rows: pd.DataFrame, problems: list[str], sources: list[Source]
) -> tuple[pd.DataFrame, dict[str, list[Any]]]:
    """Decode every photo: the rows that load, the last source's where several have one, with the hash of the first's; and the rest."""

    def check(row: Key) -> bytes | str:
        source = sources[row.source]
        try:
            return np.packbits(imagehash.dhash(_open(source, row.file), HASH_SIZE).hash).tobytes()
        except Exception as error:  # whatever a damaged file provokes in the decoder
            return f"{source.path.name}: images/{row.file}: {_reason(error)}"

    found = list(_in_parallel(check, _keys(rows), "reading"))
    loads = np.array([isinstance(result, bytes) for result in found], dtype=bool)
    photos = rows[loads].assign(hash=[result for result in found if isinstance(result, bytes)])
    photos["hash"] = photos.groupby("id")["hash"].transform("first")
    photos = photos.drop_duplicates("id", keep="last").reset_index(drop=True)
    messages = problems + [result for result in found if isinstance(result, str)]
    return photos, {"problems": messages, "failed": np.setdiff1d(rows["id"], photos["id"]).tolist()}


class Key(NamedTuple):
    """Where a photo lies: position of its source, file below `images/`."""

    source: int
    file: str


def _keys(rows: pd.DataFrame) -> list[Key]:
    return [Key(*row) for row in zip(rows["source"].tolist(), rows["file"].tolist(), strict=True)]


def _reason(error: Exception) -> str:
    return "the file is missing" if isinstance(error, KeyError | FileNotFoundError) else f"does not decode ({error})"


def _open(source: Source, file: str) -> Image.Image:
    image = Image.open(io.BytesIO(source.read(f"images/{file}")), formats=["JPEG", "PNG"])
    return ImageOps.exif_transpose(image).convert("RGB")


def _in_parallel(function: Callable[[Item], Result], items: list[Item], description: str) -> Iterator[Result]:
    """Results in order, under a progress bar; Pillow decodes outside the interpreter lock, so threads serve."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from meter(pool.map(function, items), description, "photos", len(items))


def cached_pixels(index: Index, height: int, width: int, cache: Path) -> np.ndarray:
    """Letterboxed pixels of every photo of the index, uint8 of shape (n_photos, height, width, 3), memory-mapped and read-only.

    Made at the first call; a file half made by a killed process is made again.

    Raises:
        InvalidData: a photo has vanished since it was verified, or the cached file is damaged.
        OSError: the cache cannot be written.
    """
    path = cache / f"{index.fingerprint[:16]}-{height}x{width}.npy"
    with _only_writer(path):
        if not path.exists():
            _write_pixels(index, height, width, path)
    try:
        return np.load(path, mmap_mode="r")
    except ValueError as error:
        raise InvalidData(f"{path} is damaged ({error}). Delete it; it is made again from the photos.") from None


def _write_pixels(index: Index, height: int, width: int, path: Path) -> None:
    """Written one photo after another, not through a memory map: on a full disk that would kill the process without a word."""

    def decode(key: Key) -> np.ndarray:
        try:
            return letterbox(_unsquashed(_open(index.sources[key.source], key.file), key, index.sources), height, width)
        except Exception as error:  # it loaded when the index was made
            raise InvalidData(
                f"{index.sources[key.source].path}: images/{key.file} was there when the photos were verified, and now "
                f"{_reason(error)}. Put it back, or run the command again to go on without it."
            ) from None

    shape = (len(index.photos), height, width, 3)
    with replaced(path) as partial, partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for photo in _in_parallel(decode, _keys(index.photos), f"decoding at {height}x{width}"):
            file.write(photo.tobytes())


def _unsquashed(image: Image.Image, key: Key, sources: list[Source]) -> Image.Image:
    """Sharper copies may have been squashed to a square: give those the proportions of the first source's photo of the same id."""
    if key.source == 0 or image.width != image.height:
        return image
    try:
        original = _open(sources[0], key.file)
    except (KeyError, OSError):
        return image  # a photo that the first source does not have
    return image.resize(
        (round(image.height * original.width / original.height), image.height), Image.Resampling.LANCZOS
    )
