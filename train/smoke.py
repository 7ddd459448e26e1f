"""A small catalogue drawn in code, laid out as the Kaggle download, to see the trainer work without any download."""

from __future__ import annotations

import csv
from pathlib import Path

from core.labels import LabelSet
from core.samples import out_of_scope, sample

PHOTOS_PER_CLASS = 12
OTHER_PHOTOS = 30
SIZE = (60, 80)  # the Kaggle photos' own
FIRST_CUSTOM = 60001  # two custom photos are among them, one without a file, as in the reference's data


def draw_catalogue(folder: Path, labels: LabelSet) -> Path:
    """Write `styles.csv` and `images/` for every class, a few other things and two custom rows; returns the folder."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[int, str, str]] = []
    for name in labels.names:
        for seed in range(PHOTOS_PER_CLASS):
            photo_id = 1000 + len(rows)
            sample(name, seed, SIZE).save(images / f"{photo_id}.jpg", quality=90)
            rows.append((photo_id, name, f"Drawn {name}, number {seed}"))
    for seed in range(OTHER_PHOTOS):
        photo_id = 1000 + len(rows)
        out_of_scope(seed).resize(SIZE).save(images / f"{photo_id}.jpg", quality=90)
        rows.append((photo_id, "Mugs", f"Drawn thing, number {seed}"))
    sample(labels.names[0], PHOTOS_PER_CLASS, SIZE).save(images / f"{FIRST_CUSTOM}.jpg", quality=90)
    rows += [
        (FIRST_CUSTOM, labels.names[0], "Custom photo"),
        (FIRST_CUSTOM + 1, labels.names[0], "Custom photo without a file"),
    ]
    with (folder / "styles.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "articleType", "baseColour", "usage", "productDisplayName"])
        writer.writerows([photo_id, kind, "Various", "Casual", product] for photo_id, kind, product in rows)
    return folder
