"""Which photos train, validate and test: stratified, near-duplicates together, stored by id."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from core.artifacts.labels import LabelSet
from core.errors import InvalidData
from train.catalogue import PHONE_IDS_FROM
from train.config import Recipe
from train.dataset import Index, cached_pixels
from train.targets import Targets, background_types

# Photos whose hashes differ in at most so many bits are near-duplicates; groups explode from 20 on.
NEAR_DUPLICATE_BITS = 16


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

    def rows(self, part: str) -> np.ndarray:
        """Positions of the catalogue's photos of a split, those of other products included."""
        return np.flatnonzero((self.splits["split"] == part) & ~self.index.phone)

    def phone_rows(self, part: str) -> np.ndarray:
        """Positions of the phone photos of a split."""
        return np.flatnonzero((self.splits["split"] == part) & self.index.phone)

    def known_rows(self, part: str) -> np.ndarray:
        """Positions of the photos of a split that show one of the classes."""
        return np.flatnonzero((self.splits["split"] == part) & self.index.in_scope)

    def training_targets(self, recipe: Recipe) -> Targets:
        """The network's outputs, and what the photos may be labelled as: article types with enough training photos have their own."""
        others = (self.splits["split"] == "train").to_numpy() & ~self.index.in_scope & ~self.index.phone
        types = background_types(
            pd.Series(self.index.photos["articleType"].to_numpy()[others]), recipe.background_photos
        )
        return Targets.of(recipe.class_list(), types)

    def pixels(self, height: int, width: int) -> np.ndarray:
        """Pixels of every photo, as `train.dataset.cached_pixels` says."""
        return cached_pixels(self.index, height, width, self.cache)

    def table(self) -> pd.DataFrame:
        """`id, split, duplicate_group` of each photo of the classes and each phone photo, for `splits.csv`."""
        table = self.splits.assign(id=self.index.photos["id"])
        return table[["id", "split", "duplicate_group"]].loc[self.index.in_scope | self.index.phone]


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
    near-duplicate of them. Other products are dealt at random, near-duplicates together; phone photos are stratified by their
    label. Each of the three kinds is split by itself, so that adding one moves no photo of another.

    Returns:
        Columns `split` and `duplicate_group`, indexed as `index.photos`. The same data and seed give the same split.

    Raises:
        InvalidData: there are too few photos to hold any out.
    """
    photos = index.photos
    kinds = (index.in_scope, index.phone, ~index.in_scope & ~index.phone)
    others = photos["articleType"].where(kinds[2], "")  # of the many other products only those of one type are compared
    groups = _numbered_groups(
        photos, [*kinds[:2], *((others == name).to_numpy() for name in sorted(set(others) - {""}))]
    )
    custom = ~index.phone & (photos["id"] >= recipe.custom_ids_from).to_numpy()
    known, phone, rest = (np.flatnonzero(kind & ~np.isin(groups, groups[custom & kind])) for kind in kinds)
    parts = np.full(len(photos), "train", dtype=object)
    _deal(parts, known, photos["target"].to_numpy(), groups, recipe)
    if len(phone):
        _deal(parts, phone, pd.factorize(photos["articleType"])[0], groups, recipe)
    parts[rest] = _at_random(groups[rest], recipe)
    return pd.DataFrame({"split": parts, "duplicate_group": groups}, index=photos.index)


def _numbered_groups(photos: pd.DataFrame, kinds: list[np.ndarray]) -> np.ndarray:
    """Near-duplicate group of each photo; photos of different kinds, each a bool array (n_photos,), share none."""
    groups, numbered = np.zeros(len(photos), np.int64), 0
    for kind in kinds:
        if kind.any():
            groups[kind] = numbered + near_duplicate_groups(photos.loc[kind, "hash"].tolist())
        numbered += int(kind.sum())
    return groups


def _deal(parts: np.ndarray, free: np.ndarray, targets: np.ndarray, groups: np.ndarray, recipe: Recipe) -> None:
    """Write `test` and `val` into `parts` for a share of the free rows. Raises InvalidData as `_held_out` does."""
    left = 1.0
    for part, fraction in (("test", recipe.test_fraction), ("val", recipe.val_fraction)):
        chosen = _held_out(free, targets, groups, fraction / left, recipe.seed)
        parts[chosen] = part
        free, left = np.setdiff1d(free, chosen), left - fraction


def _at_random(groups: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Split of each row, whole groups together."""
    names, members = np.unique(groups, return_inverse=True)
    shares = {"test": recipe.test_fraction, "val": recipe.val_fraction}
    rng = np.random.default_rng(recipe.seed)
    return rng.choice([*shares, "train"], len(names), p=[*shares.values(), 1 - sum(shares.values())])[members]


def _held_out(rows: np.ndarray, targets: np.ndarray, groups: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """About a fraction of the rows, whole groups only: of the folds, the first that holds the most classes.

    Raises:
        InvalidData: there are too few photos to hold any out.
    """
    folds = StratifiedGroupKFold(n_splits=round(1 / fraction), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Rare classes miss some folds.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        try:
            chosen = [fold for _, fold in folds.split(rows, targets[rows], groups[rows])]
        except ValueError as error:
            raise InvalidData(f"{len(rows)} photos are too few to hold {fraction:.0%} of them out: {error}") from None
    return rows[max(chosen, key=lambda fold: len(np.unique(targets[rows[fold]])))]


def report(data: SplitData, labels: LabelSet, recipe: Recipe) -> dict[str, Any]:
    """What was indexed, for `data.json`."""
    index, splits = data.index, data.splits
    photos = index.photos.assign(split=splits["split"])
    known = photos[index.in_scope]
    counts = pd.crosstab(known["articleType"], known["split"])
    counts = counts.reindex(index=labels.names, columns=["train", "val", "test"], fill_value=0)
    sizes = np.unique(splits["duplicate_group"][index.in_scope], return_counts=True)[1]
    return {
        "sources": [source.path.name for source in index.sources],
        "fingerprint": index.fingerprint,
        "photos": len(photos),
        "in_scope": len(known),
        "classes": {name: {part: int(n) for part, n in row.items()} for name, row in counts.to_dict("index").items()},
        "splits": {part: int(n) for part, n in counts.sum().items()},
        "out_of_scope_splits": dict(Counter(photos.loc[~index.in_scope & ~index.phone, "split"])),
        "phone": pd.crosstab(photos["articleType"][index.phone], photos["split"][index.phone]).to_dict("index"),
        "near_duplicates": {"groups": int((sizes > 1).sum()), "photos": int(sizes[sizes > 1].sum())},
        "custom": _custom(index, recipe.custom_ids_from),
        "problems": index.problems,
    }


def _custom(index: Index, first_id: int) -> dict[str, Any]:
    """What became of the rows appended to the catalogue."""
    loaded = int(np.sum((index.photos["id"].to_numpy() >= first_id) & ~index.phone))
    failed = [photo_id for photo_id in index.failed if first_id <= photo_id < PHONE_IDS_FROM]
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
    if facts["phone"]:
        photos = {part: sum(row.get(part, 0) for row in facts["phone"].values()) for part in ("train", "val", "test")}
        lines.append(
            f"Phone photos: {photos['train']} to train, {photos['val']} to validate, {photos['test']} to test."
        )
    if custom["appended"]:
        lines.append(f"Custom photos: {custom['loaded']} of {custom['appended']} loaded; they only train.")
    if facts["problems"]:
        lines.append(
            f"Left out: {len(facts['problems'])} rows or photos; data.json lists them, the first: {facts['problems'][0]}"
        )
    return "\n".join(lines)
