"""Which photos train, validate and test: drawn by name, near-duplicates and photos of one person together, stored by id."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from core.artifacts.labels import LabelSet
from core.errors import InvalidData
from train.catalogue import HASHED_IDS_FROM, PHONE, PRODUCT, WORN
from train.config import Recipe
from train.dataset import OUT_OF_SCOPE, Index, cached_pixels
from train.targets import Targets, background_types

# Photos whose hashes differ in at most this many bits are near-duplicates; from 20 on unrelated photos are linked.
NEAR_DUPLICATE_BITS = 16
MOST_OF_SENDER = 100
LEFT_OUT = "left out"
SPLITS = ("train", "val", "test", LEFT_OUT)  # what `splits.csv` may say
HELD_OUT_ELSEWHERE = 0.12  # share of phone photos and worn garments in test, and in val: they are few
OF_CLASSES = "of the classes"


@dataclass(frozen=True)
class SplitData:
    """Photos that are assigned to splits.

    Args:
        index: the photos.
        splits: as `split` makes it.
        cache: folder of decoded pixels.
    """

    index: Index
    splits: pd.DataFrame
    cache: Path

    @property
    def targets(self) -> np.ndarray:
        """Class index of each photo, OUT_OF_SCOPE for other products and phone photos, int of shape (n_photos,)."""
        return self.index.photos["target"].to_numpy()

    def rows(self, part: str, kind: str = PRODUCT) -> np.ndarray:
        """Positions of the measured photos of a split and kind; of the catalogue's, other products included."""
        return np.flatnonzero((self.splits["split"] == part) & self.index.main & (self.index.kind == kind))

    def known_rows(self, part: str) -> np.ndarray:
        """Positions of the measured photos of a split whose article type is one of the classes."""
        return np.flatnonzero((self.splits["split"] == part) & self.index.main & self.index.in_scope)

    def training_targets(self, recipe: Recipe) -> Targets:
        """The network's outputs, and what the photos may be labelled as: article types with enough training photos have their own."""
        others = self.rows("train")[self.targets[self.rows("train")] == OUT_OF_SCOPE]
        types = background_types(self.index.photos["articleType"].iloc[others], recipe.background_photos)
        return Targets.of(recipe.class_list(), types)

    def pixels(self, height: int, width: int) -> np.ndarray:
        """Pixels of every photo, as `train.dataset.cached_pixels` says."""
        return cached_pixels(self.index, height, width, self.cache)

    def table(self) -> pd.DataFrame:
        """`id, kind, split, duplicate_group` of each photo of the classes, from a phone or worn, for `splits.csv`."""
        table = self.splits.assign(id=self.index.photos["id"], kind=self.index.kind)
        measured = self.index.main & (self.index.in_scope | (self.index.kind != PRODUCT))
        return table[["id", "kind", "split", "duplicate_group"]].loc[measured]


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


def split(index: Index, recipe: Recipe, earlier: Mapping[int, str] | None = None) -> pd.DataFrame:
    """Assign every photo to `train`, `val`, `test` or `left out`.

    Photos that belong together share a split: near-duplicates of one article type, photos of one sender, street photos with neighbouring
    numbers, and the views of a photo. Each group draws its split by its name alone, so no photo moves when others come or go. Custom
    photos train, unless they are near-duplicates of a photo held out: those are left out. So do senders with more than MOST_OF_SENDER
    photos, who would fill a held-out split alone.

    Args:
        index: the photos.
        recipe: its seed and shares.
        earlier: split of each photo, by its id, in the run that this one continues from. A group keeps it, so that no photo that trained
            the network is held out to measure it.

    Returns:
        Columns `split` and `duplicate_group`, indexed as `index.photos`. The same data and seed give the same split.

    Raises:
        InvalidData: there are too few photos to hold any out.
    """
    photos = index.photos.loc[index.main]
    groups = _groups(photos)
    custom = ((photos["kind"] == PRODUCT) & (photos["id"] >= recipe.custom_ids_from)).to_numpy()
    names = _names(photos, groups, custom)
    elsewhere = (photos["kind"] != PRODUCT).to_numpy()
    parts = np.array([_drawn(*named, recipe) for named in zip(names, elsewhere, strict=True)], dtype=object)
    parts[(photos["kind"] == PHONE).to_numpy() & (np.bincount(groups)[groups] > MOST_OF_SENDER)] = "train"
    alone = ~np.isin(groups, groups[~custom])
    _keep(parts, groups, photos["id"].map(dict(earlier or {})).to_numpy())
    parts[custom] = np.where(alone[custom] | (parts[custom] == "train"), "train", LEFT_OUT)
    of_class = (photos["target"] != OUT_OF_SCOPE).to_numpy()
    for part in ("val", "test"):
        if not (parts[of_class] == part).any():
            raise InvalidData(
                f"{of_class.sum()} photos of the classes are too few to hold any out: none fell to {part}."
            )
    table = pd.DataFrame({"split": parts, "duplicate_group": groups}, index=photos["id"].to_numpy())
    return table.loc[index.photos["id"]].set_axis(index.photos.index)


def _keep(parts: np.ndarray, groups: np.ndarray, earlier: np.ndarray) -> None:
    """Give each group the split that a photo of it had before: training before all, and test before validation."""
    for part in ("val", "test", "train"):
        parts[np.isin(groups, groups[earlier == part])] = part


def earlier_splits(path: Path) -> dict[int, str]:
    """Split of each photo by its id, from the `splits.csv` of a run; empty if it has none.

    Raises:
        InvalidData: the file is damaged.
    """
    if not path.exists():
        return {}
    try:
        table = pd.read_csv(path)
        splits = dict(zip(table["id"].astype(int), table["split"].astype(str), strict=True))
        if foreign := set(splits.values()) - {*SPLITS}:
            raise ValueError(f"{sorted(foreign)[0]!r} is none of the splits {', '.join(SPLITS)}")
        return splits
    except (OSError, ValueError, KeyError) as error:
        raise InvalidData(f"{path} is damaged ({error}). Put back a copy, or start from another run.") from None


def _groups(photos: pd.DataFrame) -> np.ndarray:
    """Number of the group that each measured photo shares its split with, int of shape (n,).

    Compared are the photos of the classes, other products of one article type, and phone photos; photos with one key are one group,
    whatever they look like.
    """
    compared = photos["kind"].where(photos["kind"] != PRODUCT, photos["articleType"]).where(photos["kind"] != WORN, "")
    compared = compared.where(photos["target"] == OUT_OF_SCOPE, OF_CLASSES)
    first = np.arange(len(photos))  # position of the first photo of each photo's group of near-duplicates
    for name in sorted(set(compared) - {""}):
        rows = np.flatnonzero(compared == name)
        first[rows] = rows[_first_of(near_duplicate_groups(photos["hash"].iloc[rows].tolist()))]
    keys = np.where(photos["key"] != "", photos["key"], np.arange(len(photos)).astype(str))
    rows = np.tile(np.arange(len(photos)), 2)
    links = coo_matrix(
        (np.ones(len(rows), bool), (rows, np.concatenate([first, _first_of(keys)]))), shape=(len(photos),) * 2
    )
    return connected_components(links, directed=False)[1]


def _first_of(names: np.ndarray) -> np.ndarray:
    """Position of the first element with the same name, for each element."""
    return np.unique(names, return_index=True)[1][np.unique(names, return_inverse=True)[1]]


def _names(photos: pd.DataFrame, groups: np.ndarray, custom: np.ndarray) -> pd.Series:
    """Name of each photo's group: its lowest id (of custom photos only if it has no others), or its first key."""
    ids = photos["id"].where(~custom | ~pd.Series(groups, photos.index).isin(groups[~custom]), np.iinfo(np.int64).max)
    named = photos["key"].where(photos["key"] != "", ids.astype(str).str.zfill(20))
    return pd.Series(named.groupby(groups).transform("min"))


def _drawn(name: str, elsewhere: bool, recipe: Recipe) -> str:
    """The split of a group, of the catalogue or from elsewhere, by a draw that its name and the seed decide."""
    digest = hashlib.sha256(f"{recipe.seed}/{name}".encode()).digest()
    draw = int.from_bytes(digest[:8], "big") / 2**64
    test, val = (HELD_OUT_ELSEWHERE,) * 2 if elsewhere else (recipe.test_fraction, recipe.val_fraction)
    return "test" if draw < test else "val" if draw < test + val else "train"


def report(data: SplitData, labels: LabelSet, recipe: Recipe) -> dict[str, Any]:
    """What was indexed, for `data.json`."""
    index, splits = data.index, data.splits
    photos = index.photos.assign(split=splits["split"])
    known = photos[index.in_scope & index.main]
    elsewhere = [(kind, index.main & (index.kind == kind)) for kind in (PHONE, WORN)]
    measured = index.main & index.in_scope
    counts = pd.crosstab(known["articleType"], known["split"])
    counts = counts.reindex(index=labels.names, columns=["train", "val", "test"], fill_value=0)
    sizes = np.unique(splits["duplicate_group"][measured], return_counts=True)[1]
    return {
        "sources": index.source_names,
        "fingerprint": index.fingerprint,
        "photos": int(index.main.sum()),
        "in_scope": len(known),
        "classes": {name: {part: int(n) for part, n in row.items()} for name, row in counts.to_dict("index").items()},
        "splits": {part: int(n) for part, n in counts.sum().items()},
        "out_of_scope_splits": dict(
            Counter(photos.loc[~index.in_scope & index.main & (index.kind == PRODUCT), "split"])
        ),
        **{
            kind: pd.crosstab(photos["articleType"][of], photos["split"][of]).to_dict("index") for kind, of in elsewhere
        },
        "views": int((~index.main).sum()),
        "near_duplicates": {"groups": int((sizes > 1).sum()), "photos": int(sizes[sizes > 1].sum())},
        "custom": _custom(index, recipe.custom_ids_from),
        "problems": index.problems,
    }


def _custom(index: Index, first_id: int) -> dict[str, Any]:
    """What became of the rows appended to the catalogue."""
    loaded = int(np.sum((index.photos["id"].to_numpy() >= first_id) & index.main & (index.kind == PRODUCT)))
    failed = [photo_id for photo_id in index.failed if first_id <= photo_id < HASHED_IDS_FROM]
    return {
        "ids_from": first_id,
        "appended": loaded + len(failed),
        "loaded": loaded,
        "failed": failed,
        "split": "train",
    }


def summary(facts: dict[str, Any]) -> str:
    """The report in a few lines, for the terminal."""
    splits, twins, custom = facts["splits"], facts["near_duplicates"], facts["custom"]
    lines = [
        f"Data: {facts['photos']} photos, {facts['in_scope']} of them of the {len(facts['classes'])} classes: {splits['train']} to "
        f"train, {splits['val']} to validate, {splits['test']} to test. Near-duplicates that stay together: {twins['photos']} photos "
        f"in {twins['groups']} groups."
    ]
    for kind, shown in ((PHONE, "Phone photos"), (WORN, "Worn garments and what else people wear")):
        if facts[kind]:
            photos = {part: sum(row.get(part, 0) for row in facts[kind].values()) for part in ("train", "val", "test")}
            lines.append(f"{shown}: {photos['train']} to train, {photos['val']} to validate, {photos['test']} to test.")
    if custom["appended"]:
        lines.append(f"Custom photos: {custom['loaded']} of {custom['appended']} loaded; they only train.")
    if facts["problems"]:
        lines.append(
            f"Left out: {len(facts['problems'])} rows or photos; data.json lists them, the first: {facts['problems'][0]}"
        )
    return "\n".join(lines)
