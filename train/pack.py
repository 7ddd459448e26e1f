"""A data set's photos at training size in one small file, so that a rented machine with a GPU needs no data set."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from core.errors import InvalidConfig, InvalidData
from train.catalogue import PRODUCT
from train.config import Recipe
from train.dataset import Index, build_index, cached_pixels
from train.meter import meter
from train.packed import SUFFIX, write_pack

LARGEST = 60 * 10**6  # bytes of a file
# Quality of the images, and of how many other products and further views one is kept: the first choice that fits.
CHOICES = ((85, 1), (75, 1), (75, 2), (75, 4), (60, 4), (60, 8), (40, 8), (40, 16))
SAMPLE = 400  # photos from whose size that of all is estimated


def pack(recipe: Recipe, paths: Sequence[Path], cache: Path, file: Path) -> str:
    """Write the photos that a recipe trains and measures on, at its largest size; returns in words what was written.

    Raises:
        InvalidConfig: the file's name has another suffix than SUFFIX.
        InvalidData: a data set cannot be read, or its photos do not fit.
        OSError: the disk is full or not writable.
    """
    if file.suffix != SUFFIX:
        raise InvalidConfig(f"The photos are packed into a Parquet file: name it {file.stem or 'photos'}{SUFFIX}.")
    index = build_index(list(paths), recipe.class_list(), cache)
    height, width = max((stage.height, stage.width) for stage in recipe.stages)
    pixels = cached_pixels(index, height, width, cache)
    about = {
        "classes": recipe.labels().names,
        "size": [height, width],
        "sources": index.source_names,
        "problems": index.problems,
        "failed": index.failed,
    }
    for quality, every in CHOICES:
        rows = _kept(index, every)
        if _expected_size(pixels, rows, quality) > 0.9 * LARGEST:
            continue
        images = [encoded(pixels[row], quality) for row in meter(rows.tolist(), "packing", "photos")]
        write_pack(index.photos.iloc[rows], images, about, file)
        if file.stat().st_size <= LARGEST:
            return (
                f"{len(rows)} of {len(index.photos)} views of photos at {height}x{width} in {file}, {file.stat().st_size / 1e6:.1f} MB.\n"
                f"Train with: python -m train --data {file} --recipe {recipe.name}"
            )
        file.unlink()
    raise InvalidData(
        f"{len(index.photos)} views of photos at {height}x{width} do not fit into {LARGEST // 10**6} megabytes."
    )


def _kept(index: Index, every: int) -> np.ndarray:
    """Positions of the views to keep: the measured one of each photo of a class or from elsewhere, and each n-th of the others."""
    photos = index.photos
    needed = index.main & (index.in_scope | (index.kind != PRODUCT))
    others = np.flatnonzero(index.main & ~needed)[::every]
    main = np.concatenate([np.flatnonzero(needed), others])
    views = np.flatnonzero(~index.main & photos["id"].isin(photos["id"].iloc[main]).to_numpy())[::every]
    return np.sort(np.concatenate([main, views]))


def _expected_size(pixels: np.ndarray, rows: np.ndarray, quality: int) -> float:
    some = rows[:: max(1, len(rows) // SAMPLE)]
    return float(np.mean([len(encoded(pixels[row], quality)) for row in some])) * len(rows)


def encoded(pixels: np.ndarray, quality: int) -> bytes:
    """Pixels, uint8 (height, width, 3), as WebP."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=quality)
    return buffer.getvalue()
