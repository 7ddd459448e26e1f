"""From data sets on disk to an index of photos, their decoded pixels in one memory-mapped file, and splits.

The pixels are exactly what the product feeds its engine: `core.preprocess.letterbox` of the decoded photo.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from core.errors import InvalidData
from core.labels import LabelSet
from core.preprocess import letterbox
from train.catalogue import Source, read_styles
from train.config import Recipe

OUT_OF_SCOPE = -1  # target of a photo that shows none of the classes
HASH_SIZE = 16  # of the difference hash: 256 bits
NEAR_DUPLICATE_BITS = (
    16  # photos whose hashes differ in at most so many bits are near-duplicates; groups explode from 20 on
)
CACHE_VERSION = 1  # raise when the meaning of the cached pixels changes


@dataclass(frozen=True)
class Index:
    """What a data set holds.

    Args:
        photos: one row a photo that loads: `id, articleType, baseColour, usage, productDisplayName, target` (class index or
            OUT_OF_SCOPE), `source` (position in the list of sources), `hash` (bytes).
        problems: one message for each row or file left out.
        fingerprint: hexadecimal digest of the sources and the class list.
        sources: the data sets, in the order given.
    """

    photos: pd.DataFrame
    problems: list[str]
    fingerprint: str
    sources: list[Source]

    @property
    def in_scope(self) -> np.ndarray:
        """Whether a photo shows one of the classes, bool of shape (n_photos,)."""
        return self.photos["target"].to_numpy() != OUT_OF_SCOPE


def build_index(paths: list[Path], labels: LabelSet, cache: Path) -> Index:
    """Read the tables, verify every photo once, and keep the result in `cache` until a source changes.

    Raises:
        InvalidData: a source is unreadable, or no photo of any class loads.
    """
    sources = [Source(path) for path in paths]
    fingerprint = _digest(CACHE_VERSION, labels.groups, *(source.fingerprint() for source in sources))
    table_file, problems_file = cache / f"{fingerprint[:16]}.parquet", cache / f"{fingerprint[:16]}.problems.json"
    if not problems_file.exists():
        photos, problems = _verified(*_merged_tables(sources, labels), sources)
        cache.mkdir(parents=True, exist_ok=True)
        photos.to_parquet(table_file)
        problems_file.write_text(json.dumps(problems))
    photos, problems = pd.read_parquet(table_file), json.loads(problems_file.read_text())
    index = Index(photos, problems, fingerprint, sources)
    if not index.in_scope.any():
        raise InvalidData(
            f"No photo of the {len(labels)} classes loads from {', '.join(map(str, paths))}. {' '.join(problems[:3])}"
        )
    return index


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _merged_tables(sources: list[Source], labels: LabelSet) -> tuple[pd.DataFrame, list[str]]:
    """One table of all sources; a later source's photo replaces that of the same id."""
    tables, problems = [], []
    for position, source in enumerate(sources):
        table, wrong = read_styles(source.read("styles.csv"), f"{source.path.name}: styles.csv")
        tables.append(table.assign(source=position))
        problems += wrong
    merged = pd.concat(tables).drop_duplicates("id", keep="last").sort_values("id", ignore_index=True)
    targets = {name: index for index, name in enumerate(labels.names)}
    merged["target"] = [targets.get(name, OUT_OF_SCOPE) for name in merged["articleType"]]
    return merged, problems


def _verified(table: pd.DataFrame, problems: list[str], sources: list[Source]) -> tuple[pd.DataFrame, list[str]]:
    """Decode every photo: add its hash, and move what fails to the problems."""

    def check(row: tuple[int, int]) -> bytes | str:
        try:
            image = _open(sources[row[1]], row[0])
        except Exception as error:  # whatever a damaged file provokes in the decoder
            return f"{sources[row[1]].path.name}: images/{row[0]}.jpg: {_reason(error)}"
        return np.packbits(imagehash.dhash(image, HASH_SIZE).hash).tobytes()

    rows = list(zip(table["id"].tolist(), table["source"].tolist(), strict=True))
    found = list(_in_parallel(check, rows, "verifying photos"))
    loads = np.array([isinstance(result, bytes) for result in found], dtype=bool)
    problems = problems + [result for result in found if isinstance(result, str)]
    hashes = [result for result in found if isinstance(result, bytes)]
    return table[loads].reset_index(drop=True).assign(hash=hashes), problems


def _reason(error: Exception) -> str:
    return "the file is missing" if isinstance(error, KeyError | FileNotFoundError) else f"does not decode ({error})"


def _open(source: Source, photo_id: int) -> Image.Image:
    return Image.open(io.BytesIO(source.read(f"images/{photo_id}.jpg")), formats=["JPEG", "PNG"]).convert("RGB")


def _in_parallel(function, items: list, description: str) -> Iterator:
    """Results in order, under a progress bar; Pillow decodes outside the interpreter lock, so threads serve."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from tqdm(
            pool.map(function, items, chunksize=64), total=len(items), desc=description, unit="img", disable=None
        )


def cached_pixels(index: Index, height: int, width: int, cache: Path) -> np.ndarray:
    """Letterboxed pixels of every photo of the index, uint8 of shape (n_photos, height, width, 3), memory-mapped and read-only.

    Made at the first call; a file half made by a killed process is made again.
    """
    path = cache / f"{index.fingerprint[:16]}-{height}x{width}.npy"
    if not path.exists():
        _write_pixels(index, height, width, path)
    return np.load(path, mmap_mode="r")


def _write_pixels(index: Index, height: int, width: int, path: Path) -> None:
    partial = path.with_suffix(f".{os.getpid()}.part")
    shape = (len(index.photos), height, width, 3)
    pixels = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
    rows = list(zip(index.photos["id"].tolist(), index.photos["source"].tolist(), strict=True))

    def decode(row: tuple[int, int]) -> np.ndarray:
        return letterbox(_upright_proportions(_open(index.sources[row[1]], row[0]), row, index), height, width)

    for position, photo in enumerate(_in_parallel(decode, rows, f"decoding at {height}x{width}")):
        pixels[position] = photo
    pixels.flush()
    partial.replace(path)


def _upright_proportions(image: Image.Image, row: tuple[int, int], index: Index) -> Image.Image:
    """Undo the squashing of sharper copies: a square photo from a later source takes the first source's 3:4."""
    if row[1] == 0 or image.width != image.height:
        return image
    return image.resize((image.width * 3 // 4, image.height), Image.Resampling.LANCZOS)


def near_duplicate_groups(hashes: list[bytes]) -> np.ndarray:
    """Group number of each photo, int of shape (n_photos,): photos linked by a chain of near-duplicate hashes share one."""
    bits = np.stack([np.frombuffer(value, np.uint64) for value in hashes])  # (n, 4)
    rows, columns = [], []
    for start in range(0, len(bits), 256):
        block = bits[start : start + 256, None, :] ^ bits[None, :, :]  # (256, n, 4)
        near = np.bitwise_count(block).sum(axis=2, dtype=np.int16) <= NEAR_DUPLICATE_BITS
        i, j = np.nonzero(near)
        rows.append(i + start)
        columns.append(j)
    i, j = np.concatenate(rows), np.concatenate(columns)
    links = coo_matrix((np.ones(len(i), bool), (i, j)), shape=(len(bits), len(bits)))
    return connected_components(links, directed=False)[1]


def split(index: Index, recipe: Recipe) -> pd.DataFrame:
    """Assign every photo to `train`, `val` or `test`.

    Photos of the classes are stratified by class, near-duplicates stay together, and custom photos go to training with whatever is a
    near-duplicate of them. Photos of anything else only measure how well the network refuses; they are dealt at random.

    Returns:
        Columns `split` and `duplicate_group`, indexed as `index.photos`. The same data and seed give the same split.
    """
    photos = index.photos
    known = np.flatnonzero(index.in_scope)
    groups = len(photos) + np.arange(len(photos))  # everyone alone
    groups[known] = near_duplicate_groups(photos["hash"].iloc[known].tolist())
    custom = np.unique(groups[photos["id"] >= recipe.custom_ids_from])
    free = known[~np.isin(groups[known], custom)]
    rng = np.random.default_rng(recipe.seed)
    fractions = {"test": recipe.test_fraction, "val": recipe.val_fraction}
    parts = np.full(len(photos), "train", dtype=object)
    others = np.flatnonzero(~index.in_scope & (photos["id"] < recipe.custom_ids_from))
    parts[others] = rng.choice([*fractions, "train"], len(others), p=[*fractions.values(), 1 - sum(fractions.values())])
    left = 1.0
    for part, fraction in fractions.items():
        chosen = _held_out(free, photos["target"].to_numpy(), groups, fraction / left, recipe.seed)
        parts[chosen] = part
        free, left = np.setdiff1d(free, chosen), left - fraction
    return pd.DataFrame({"split": parts, "duplicate_group": groups}, index=photos.index)


def _held_out(rows: np.ndarray, targets: np.ndarray, groups: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """About a fraction of the rows, whole groups only: of the folds, the first that holds the most classes."""
    folds = StratifiedGroupKFold(n_splits=round(1 / fraction), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="The least populated class", category=UserWarning
        )  # rare classes miss some folds
        chosen = [fold for _, fold in folds.split(rows, targets[rows], groups[rows])]
    return rows[max(chosen, key=lambda fold: len(np.unique(targets[rows[fold]])))]


def report(index: Index, splits: pd.DataFrame, labels: LabelSet, recipe: Recipe) -> dict[str, object]:
    """What was indexed, for `data.json`."""
    photos = index.photos.assign(split=splits["split"])
    known = photos[index.in_scope]
    counts = pd.crosstab(known["articleType"], known["split"])
    counts = counts.reindex(index=labels.names, columns=["train", "val", "test"], fill_value=0)
    sizes = np.unique(splits["duplicate_group"][index.in_scope], return_counts=True)[1]
    custom = photos[photos["id"] >= recipe.custom_ids_from]
    return {
        "sources": [source.path.name for source in index.sources],
        "fingerprint": index.fingerprint,
        "photos": len(photos),
        "in_scope": int(index.in_scope.sum()),
        "classes": {name: {part: int(n) for part, n in row.items()} for name, row in counts.to_dict("index").items()},
        "splits": {part: int(n) for part, n in counts.sum().items()},
        "out_of_scope_splits": dict(Counter(photos.loc[~index.in_scope, "split"])),
        "near_duplicates": {"groups": int((sizes > 1).sum()), "photos": int(sizes[sizes > 1].sum())},
        "custom": {"ids_from": recipe.custom_ids_from, "loaded": len(custom), "split": "train"},
        "problems": index.problems,
    }
