"""How much a network loses on photos taken otherwise than the catalogue's: padded, stretched, rotated, dark, blurred, compressed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from scipy import ndimage

from core.analysis.metrics import wilson_interval
from core.images.letterbox import network_input
from core.images.sources import batched
from core.inference.engine import Engine
from core.inference.postprocess import energy

WHITE = (255, 255, 255)
NEAR_WHITE = 240  # least value of a background pixel's channels
BATCH = 64

Change = Callable[[Image.Image], Image.Image]


def _padded(image: Image.Image, width: int, height: int) -> Image.Image:
    canvas = Image.new("RGB", (width, height), WHITE)
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas


def _to_square(image: Image.Image) -> Image.Image:
    return _padded(image, max(image.size), max(image.size))


def _enlarged(factor: float) -> Change:
    return lambda image: _padded(image, round(image.width * factor), round(image.height * factor))


def _wider(image: Image.Image) -> Image.Image:
    return image.resize((round(image.width * 4 / 3), image.height), Image.Resampling.BICUBIC)


def _on_black(image: Image.Image) -> Image.Image:
    """The white that touches the photo's border, in black; white garments inside keep their colour."""
    pixels = np.array(image)
    parts = np.empty(pixels.shape[:2], np.int32)
    ndimage.label((pixels >= NEAR_WHITE).all(axis=2), output=parts)
    border = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    pixels[np.isin(parts, border[border > 0])] = 0
    return Image.fromarray(pixels)


def _rotated(image: Image.Image) -> Image.Image:
    return image.rotate(30, Image.Resampling.BICUBIC, expand=True, fillcolor=WHITE)


def _dark(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(0.3)


def _blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(max(image.size) / 80))


def _compressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=20)
    return Image.open(file).convert("RGB")


AS_THEY_ARE = "as they are"
CONDITIONS: dict[str, Change] = {
    AS_THEY_ARE: lambda image: image,
    "padded with white to a square": _to_square,
    "padded with white 1.5 times": _enlarged(1.5),
    "padded with white 2 times": _enlarged(2.0),
    "stretched to 1.33 times the width": _wider,
    "background made black": _on_black,
    "rotated by 30 degrees": _rotated,
    "light at 0.3": _dark,
    "blurred (radius of 1/80 of the longer side)": _blurred,
    "JPEG at quality 20": _compressed,
}


def measure(engine: Engine, photos: Iterable[Image.Image], targets: np.ndarray, threshold: float) -> dict[str, Any]:
    """Accuracy and share in scope under each condition, for `metrics.json`; rates in [0, 1] with 95% Wilson intervals.

    Args:
        engine: as it serves.
        photos: of the classes, upright and decoded, as many as targets, at least one.
        targets: class index of each photo, (n,).
        threshold: of the run's in-scope score.
    """
    logits: dict[str, list[np.ndarray]] = {name: [] for name in CONDITIONS}
    for batch in batched(photos, BATCH):
        for name, change in CONDITIONS.items():
            inputs = [network_input(change(photo), engine.height, engine.width).pixels for photo in batch]
            logits[name].append(engine.run(np.stack(inputs)).logits)
    rows = [_measured(name, np.concatenate(parts), targets, threshold) for name, parts in logits.items()]
    return {
        "photos": len(targets),
        "conditions": rows,
        "worst_loss": {share: _worst_loss(rows, share) for share in ("accuracy", "in_scope")},
    }


def _measured(name: str, logits: np.ndarray, targets: np.ndarray, threshold: float) -> dict[str, Any]:
    correct, inside = logits.argmax(axis=1) == targets, energy(logits) >= threshold
    return {"name": name, "accuracy": _rate(correct), "in_scope": _rate(inside)}


def _rate(hits: np.ndarray) -> dict[str, float]:
    low, high = wilson_interval(hits.sum(), len(hits))
    return {"value": float(hits.mean()), "low": float(low), "high": float(high)}


def _worst_loss(rows: list[dict[str, Any]], share: str) -> dict[str, Any]:
    """The condition under which a share falls furthest below that of the photos as they are, and by how much."""
    worst = min(rows, key=lambda row: row[share]["value"])
    return {"name": worst["name"], "value": rows[0][share]["value"] - worst[share]["value"]}
