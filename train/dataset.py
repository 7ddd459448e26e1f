"""From data sets on disk to an index of photos, and their decoded pixels in one memory-mapped file.

The pixels are exactly what the product feeds its engine: decoded by `core.images.decode`, framed and letterboxed by
`core.images.letterbox.network_input`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import imagehash
import numpy as np
import pandas as pd
from filelock import FileLock
from PIL import Image

from core.artifacts.run import sha256_of
from core.errors import GarmentError, InvalidData
from core.files import replaced
from core.images.decode import decode_photo
from core.images.letterbox import network_input
from train.catalogue import PRODUCT, SQUASHED, TABLES, WHOLE, WORN, Source
from train.corrections import SUFFIX, corrected, digest, read_corrections
from train.folder import write_json
from train.meter import meter
from train.packed import SUFFIX as PACKED
from train.packed import packed_images, packed_pixels, read_pack
from train.targets import ClassList
from train.worn import EXACT, Box

OUT_OF_SCOPE = -1  # target of a photo that is not a product of the classes
MEASURED = (WHOLE, EXACT)  # views that are measured, the others only train
HASH_SIZE = 16  # of the difference hash: 256 bits
CACHE_VERSION = 3  # raise when the meaning of the cached pixels changes

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Index:
    """What a data set holds.

    Args:
        photos: one row a view of a photo that loads: the columns of `train.catalogue.Source.photos` (the article type of a phone or
            worn photo being a coarse label); `target` (class index or OUT_OF_SCOPE); `source` (position in the list of sources); `hash`
            (bytes, of the first source's photo of that id, so that sharper copies change no split); `main` (whether it is the view
            that is measured; the others only train).
        problems: one message for each row or file left out.
        failed: ids that stand in a table but have no photo that loads.
        fingerprint: hexadecimal digest of the sources and the class list.
        sources: the data sets, in the order given.
        pack: the file that all photos come from instead, if they were packed.
    """

    photos: pd.DataFrame
    problems: list[str]
    failed: list[int]
    fingerprint: str
    sources: list[Source]
    pack: Path | None = None

    @property
    def source_names(self) -> list[str]:
        """File names of what was given as data."""
        return [self.pack.name] if self.pack else [source.path.name for source in self.sources]

    @property
    def in_scope(self) -> np.ndarray:
        """Whether a photo is a product of one of the classes, bool of shape (n_photos,)."""
        return self.photos["target"].to_numpy() != OUT_OF_SCOPE

    @property
    def kind(self) -> np.ndarray:
        """PRODUCT, PHONE or WORN, text of shape (n_photos,)."""
        return self.photos["kind"].to_numpy()

    @property
    def main(self) -> np.ndarray:
        """Whether it is the view of its photo that is measured, bool of shape (n_photos,)."""
        return self.photos["main"].to_numpy()


def build_index(paths: list[Path], classes: ClassList, cache: Path) -> Index:
    """Read the tables, verify every photo once, and keep the result in `cache` until a source changes.

    Args:
        paths: data sets, the catalogue first, and CSV files of corrections of its labels (`train.corrections`).
        classes: the classes.
        cache: folder for what was read.

    Raises:
        InvalidData: a source is unreadable, or no photo of any class loads.
        OSError: the cache cannot be written.
    """
    if _packed(paths):
        return _packed_index(paths[0], classes)
    corrections = [path for path in paths if _corrects(path)]
    sources = [Source(path) for path in paths if path not in corrections]
    labels, coarse = classes.labels, sorted(classes.coarse.items())
    fingerprint = _digest(
        CACHE_VERSION, labels.groups, coarse, *(source.fingerprint() for source in sources), *map(digest, corrections)
    )
    photos_file, failures_file = cache / f"{fingerprint[:16]}.parquet", cache / f"{fingerprint[:16]}.failures.json"
    with _only_writer(photos_file):
        if not failures_file.exists():
            photos, failures = _verified(*_all_rows(sources, classes, corrections), sources)
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


def check_sources(paths: list[Path]) -> None:
    """Raise InvalidData unless there is a data set or a file of corrections at each path, or one pack alone."""
    for path in [] if _packed(paths) else paths:
        if _corrects(path):
            read_corrections(path)
        else:
            Source(path)


def _corrects(path: Path) -> bool:
    """Whether a path is that of a file of corrections, rather than of a data set."""
    return path.suffix.lower() == SUFFIX and path.name not in TABLES


def _packed(paths: list[Path]) -> bool:
    packs = [path for path in paths if path.suffix == PACKED]
    if packs and len(paths) > 1:
        raise InvalidData(f"{packs[0]} holds all that a training needs: give it to --data alone.")
    if packs and not packs[0].is_file():
        raise InvalidData(f"There is no file {packs[0]}. `python -m train --data … pack --to FILE` makes one.")
    return bool(packs)


def _packed_index(path: Path, classes: ClassList) -> Index:
    photos, about = read_pack(path, classes)
    return Index(photos, about["problems"], about["failed"], _digest(CACHE_VERSION, sha256_of(path)), [], path)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _only_writer(path: Path) -> FileLock:
    """Make a second trainer on the same cache wait for the first, and then find the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{path}.lock")


def _all_rows(sources: list[Source], classes: ClassList, corrections: list[Path]) -> tuple[pd.DataFrame, list[str]]:
    """The rows of all tables, ordered by id and then by source, and what was wrong with the rows left out."""
    tables: list[pd.DataFrame] = []
    problems: list[str] = []
    for position, source in enumerate(sources):
        table, wrong = source.photos(classes)
        again = table["id"].isin(pd.concat(tables)["id"]) if tables else False
        tables.append(table.assign(source=position))
        problems += wrong
        if np.any(again):  # a sharper copy, perhaps squashed to a square
            tables.append(table[again & (table["kind"] == PRODUCT)].assign(source=position, view=SQUASHED))
    rows = pd.concat(tables).sort_values(["id", "source", "view"], ignore_index=True, kind="stable")
    for path in corrections:
        rows, wrong = corrected(rows, path, set(classes.labels.names))
        problems += wrong
    targets = {name: index for index, name in enumerate(classes.labels.names)}
    return rows.assign(target=[targets.get(name, OUT_OF_SCOPE) for name in rows["articleType"]]), problems


def _verified(
    rows: pd.DataFrame, problems: list[str], sources: list[Source]
) -> tuple[pd.DataFrame, dict[str, list[Any]]]:
    """Decode every photo: the views that load, with the hash of the first source's, the last source's being measured; and the rest."""

    def check(view: View) -> bytes | str:
        try:
            return np.packbits(imagehash.dhash(_open(sources[view.source], view.file), HASH_SIZE).hash).tobytes()
        except Exception as error:  # whatever a damaged file provokes in the decoder
            return f"{sources[view.source].path.name}: images/{view.file}: {_reason(error)}"

    files = rows.drop_duplicates(["source", "file"])
    found = list(_in_parallel(check, _views(files), "reading"))
    by_file = dict(zip(zip(files["source"], files["file"], strict=True), found, strict=True))
    of_row = [by_file[key] for key in zip(rows["source"], rows["file"], strict=True)]
    loads = np.array([isinstance(result, bytes) for result in of_row], dtype=bool)
    photos = rows[loads].assign(hash=[result for result in of_row if isinstance(result, bytes)])
    photos["hash"] = photos.groupby("id")["hash"].transform("first")
    measured = photos.loc[photos["view"].isin(MEASURED)].drop_duplicates("id", keep="last").index
    photos = photos.assign(main=photos.index.isin(measured)).reset_index(drop=True)
    messages = problems + [result for result in found if isinstance(result, str)]
    return photos, {"problems": messages, "failed": np.setdiff1d(rows["id"], photos["id"]).tolist()}


class View(NamedTuple):
    """Where a photo lies and what is shown of it: position of its source, file below `images/`, and as in `Source.photos`."""

    source: int
    file: str
    kind: str
    view: str
    box: Box
    label: str


def _views(rows: pd.DataFrame) -> list[View]:
    boxes = zip(*(rows[side].tolist() for side in ("left", "top", "right", "bottom")), strict=True)
    columns = (rows[name].tolist() for name in ("source", "file", "kind", "view"))
    return [View(*values) for values in zip(*columns, boxes, rows["articleType"].tolist(), strict=True)]


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError | FileNotFoundError):
        return "the file is missing"
    return str(error) if isinstance(error, GarmentError) else f"it does not decode ({error!r})"


def _open(source: Source, file: str) -> Image.Image:
    """The photo as the product decodes it."""
    return decode_photo(source.read(f"images/{file}")).image


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

    def decode(view: View) -> np.ndarray:
        try:
            return network_input(_shown(view, index.sources), height, width).pixels
        except Exception as error:  # it loaded when the index was made
            raise InvalidData(
                f"{index.sources[view.source].path}: images/{view.file} was there when the photos were verified, and now "
                f"{_reason(error)}. Put it back, or run the command again to continue without it."
            ) from None

    pack, description = index.pack, f"decoding at {height}x{width}"
    shape = (len(index.photos), height, width, 3)
    with replaced(path) as partial, partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        photos = (
            meter(packed_pixels(pack, height, width), description, "photos", shape[0])
            if pack
            else _in_parallel(decode, _views(index.photos), description)
        )
        for photo in photos:
            file.write(photo.tobytes())


def photo_at(index: Index, position: int) -> Image.Image:
    """What the photo at a position of the index shows, decoded."""
    return _shown(_views(index.photos.iloc[[position]])[0], index.sources)


def _shown(view: View, sources: list[Source]) -> Image.Image:
    """What a view shows of its photo."""
    source = sources[view.source]
    image = _open(source, view.file)
    if view.kind == WORN:
        return source.garment(view.file, view.view, view.box, image, view.label)
    return image if view.view == SQUASHED else _unsquashed(image, view, sources)


def _unsquashed(image: Image.Image, view: View, sources: list[Source]) -> Image.Image:
    """Sharper copies may have been squashed to a square: give those the proportions of the first source's photo of the same id."""
    if view.source == 0 or view.kind != PRODUCT or image.width != image.height:
        return image
    try:
        original = _open(sources[0], view.file)
    except (KeyError, OSError):
        return image  # a photo that the first source does not have
    return image.resize(
        (round(image.height * original.width / original.height), image.height), Image.Resampling.LANCZOS
    )


def decoded(index: Index, rows: np.ndarray) -> Iterator[Image.Image]:
    """What the photos at these positions of the index show, at their own size, one after another; as packed if they were."""
    if index.pack:
        return packed_images(index.pack, rows)
    return (_shown(view, index.sources) for view in _views(index.photos.iloc[rows]))


def decoded_product(sources: list[Source], photo_id: int) -> Image.Image:
    """A product as it is measured, without an index: from the last data set that has it. Raises KeyError or OSError if none has."""
    file = f"{photo_id}.jpg"
    for position in range(len(sources) - 1, 0, -1):
        with suppress(KeyError, OSError):
            return _shown(View(position, file, PRODUCT, WHOLE, (0, 0, 0, 0), ""), sources)
    return _shown(View(0, file, PRODUCT, WHOLE, (0, 0, 0, 0), ""), sources)
