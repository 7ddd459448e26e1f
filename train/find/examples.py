"""The scenes that the garment finder learns from and is measured on, taken from the data sets and splits of its network's run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from PIL import Image

from core.images.decode import decode_photo
from train import worn
from train.catalogue import PHONE, PRODUCT, WHOLE, WORN, Source
from train.dataset import photo_at
from train.find.scenes import Scene, Targets, beside, phone, product, recoloured, street, zoomed
from train.splits import SplitData
from train.targets import ClassList

STREET_PARTS = 0.6  # of street photos that are taught, besides the wholes, as a share of these
CROWDS = 0.1  # pictures of several street photos side by side, as a share of the street photos
SHEETS = 0.6  # of products, likewise
PHONE_PHOTOS = 1.0  # likewise
PRODUCT_SIZE = (240, 320)  # of a product on a sheet, in pixels


@dataclass(frozen=True)
class Examples:
    """Scenes by kind and split.

    Args:
        data: the photos, in the splits of the run.
        classes: with the finder's groups.
        seed: of what is drawn at random.
        scenes: that are learned from, at most.
    """

    data: SplitData
    classes: ClassList
    seed: int = 0
    scenes: int = 1800

    @cached_property
    def group_of(self) -> dict[str, int]:
        """Group of each label that is taught, 0 for the background."""
        groups = [*self.classes.garments.values(), *self.classes.others.values()]
        return {worn.BACKDROP: 0} | {label: number for number, labels in enumerate(groups, 1) for label in labels}

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, the background first, then the garments."""
        return (worn.BACKDROP, *self.classes.garments, *self.classes.others)

    @property
    def garment_groups(self) -> Sequence[int]:
        """Those groups that are garments."""
        return range(1, len(self.classes.garments) + 1)

    @cached_property
    def plan(self) -> list[Callable[[np.random.Generator], Scene | None]]:
        """How to make each scene that the finder learns from, given what is random in it; some turn out to tell nothing."""
        files = self.street_files("train")
        wholes = [partial(self._whole, *file) for file in files]
        parts = [partial(self._part, *file) for file in files[: round(STREET_PARTS * len(files))]]
        crowds = [partial(self._crowd, files)] * round(CROWDS * len(files))
        sheets = [self._sheet] * round(SHEETS * len(files)) if self._products else []
        rows = self.phone_rows("train")
        chosen = np.random.default_rng(self.seed).permutation(rows)[: round(PHONE_PHOTOS * len(files))]
        plan = [*wholes, *parts, *crowds, *sheets, *(partial(self._phone, row) for row in chosen)]
        return [plan[i] for i in np.random.default_rng(self.seed).permutation(len(plan))[: self.scenes]]

    def targets(self, number: int) -> Targets | None:
        """The scene of that number in the plan, always the same."""
        scene = self.plan[number](np.random.default_rng([self.seed, number]))
        return scene and scene.targets()

    def street_files(self, part: str) -> list[tuple[Source, str]]:
        """Source and file name of each street photo of a split."""
        photos = self.data.index.photos
        rows = np.flatnonzero((photos["kind"] == WORN) & (self.data.splits["split"] == part))
        places = zip(photos["file"].iloc[rows].tolist(), photos["source"].iloc[rows].tolist(), strict=True)
        return [(self.data.index.sources[source], file) for file, source in sorted(set(places))]

    def street_photo(self, source: Source, file: str) -> tuple[Image.Image, np.ndarray]:
        """The photo and its mask."""
        return decode_photo(source.read(f"images/{file}")).image, source.mask(file)

    def street_scene(self, source: Source, file: str) -> Scene:
        """A street photo by its mask."""
        group_of = {value: self.group_of[label] for value, label in source.values.items() if label in self.group_of}
        return street(*self.street_photo(source, file), group_of, self.garment_groups)

    def _crowd(self, files: list[tuple[Source, str]], random: np.random.Generator) -> Scene:
        """Two or three people side by side, each photo cut at its sides."""
        chosen = random.choice(len(files), int(random.integers(2, 4)), replace=False)
        people = []
        for i in chosen:
            scene = self.street_scene(*files[i])
            width, height = scene.image.size
            cut = round(width * random.uniform(0, 0.18))
            people.append(_sometimes_mirrored(scene.cropped((cut, 0, width - cut, height)), random))
        height = people[0].image.height
        return beside(
            [p.resized(round(p.image.width * height / p.image.height), height) for p in people], upright=False
        )

    def _whole(self, source: Source, file: str, random: np.random.Generator) -> Scene:
        return _sometimes_mirrored(self.street_scene(source, file), random)

    def _part(self, source: Source, file: str, random: np.random.Generator) -> Scene:
        return _sometimes_mirrored(recoloured(zoomed(self.street_scene(source, file), random), random), random)

    def _sheet(self, random: np.random.Generator) -> Scene:
        """One to four products."""
        members = list(self._products.values())
        number = int(random.choice([1, 2, 2, 2, 3, 4]))
        products = [self._product(random.choice(members[random.integers(len(members))]), random) for _ in range(number)]
        if number == 4:
            return beside([beside(products[:2], False), beside(products[2:], False)], True)
        return beside(products, bool(random.integers(2)))

    @cached_property
    def _products(self) -> dict[str, np.ndarray]:
        return self.products("train")

    def products(self, part: str) -> dict[str, np.ndarray]:
        """Positions of a split's products, by the name of each group of garments that there are any of."""
        photos = self.data.index.photos
        usable = (photos["kind"] == PRODUCT) & (photos["view"] == WHOLE) & photos["articleType"].isin(self.group_of)
        rows = np.flatnonzero(usable & (self.data.splits["split"] == part))
        groups = np.array([self.group_of[label] for label in photos["articleType"].iloc[rows]], int)
        return {self.groups[group]: rows[groups == group] for group in self.garment_groups if (groups == group).any()}

    def product_photo(self, row: int) -> Image.Image:
        """The product at a position of the index."""
        return photo_at(self.data.index, row)

    def label_of(self, row: int) -> str:
        """Article type or label of the photo at a position of the index."""
        return str(self.data.index.photos["articleType"].iloc[row])

    def _product(self, row: int, random: np.random.Generator) -> Scene:
        image = self.product_photo(row).resize(PRODUCT_SIZE, Image.Resampling.BICUBIC)
        return _sometimes_mirrored(product(image, self.group_of[self.label_of(row)]), random)

    def phone_rows(self, part: str) -> np.ndarray:
        """Positions of the phone photos of a split whose label is of one of the finder's groups of garments."""
        photos = self.data.index.photos
        groups = [self.group_of.get(label) for label in photos["articleType"]]
        return np.array([row for row in self.data.rows(part, PHONE) if groups[row] in self.garment_groups], int)

    def phone_scene(self, row: int) -> Scene | None:
        """A phone photo by the colours of its border; None if they do not tell."""
        return phone(photo_at(self.data.index, row), self.group_of[self.label_of(row)])

    def _phone(self, row: int, random: np.random.Generator) -> Scene | None:
        scene = self.phone_scene(row)
        return scene and _sometimes_mirrored(scene, random)


def _sometimes_mirrored(scene: Scene, random: np.random.Generator) -> Scene:
    return scene.mirrored() if random.integers(2) else scene
