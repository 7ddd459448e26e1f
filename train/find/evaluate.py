"""How well garments are found in photos kept back: in street photos by their masks, on sheets of two products, in phone photos."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from core.analysis.metrics import wilson_interval
from core.images.region import Region, iou
from core.inference.classifier import Classifier, Found
from train import worn
from train.find.examples import PRODUCT_SIZE, Examples
from train.find.scenes import WHITE, Scene
from train.meter import meter

MATCH = 0.5  # IoU from which on a box is a garment's
CLOSE = 0.7  # IoU from which on it is closely the garment's
SHEETS = 60
PAIR = ("upper", "lower")  # the groups of a sheet's products
PHONE_PHOTOS = 60  # at most
ROUNDS = 20  # of the time a photo takes


@dataclass(frozen=True)
class Truth:
    """A garment in a photo.

    Args:
        label: as in the masks.
        region: its box.
        allowed: classes that the label may mean; none for dresses.
    """

    label: str
    region: Region
    allowed: tuple[str, ...]


def garments_of(examples: Examples, mask: np.ndarray, values: dict[int, str]) -> list[Truth]:
    """Garments of the classes, and dresses, that a street photo's mask shows."""
    dresses = examples.classes.garments.get("dress", ())
    found = [(label, box, examples.classes.worn_classes(label)) for label, box in worn.garments(mask, values)]
    return [Truth(label, Region(*box), allowed) for label, box, allowed in found if allowed or label in dresses]


def best_match(truth: Region, found: Sequence[Region]) -> tuple[int, float]:
    """Position of the box that fits best, -1 if there is none, and its IoU."""
    overlaps = [iou(truth, region) for region in found]
    best = int(np.argmax(overlaps)) if overlaps else -1
    return best, overlaps[best] if overlaps else 0.0


def measured(classifier: Classifier, examples: Examples, part: str) -> dict[str, Any]:
    """Every row of a split, for `metrics.json`."""
    return {
        "street": street_rows(classifier, examples, part),
        "sheets": sheet_rows(classifier, examples, part),
        "phone": phone_rows(classifier, examples, part),
    }


def street_rows(classifier: Classifier, examples: Examples, part: str) -> dict[str, Any]:
    """Recall of garments and of dresses, share given an allowed class, share of the finds that are garments."""
    recall: list[bool] = []
    allowed: list[bool] = []
    dresses: list[bool] = []
    precise: list[bool] = []
    by_label: dict[str, list[bool]] = {}
    photos = examples.street_files(part)
    for source, file in meter(photos, "finding garments", "photos"):
        image, mask = examples.street_photo(source, file)
        found = classifier.find(image)
        regions = [one.region for one in found]
        truths = garments_of(examples, mask, source.values)
        for truth in truths:
            best, overlap = best_match(truth.region, regions)
            hit = overlap >= MATCH
            (recall if truth.allowed else dresses).append(hit)
            by_label.setdefault(truth.label, []).append(hit)
            if truth.allowed:
                allowed.append(hit and found[best].answer.label in truth.allowed)
        precise += [best_match(region, [truth.region for truth in truths])[1] >= MATCH for region in regions]
    return {
        "photos": len(photos),
        "recall": share(recall),
        "allowed_class": share(allowed),
        "dresses": share(dresses),
        "precision": share(precise),
        "finds_a_photo": len(precise) / max(1, len(photos)),
        "labels": {label: share(hits) for label, hits in sorted(by_label.items())},
    }


def sheet_rows(classifier: Classifier, examples: Examples, part: str, sheets: int = SHEETS) -> dict[str, Any]:
    """Recall on sheets of an upper and a lower product, one above or beside the other; the truth is what is not white."""
    hits: list[bool] = []
    for sheet, truths in meter(product_pairs(examples, part, sheets), "finding products", "sheets", sheets):
        regions = [one.region for one in classifier.find(sheet)]
        hits += [best_match(truth, regions)[1] >= MATCH for truth in truths]
    return {"recall": share(hits)}


def product_pairs(examples: Examples, part: str, sheets: int) -> Iterable[tuple[Image.Image, list[Region]]]:
    """Sheets of an upper and a lower product of a split, and where these lie."""
    random = np.random.default_rng(examples.seed)
    products = examples.products(part)
    if not products.keys() >= set(PAIR):
        return
    for number in range(sheets):
        pair = [examples.product_photo(random.choice(products[group])).resize(PRODUCT_SIZE) for group in PAIR]
        yield product_sheet(*pair, beside=bool(number % 2))


def product_sheet(first: Image.Image, second: Image.Image, beside: bool) -> tuple[Image.Image, list[Region]]:
    """Two products on one white sheet, one beside or below the other, and their boxes."""
    offset = (first.width, 0) if beside else (0, first.height)
    sheet = Image.new("RGB", (offset[0] + second.width, offset[1] + second.height), "white")
    sheet.paste(first, (0, 0))
    sheet.paste(second, offset)
    boxes = [worn.bounds(np.asarray(image).min(axis=2) < WHITE) for image in (first, second)]
    left, top, right, bottom = boxes[1]
    moved = Region(left + offset[0], top + offset[1], right + offset[0], bottom + offset[1])
    return sheet, [Region(*boxes[0]), moved]


def phone_rows(classifier: Classifier, examples: Examples, part: str) -> dict[str, Any]:
    """Share of the phone photos, of garments of the classes, with one find that fits closely; the truth is what differs from the border."""
    hits: list[bool] = []
    rows = examples.phone_rows(part)
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), PHONE_PHOTOS)).round().astype(int)]
    for row in meter(some, "finding garments", "phone photos"):
        scene = examples.phone_scene(row)
        if scene is not None and examples.classes.classes_of(examples.label_of(row)):
            hits.append(alone(classifier.find(scene.image), scene))
    return {"one_close_box": share(hits)}


def alone(found: Sequence[Found], scene: Scene) -> bool:
    """Whether there is one find, and that is the scene's one garment."""
    return len(found) == 1 and iou(found[0].region, Region(*worn.bounds(scene.garments > 0))) >= CLOSE


def milliseconds(classifier: Classifier, images: Sequence[Image.Image]) -> dict[str, float]:
    """Time that finding and classifying the garments of a decoded photo takes on this machine."""
    times: list[float] = []
    for i in range(ROUNDS + 2):
        start = time.perf_counter()
        classifier.find(images[i % len(images)])
        times.append(1000 * (time.perf_counter() - start))
    return {"median": float(np.median(times[2:])), "p95": float(np.percentile(times[2:], 95))}


def share(hits: Sequence[bool]) -> dict[str, Any]:
    """Share of hits with its 95% Wilson interval and their number; the value is None where there are none."""
    if not len(hits):
        return {"n": 0, "value": None}
    low, high = wilson_interval(sum(hits), len(hits))
    return {"n": len(hits), "value": float(np.mean(hits)), "low": float(low), "high": float(high)}
