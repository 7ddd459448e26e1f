"""Does a heat map show what the network used? The deletion curve hides the hottest places first and asks the network again.

If the map is faithful, the class's probability falls at once and the area under the curve is small. The insertion curve shows the
hottest places of a blurred photo first, and a large area is good (Petsiuk et al. 2018, "RISE: randomized input sampling for explanation of
black-box models"). `train.explain` measures both for every run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from core.images.decode import Photo
from core.images.letterbox import BACKGROUND, Input
from core.images.region import Region
from core.inference.cam import at_photo_size
from core.inference.classifier import Classifier, Reading
from core.inference.postprocess import softmax

SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)  # of what the network sees, that are hidden or shown
BLUR = 1 / 12  # radius of the blur that insertion starts from, as a share of the longer side


@dataclass(frozen=True)
class DeletionCurve:
    """A class's probability as more of the photo is hidden, the hottest places first.

    Args:
        hidden: shares of what the network sees, rising from 0 to 1.
        probabilities: of the class, one for each share.
        percentile: where the area stands among those of the test photos, in [0, 100]; the smaller, the better. None for another class than
            the predicted one, and where the run was not measured so.
    """

    hidden: tuple[float, ...]
    probabilities: tuple[float, ...]
    percentile: float | None = None

    @property
    def area(self) -> float:
        """Area under the curve, in [0, 1]; the smaller, the more the network needed what the map shows."""
        return float(area_under(self.probabilities, self.hidden))


def area_under(probabilities: np.ndarray | tuple[float, ...], shares: tuple[float, ...] = SHARES) -> np.ndarray:
    """Area under deletion or insertion curves, (..., n_shares) -> (...), in [0, 1]."""
    return np.asarray(np.trapezoid(probabilities, shares, axis=-1))


def deletion_curve(
    classifier: Classifier, photo: Photo, region: Region | None, reading: Reading, class_index: int
) -> DeletionCurve:
    """The deletion curve of a class's heat map, in one batched forward pass.

    Args:
        classifier: which gave the reading.
        photo: upright.
        region: of the photo, in its pixels; None for the whole.
        reading: of that region.
        class_index: output of the network.
    """
    seen = classifier.prepare(photo, region)
    heat = at_photo_size(reading.maps[class_index], seen.content, classifier.input_size, size_of(seen))
    readings = classifier.read_inputs([deleted(seen, heat, share) for share in SHARES[1:]])
    logits = [reading.logits, *(masked.logits for masked in readings)]
    probabilities = tuple(float(softmax(row, classifier.temperature)[class_index]) for row in logits)
    run = classifier.run
    measured = run.metrics.heat_maps if run.has("metrics.json") else None
    if measured is None or class_index != reading.logits.argmax():
        return DeletionCurve(SHARES, probabilities)
    percentile = np.interp(area_under(probabilities), measured.percentiles, np.arange(101))
    return DeletionCurve(SHARES, probabilities, float(percentile))


def size_of(seen: Input) -> tuple[int, int]:
    """(width, height) of an input's content, in its pixels."""
    left, top, right, bottom = seen.content
    return right - left, bottom - top


def deleted(seen: Input, heat: np.ndarray, share: float) -> Input:
    """An input with a share of its content, where the heat (h, w) is highest, painted in the letterbox's white."""
    return _with_content(seen, np.where(_hottest(heat, share)[..., None], BACKGROUND, _content(seen)))


def inserted(seen: Input, heat: np.ndarray, share: float) -> Input:
    """An input whose content is blurred but for a share, where the heat (h, w) is highest."""
    content = _content(seen)
    blurred = Image.fromarray(content).filter(ImageFilter.GaussianBlur(BLUR * max(heat.shape)))
    return _with_content(seen, np.where(_hottest(heat, share)[..., None], content, np.asarray(blurred)))


def _content(seen: Input) -> np.ndarray:
    left, top, right, bottom = seen.content
    return seen.pixels[top:bottom, left:right]


def _with_content(seen: Input, content: np.ndarray) -> Input:
    left, top, right, bottom = seen.content
    pixels = seen.pixels.copy()
    pixels[top:bottom, left:right] = content
    return seen._replace(pixels=pixels)


def _hottest(heat: np.ndarray, share: float) -> np.ndarray:
    """Which places are among the hottest share, bool (h, w); of equal ones the first."""
    chosen = np.zeros(heat.size, bool)
    chosen[np.argsort(-heat, axis=None, kind="stable")[: round(share * heat.size)]] = True
    return chosen.reshape(heat.shape)
