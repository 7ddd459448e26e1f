"""Class names and their groups (tops, bottoms). The list itself is in each run's manifest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

ALL = "all"
OUT_OF_SCOPE = "Out of scope"  # what tables and counts call a photo that is probably not one of the classes


@dataclass(frozen=True)
class LabelSet:
    """The classes of a network, in the order of its outputs.

    Args:
        groups: group name to the class names in it; the network's outputs follow this order, group after group.
    """

    groups: dict[str, tuple[str, ...]]

    @classmethod
    def from_json(cls, groups: dict[str, list[str]]) -> LabelSet:
        """Build from the `groups` object of a manifest or of a class list."""
        return cls({group: tuple(names) for group, names in groups.items()})

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Class names in output order."""
        return tuple(name for names in self.groups.values() for name in names)

    @property
    def group_choices(self) -> tuple[str, ...]:
        """What a group filter accepts: `all`, then each group's name in lower case."""
        return (ALL, *(group.lower() for group in self.groups))

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Output index of a class name; ValueError if there is none."""
        return self.names.index(name)

    def group_of(self, name: str) -> str:
        """Group of a class name; KeyError if there is none."""
        return self._group_by_name[name]

    @cached_property
    def _group_by_name(self) -> dict[str, str]:
        return {name: group for group, names in self.groups.items() for name in names}

    def mask(self, group: str) -> np.ndarray:
        """Read-only boolean array of shape (n_classes,), true where a class belongs to `group` (`all` for every class); KeyError if
        there is no such group."""
        return self._masks[group.lower()]

    @cached_property
    def _masks(self) -> dict[str, np.ndarray]:
        own = np.array([self.group_of(name).lower() for name in self.names])
        masks = {choice: (own == choice) | (choice == ALL) for choice in self.group_choices}
        for mask in masks.values():
            mask.setflags(write=False)
        return masks
