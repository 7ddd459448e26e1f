"""Find garments in a photo with the classifier itself, run fully convolutionally over the larger photo; no second network.

Because the head is linear over global average pooling, it may be applied at every place of the feature maps (Zhou et al. 2016,
"Learning deep features for discriminative localization"). Places where some class stands out from the average one, grouped by the group of
classes they speak for, become boxes. `benchmarks/find_garments.py` measures the recall on composites of two photos.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.special import logsumexp

from core.images.decode import Photo
from core.images.region import Region
from core.inference.classifier import Classifier

LONG_SIDE = 160  # pixels of the photo's longer side in the pass; it and the next two were chosen on composites of validation photos
EVIDENCE_SHARE = 0.1  # how far a place's evidence must rise from the least to the most in the photo
CONTAINED = 0.7  # share of a box inside a larger one from which on it is a part of that garment, such as a pocket
CELL = 32  # pixels of the input a cell of the feature maps stands for
REFINEMENT = 8  # the maps are stretched by this before boxes are cut from them
LEAST_AREA = 0.02  # share of the photo below which a box is dropped


def find_garments(classifier: Classifier, photo: Photo) -> list[Region]:
    """Boxes where garments seem to be, from the top of the photo to its bottom; none if nothing stands out.

    One forward pass over the photo at LONG_SIDE pixels. Each box holds garments of one group (such as tops); two garments of a group that
    touch share a box.
    """
    logits = _dense_logits(classifier, photo)  # (n_classes, h, w)
    evidence = _stretched(_logsumexp(logits))
    masks = [classifier.labels.mask(group) for group in classifier.labels.groups]
    by_group = [_stretched(_logsumexp(logits[mask])) for mask in masks]
    least, most = evidence.min(), evidence.max()
    garment = evidence > least + EVIDENCE_SHARE * (most - least)
    best = np.argmax(by_group, axis=0)
    found = [region for group in range(len(by_group)) for region in _boxes(garment & (best == group), photo)]
    return sorted(_without_parts(found), key=lambda region: (region.top, region.left))


def _dense_logits(classifier: Classifier, photo: Photo) -> np.ndarray:
    scale = LONG_SIDE / max(photo.size)
    width, height = (max(CELL, round(side * scale / CELL) * CELL) for side in photo.size)
    pixels = np.asarray(photo.image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0))
    features = classifier.engine.run(pixels[None]).features[0]  # (2048, h, w)
    return np.asarray(np.tensordot(classifier.head_weight, features, axes=1) + classifier.head_bias[:, None, None])


def _logsumexp(logits: np.ndarray) -> np.ndarray:
    """Over the classes, (n, h, w) -> (h, w)."""
    return np.asarray(logsumexp(logits, axis=0))


def _stretched(values: np.ndarray) -> np.ndarray:
    rows, columns = values.shape
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize((columns * REFINEMENT, rows * REFINEMENT), Image.Resampling.BICUBIC))


def _boxes(mask: np.ndarray, photo: Photo) -> list[Region]:
    """Bounding boxes of the mask's connected parts, in pixels of the photo."""
    rows, columns = mask.shape
    x, y = photo.width / columns, photo.height / rows
    parts = np.empty(mask.shape, np.int32)
    ndimage.label(mask, output=parts)
    boxes = [
        Region(round(part[1].start * x), round(part[0].start * y), round(part[1].stop * x), round(part[0].stop * y))
        for part in ndimage.find_objects(parts)
    ]
    return [box for box in boxes if box.width * box.height >= LEAST_AREA * photo.width * photo.height]


def _without_parts(boxes: list[Region]) -> list[Region]:
    """The boxes that do not lie mostly in a larger one."""
    kept: list[Region] = []
    for box in sorted(boxes, key=lambda box: box.width * box.height, reverse=True):
        if all(_shared(box, larger) < CONTAINED for larger in kept):
            kept.append(box)
    return kept


def _shared(box: Region, other: Region) -> float:
    """Share of a box that lies in another."""
    width = max(0, min(box.right, other.right) - max(box.left, other.left))
    height = max(0, min(box.bottom, other.bottom) - max(box.top, other.top))
    return width * height / (box.width * box.height)
