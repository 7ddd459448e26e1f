"""How well the network finds garments: recall at IoU 0.5 on composites of two catalogue photos, a top and a bottom.

    python -m benchmarks.find_garments --data fashion-product-images-small.zip

Photos come from the shipped run's test split; a garment's true box is what is not white in its photo. Tops stand above bottoms in every
other composite, beside them in the rest.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
from core.inference.proposals import find_garments
from PIL import Image

from core import Classifier
from core.analysis.metrics import wilson_interval
from core.images.decode import Photo, decode_photo
from core.images.region import Region
from train.catalogue import Source

COMPOSITES, ENLARGED, WHITE = 200, 4, 235


def garment_box(image: Image.Image) -> tuple[int, int, int, int]:
    """Bounds of what is not white."""
    mask = np.asarray(image).min(axis=2) < WHITE
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def composite(first: Image.Image, second: Image.Image, beside: bool) -> tuple[Image.Image, list[Region]]:
    """Two photos on one white sheet, and their garments' boxes."""
    if beside:
        size, offset = (first.width + second.width, max(first.height, second.height)), (first.width, 0)
    else:
        size, offset = (max(first.width, second.width), first.height + second.height), (0, first.height)
    sheet = Image.new("RGB", size, (255, 255, 255))
    sheet.paste(first, (0, 0))
    sheet.paste(second, offset)
    x, y = offset
    left, top, right, bottom = garment_box(second)
    return sheet, [Region(*garment_box(first)), Region(left + x, top + y, right + x, bottom + y)]


def iou(a: Region, b: Region) -> float:
    """Intersection over union of two boxes."""
    width = max(0, min(a.right, b.right) - max(a.left, b.left))
    height = max(0, min(a.bottom, b.bottom) - max(a.top, b.top))
    return width * height / (a.width * a.height + b.width * b.height - width * height)


def main() -> None:
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--data", type=Path, required=True, help="Kaggle zip or extracted folder")
    source = Source(line.parse_args().data)
    classifier = Classifier.load()
    table = classifier.run.read_csv("predictions.csv")
    rng = np.random.default_rng(0)

    def photos(group: str):
        for photo_id in itertools.cycle(rng.permutation(table.loc[table["group"] == group, "id"])):
            image = decode_photo(source.read(f"images/{photo_id}.jpg")).image
            yield image.resize((image.width * ENLARGED, image.height * ENLARGED), Image.Resampling.BICUBIC)

    found, boxes = [], 0
    for number, first, second in zip(range(COMPOSITES), photos("Tops"), photos("Bottoms"), strict=False):
        sheet, truth = composite(first, second, beside=bool(number % 2))
        proposed = find_garments(classifier, Photo(sheet, "", "", "", *sheet.size))
        boxes += len(proposed)
        found += [max((iou(true, box) for box in proposed), default=0.0) >= 0.5 for true in truth]
    low, high = wilson_interval(sum(found), len(found))
    print(f"run {classifier.run.run_id}: {COMPOSITES} composites of test photos, {boxes / COMPOSITES:.2f} boxes each")
    print(f"recall at IoU 0.5: {np.mean(found):.1%} ({low:.1%} to {high:.1%})")


if __name__ == "__main__":
    main()
