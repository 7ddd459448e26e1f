"""The scenes that the garment finder learns from and is measured on, taken from the data sets and splits of its network's run."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from PIL import Image

from train import worn
from train.catalogue import PHONE, PRODUCT, WORN, Source
from train.find.scenes import Scene, beside, phone, product, recoloured, street, zoomed
from train.splits import SplitData
from train.targets import ClassList

STREET_VIEWS = 2  # parts of a street photo that are taught besides the whole and its mirror image
SHEETS = 500  # of products
PHONE_PHOTOS = 600
ENLARGED = 4  # times the catalogue's small photos, where nothing sharper is at hand
PRODUCT_SIZE = (240, 320)  # of a product on a sheet


@dataclass(frozen=True)
class Examples:
    """Scenes by kind and split.

    Args:
        data: the photos, in the splits of the run.
        classes: with the finder's groups.
    """

    data: SplitData
    classes: ClassList

    @cached_property
    def group_of(self) -> dict[str, int]:
        """Group of each label that is taught, 0 for the background."""
        return {worn.BACKDROP: 0} | {
            label: number for number, labels in enumerate(self.classes.finder.values(), 1) for label in labels
        }

    def street_files(self, part: str) -> list[tuple[Source, str]]:
        """Source and file name of each street photo of a split."""
        photos = self.data.index.photos
        chosen = photos[(photos["kind"] == WORN) & (self.data.splits["split"] == part)]
        files = chosen[["source", "file"]].drop_duplicates().sort_values("file")
        return [(self.data.index.sources[source], file) for source, file in files.itertuples(index=False)]

    def street_photo(self, source: Source, file: str) -> tuple[Image.Image, np.ndarray]:
        """The photo and its mask."""
        return source.photo(file), source.mask(file)

    def street_scene(self, source: Source, file: str) -> Scene:
        """By its mask."""
        image, mask = self.street_photo(source, file)
        group_of = {value: self.group_of[label] for value, label in source.values.items() if label in self.group_of}
        return street(image, mask, group_of, self.garment_groups)

    @property
    def garment_groups(self) -> Sequence[int]:
        """Those groups that are garments."""
        return range(1, self.classes.garment_groups + 1)
