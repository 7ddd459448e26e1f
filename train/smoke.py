"""A small catalogue of samples in the layout of the Kaggle download, so that the trainer can be tried without a download."""

from __future__ import annotations

import csv
from pathlib import Path

from filelock import FileLock

from core.artifacts.labels import LabelSet
from core.files import replaced
from core.samples.garments import out_of_scope, sample
from train.catalogue import COLUMNS

PHOTOS_PER_CLASS = 8
OTHER_PHOTOS = 20
SIZE = (60, 80)  # the Kaggle photos' own
FIRST_CUSTOM = 60001  # two custom photos are among them, one without a file, as in the reference's data


def draw_catalogue(folder: Path, labels: LabelSet) -> Path:
    """Write `images/` and `styles.csv` unless they are there: every class, a few other things, two custom rows. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "styles.csv").exists():
            _write_table(folder / "styles.csv", _draw(folder / "images", labels))
    return folder


def _draw(images: Path, labels: LabelSet) -> list[tuple[int, str, str]]:
    """Write the photos; returns id, kind and product of each."""
    images.mkdir(exist_ok=True)
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
    rows.append((FIRST_CUSTOM, labels.names[0], "Custom photo"))
    rows.append((FIRST_CUSTOM + 1, labels.names[0], "Custom photo without a file"))
    return rows


def _write_table(path: Path, rows: list[tuple[int, str, str]]) -> None:
    with replaced(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([photo_id, kind, "Various", "Casual", product] for photo_id, kind, product in rows)
