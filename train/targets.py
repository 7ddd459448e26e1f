"""What the network is taught about a photo: one output, or any of several.

A photo whose label is coarse ("pants") or names something else ("Watches") trains on the sum of the outputs it allows.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from core.artifacts.labels import LabelSet
from core.errors import InvalidConfig
from train.worn import PREFIX

CLASS_LISTS = Path(__file__).parent / "classes"
NO_TARGET = -1  # of a photo that the network is not taught
ANY_BACKGROUND = "any other product"


@dataclass(frozen=True)
class ClassList:
    """A file of `train/classes`.

    Args:
        labels: the classes by group.
        coarse: label of photos from elsewhere to the article types it may mean; an empty list for anything that is not a class. Labels of
            worn garments begin with `train.worn.PREFIX`.
        other: names of kinds of other products, such as apparel, to their article types.
        untaught: labels of photos from elsewhere that say too little to be taught.
        garments: groups of garments that the garment finder tells apart, such as upper ones, to labels and article types.
        others: the same for its other groups.
    """

    labels: LabelSet
    coarse: dict[str, tuple[str, ...]]
    other: dict[str, tuple[str, ...]]
    untaught: frozenset[str] = frozenset()
    garments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    others: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def load(cls, name: str) -> ClassList:
        """The list of that name. Raises InvalidConfig if there is none."""
        path = CLASS_LISTS / f"{name}.toml"
        if path.parent != CLASS_LISTS or not path.is_file():
            known = ", ".join(sorted(file.stem for file in CLASS_LISTS.glob("*.toml")))
            raise InvalidConfig(f"There is no class list {name!r} in train/classes. Known: {known}.")
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        phone, street, other = (
            {key: tuple(types) for key, types in tables.get(table, {}).items()} for table in ("coarse", "worn", "other")
        )
        coarse = phone | {f"{PREFIX}{label}": types for label, types in street.items()}
        garments, others = (
            {key: tuple(labels) for key, labels in tables.get("finder", {}).get(table, {}).items()}
            for table in ("garments", "others")
        )
        untaught = frozenset(tables.get("untaught", []))
        return cls(LabelSet.from_json(tables["groups"]), coarse, other, untaught, garments, others)

    def classes_of(self, label: str) -> tuple[str, ...]:
        """Classes that a coarse label allows; none if it means something else."""
        return tuple(name for name in self.coarse[label] if name in self.labels.names)

    def worn_classes(self, label: str) -> tuple[str, ...]:
        """Classes that a label of street photos allows; none if it means something else or is unknown."""
        return self.classes_of(PREFIX + label) if PREFIX + label in self.coarse else ()


@dataclass(frozen=True)
class Targets:
    """Everything a photo can be labelled as, and the outputs of the network that would be right.

    Args:
        names: labels; the first ones are the outputs' own names, in their order.
        members: bool (n_targets, n_outputs), the outputs that each label allows.
        n_classes: how many outputs, from the first, are classes; the others are background.
    """

    names: tuple[str, ...]
    members: np.ndarray
    n_classes: int

    @classmethod
    def of(cls, classes: ClassList, background: Iterable[str] = ()) -> Targets:
        """The classes, the article types of the background, and those coarse labels that allow any of them."""
        outputs = (*classes.labels.names, *background)
        anything_else = np.arange(len(outputs)) >= len(classes.labels)
        coarse = {label: np.isin(outputs, types) if types else anything_else for label, types in classes.coarse.items()}
        coarse[ANY_BACKGROUND] = anything_else
        usable = {label: allowed for label, allowed in coarse.items() if allowed.any()}
        members = np.vstack([np.eye(len(outputs), dtype=bool), *usable.values()])
        return cls((*outputs, *usable), members, len(classes.labels))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the network's outputs."""
        return self.names[: self.members.shape[1]]

    @property
    def background(self) -> tuple[str, ...]:
        """Names of the outputs that are not classes."""
        return self.outputs[self.n_classes :]

    def of_labels(self, labels: pd.Series, coarse: np.ndarray) -> np.ndarray:
        """Target of each photo, int (n,): an article type without an output is any background, NO_TARGET where there is none.

        Args:
            labels: article types, or coarse labels where `coarse` is true.
            coarse: bool (n,).
        """
        positions = {name: position for position, name in enumerate(self.names)}
        other = positions.get(ANY_BACKGROUND, NO_TARGET)
        fallback = np.where(coarse, NO_TARGET, other)
        found = labels.map(positions)
        return found.where(found.notna(), fallback).to_numpy(np.int64)


def background_types(labels: pd.Series, least: int) -> tuple[str, ...]:
    """Article types with at least `least` photos, the most frequent first; none if `least` is 0.

    Args:
        labels: article type of each training photo of another product.
        least: photos needed for an output of its own.
    """
    counts = labels.value_counts().sort_index(kind="stable").sort_values(ascending=False, kind="stable")
    return tuple(str(name) for name, count in counts.items() if count >= least) if least else ()


def allowed_set_cross_entropy(
    outputs: Tensor, goal: Tensor, members: Tensor, label_smoothing: float, sharpness: float = 1.0
) -> Tensor:
    """Cross-entropy where any of several outputs may be right: `-log((sum of p^s)^(1/s))` over the allowed ones, the mean of a batch.

    With s = 1 it is that of their summed probability (partial labels: Jin and Ghahramani 2002), indifferent to how they share it. From
    there to their greatest probability at infinity, s rewards deciding for one of them (entropy minimisation: Grandvalet and Bengio 2004).
    With one allowed output each it is ordinary cross-entropy.

    Args:
        outputs: (B, n_outputs), before softmax.
        goal: int (B,) targets, or (B, n_targets) their shares after MixUp or CutMix.
        members: bool (n_targets, n_outputs).
        label_smoothing: share of the target spread over all outputs (Szegedy et al. 2016).
        sharpness: s, at least 1.
    """
    log_p = outputs.log_softmax(1)
    powers = (sharpness * log_p).unsqueeze(1).masked_fill(~members, -torch.inf)
    log_allowed = powers.logsumexp(2) / sharpness  # (B, n_targets)
    shares = goal if goal.is_floating_point() else one_hot(goal, len(members))
    return torch.lerp(-(shares * log_allowed).sum(1), -log_p.mean(1), label_smoothing).mean()
