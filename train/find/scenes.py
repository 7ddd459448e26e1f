"""Photos with a group for every pixel and the garment it belongs to: what the garment finder learns from.

Street photos come with masks. A product lies on white, a garment in a phone photo on something plain, so those masks come from the
colours of the borders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy import ndimage
from sklearn.mixture import GaussianMixture

from core.inference.detect import CELL, grid_size
from train.worn import bounds, main_parts

BACKGROUND, UNKNOWN = 0, 255  # values of a group: no garment, and a pixel that is not taught
MASK_STEP = 2  # pixels of a mask at which bounds are taken
LEAST_PART = 0.004  # share of the photo below which a garment is no target
WHITE = 240  # the least of a colour's three values from which on it is the catalogue's white
SKIN_SHARE = 0.03  # of a product's pixels, from which on a person wears it
TONES = 5  # colours that a background, and a garment, are made of
COLOUR_SIDE = 128  # pixels of the longer side at which colours are told apart
BORDER = 0.04  # of the sides, that shows background only
CLEAR_AREA = (0.08, 0.8)  # share of the photo that a garment may take to be believed
MOST_ON_BORDER = 0.25  # share of the border that a garment may touch to be believed
LEAST_WHOLE = 0.8  # share of the foreground that must hang together to be one garment


@dataclass(frozen=True)
class Scene:
    """A photo and what its pixels show.

    Args:
        image: upright RGB photo.
        groups: uint8 (height, width), position in the finder's list of groups, or UNKNOWN.
        garments: int16 (height, width), the number of the garment from 1, 0 for pixels of none.
    """

    image: Image.Image
    groups: np.ndarray
    garments: np.ndarray

    def mirrored(self) -> Scene:
        """Left for right."""
        image = self.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return Scene(image, self.groups[:, ::-1], self.garments[:, ::-1])

    def cropped(self, box: tuple[int, int, int, int]) -> Scene:
        """The part in a box (left, top, right, bottom)."""
        left, top, right, bottom = box
        rows, columns = slice(top, bottom), slice(left, right)
        return Scene(self.image.crop(box), self.groups[rows, columns], self.garments[rows, columns])

    def resized(self, width: int, height: int) -> Scene:
        """At another size."""
        image = self.image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
        return Scene(image, _nearest(self.groups, width, height), _nearest(self.garments, width, height))

    def targets(self) -> Targets:
        """What the finder sees and should say."""
        height, width = grid_size(*self.image.size)
        seen = self.image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
        rows, columns = height // CELL, width // CELL
        boxes = np.zeros((rows, columns, 4), np.float32)
        garments = _nearest(self.garments, columns, rows)
        coarse = self.garments[::MASK_STEP, ::MASK_STEP]
        for number in np.unique(coarse)[1:]:
            area = coarse == number
            if area.mean() >= LEAST_PART:
                boxes[garments == number] = MASK_STEP * np.array(bounds(main_parts(area))) / np.tile(self.image.size, 2)
        return Targets(np.asarray(seen), _nearest(self.groups, columns, rows), boxes)


@dataclass(frozen=True)
class Targets:
    """A scene at the finder's size.

    Args:
        pixels: uint8 (height, width, 3).
        groups: uint8 (height / CELL, width / CELL).
        boxes: float32 (height / CELL, width / CELL, 4), bounds of the garment that a cell belongs to: left, top, right, bottom as shares of
            the photo's sides; all 0 where there is none.
    """

    pixels: np.ndarray
    groups: np.ndarray
    boxes: np.ndarray


def _nearest(values: np.ndarray, width: int, height: int) -> np.ndarray:
    """The values in the middle of each of height x width cells."""
    rows = ((np.arange(height) + 0.5) * values.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * values.shape[1] / width).astype(int)
    return values[rows][:, columns]


def street(image: Image.Image, mask: np.ndarray, group_of: dict[int, int], garment_groups: Sequence[int]) -> Scene:
    """A street photo by its mask.

    Args:
        image: upright RGB photo.
        mask: label values, uint8 (height, width).
        group_of: label value to group; other values are not taught.
        garment_groups: the groups that are garments.
    """
    lookup = np.full(256, UNKNOWN, np.uint8)
    lookup[list(group_of)] = list(group_of.values())
    groups = lookup[mask]
    garments = np.where(np.isin(groups, garment_groups), mask, 0).astype(np.int16)
    return Scene(image, groups, garments)


def product(image: Image.Image, group: int) -> Scene:
    """A product by what is not white; what a person wears is not taught, for there is more than one garment."""
    pixels = np.asarray(image)
    area = np.asarray(ndimage.binary_fill_holes(pixels.min(axis=2) < WHITE), bool)
    if _skin(pixels)[area].mean() > SKIN_SHARE if area.any() else True:
        return Scene(image, np.where(area, UNKNOWN, BACKGROUND).astype(np.uint8), np.zeros(area.shape, np.int16))
    return Scene(image, np.where(area, group, BACKGROUND).astype(np.uint8), area.astype(np.int16))


def _skin(pixels: np.ndarray) -> np.ndarray:
    """Pixels of the colour of skin (Chai and Ngan 1999), bool (height, width)."""
    _, blue, red = np.moveaxis(np.asarray(Image.fromarray(pixels).convert("YCbCr")), 2, 0)
    return (blue >= 77) & (blue <= 127) & (red >= 133) & (red <= 173)


def phone(image: Image.Image, group: int) -> Scene | None:
    """A garment that lies or hangs alone, by the colours that the photo's border does not have; None if they tell nothing."""
    scale = COLOUR_SIDE / max(image.size)
    small = image.resize((max(8, round(image.width * scale)), max(8, round(image.height * scale))))
    area = _unlike_border(np.asarray(small.convert("LAB"), np.float32))
    if not _believable(area):
        return None
    area = _nearest(area, *image.size)
    return Scene(image, np.where(area, group, BACKGROUND).astype(np.uint8), area.astype(np.int16))


def _unlike_border(colours: np.ndarray) -> np.ndarray:
    """The largest part of other colours than the border's, bool (height, width): two mixtures of colours, one for either side."""
    height, width = colours.shape[:2]
    strip = max(2, round(BORDER * max(height, width)))
    area = np.zeros((height, width), bool)
    area[strip:-strip, strip:-strip] = True
    position = np.asarray(ndimage.distance_transform_edt(np.pad(area, 1)))[1:-1, 1:-1]
    area = position > 0.25 * position.max()
    for _ in range(4):
        inside, outside = (_likelihood(colours, part) for part in (area, ~area))
        evidence = np.asarray(ndimage.gaussian_filter(np.clip(inside - outside, -6, 6), 1.5))
        found = np.asarray(ndimage.binary_fill_holes(evidence > 0), bool)
        found[[0, -1]] = found[:, [0, -1]] = False
        if found.sum() < TONES * 10 or (~found).sum() < TONES * 10:
            return found
        area = found
    return _largest(np.asarray(ndimage.binary_opening(area, iterations=1), bool))


def _likelihood(colours: np.ndarray, part: np.ndarray) -> np.ndarray:
    sample = colours[part][:: max(1, part.sum() // 1500)]
    tones = min(TONES, len(np.unique(sample, axis=0)))
    mixture = GaussianMixture(tones, covariance_type="diag", reg_covar=9.0, random_state=0, max_iter=20, tol=1e-2)
    mixture.fit(sample)
    return mixture.score_samples(colours.reshape(-1, 3)).reshape(colours.shape[:2])


def _largest(area: np.ndarray) -> np.ndarray:
    """The largest connected part; nothing if the others are too much beside it."""
    parts = np.empty(area.shape, np.int32)
    ndimage.label(area, output=parts)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts == sizes.argmax() if sizes.max() >= LEAST_WHOLE * max(1, sizes.sum()) else np.zeros_like(area)


def _believable(area: np.ndarray) -> bool:
    border = np.concatenate([area[1], area[-2], area[:, 1], area[:, -2]])
    return CLEAR_AREA[0] <= area.mean() <= CLEAR_AREA[1] and border.mean() <= MOST_ON_BORDER


def beside(scenes: Sequence[Scene], upright: bool, colour: tuple[int, int, int] = (255, 255, 255)) -> Scene:
    """Scenes in one picture, side by side or, if `upright`, one below the other, from the top or left on a sheet of one colour."""
    axis = 0 if upright else 1
    width = max(s.image.width for s in scenes) if upright else sum(s.image.width for s in scenes)
    height = sum(s.image.height for s in scenes) if upright else max(s.image.height for s in scenes)
    sheet = Image.new("RGB", (width, height), colour)
    groups, garments = np.zeros((height, width), np.uint8), np.zeros((height, width), np.int16)
    offset, numbered = 0, 0
    for scene in scenes:
        left, top = (0, offset) if upright else (offset, 0)
        place = (slice(top, top + scene.image.height), slice(left, left + scene.image.width))
        sheet.paste(scene.image, (left, top))
        groups[place] = scene.groups
        garments[place] = np.where(scene.garments > 0, scene.garments + numbered, 0)
        numbered += int(scene.garments.max())
        offset += scene.image.size[1 - axis]
    return Scene(sheet, groups, garments)


def zoomed(scene: Scene, random: np.random.Generator, least: float = 0.45) -> Scene:
    """A part of the scene: sides of `least` to all of its own."""
    width, height = (round(side * random.uniform(least, 1)) for side in scene.image.size)
    left = int(random.integers(0, scene.image.width - width + 1))
    top = int(random.integers(0, scene.image.height - height + 1))
    return scene.cropped((left, top, left + width, top + height))


def recoloured(scene: Scene, random: np.random.Generator) -> Scene:
    """In another light."""
    factors = random.uniform(0.75, 1.2) * random.uniform(0.92, 1.08, 3)
    pixels = np.asarray(scene.image, np.float32) * factors
    return replace(scene, image=Image.fromarray(pixels.clip(0, 255).astype(np.uint8)))
