"""Does a heat map show what the network used? The deletion curve hides the hottest places first and asks the network again.

If the map is faithful, the class's probability falls at once and the area under the curve is small (Petsiuk et al. 2018, "RISE: randomized
input sampling for explanation of black-box models"; Samek et al. 2017, "Evaluating the visualization of what a deep neural network has
learned").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.images.decode import Photo
from core.images.letterbox import BACKGROUND, Input
from core.images.region import Region
from core.inference.cam import at_photo_size
from core.inference.classifier import Classifier, Reading
from core.inference.postprocess import softmax

HIDDEN = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)  # shares of what the network sees


@dataclass(frozen=True)
class DeletionCurve:
    """A class's probability as more of the photo is hidden, the hottest places first.

    Args:
        hidden: shares of what the network sees, rising from 0 to 1.
        probabilities: of the class, one for each share.
    """

    hidden: tuple[float, ...]
    probabilities: tuple[float, ...]

    @property
    def area(self) -> float:
        """Area under the curve, in [0, 1]; the smaller, the more the network needed what the map shows."""
        return float(np.trapezoid(self.probabilities, self.hidden))


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
    left, top, right, bottom = seen.content
    heat = at_photo_size(reading.maps[class_index], seen.content, classifier.input_size, (right - left, bottom - top))
    readings = classifier.read_inputs([_without(seen, heat, share) for share in HIDDEN[1:]])
    logits = [reading.logits, *(masked.logits for masked in readings)]
    return DeletionCurve(HIDDEN, tuple(float(softmax(row, classifier.temperature)[class_index]) for row in logits))


def _without(seen: Input, heat: np.ndarray, share: float) -> Input:
    """An input with a share of its content, where the heat (h, w) is highest, painted in the letterbox's white."""
    left, top, right, bottom = seen.content
    order = np.argsort(-heat, axis=None, kind="stable")[: round(share * heat.size)]
    hidden = np.zeros(heat.size, bool)
    hidden[order] = True
    pixels = seen.pixels.copy()
    pixels[top:bottom, left:right][hidden.reshape(heat.shape)] = BACKGROUND
    return Input(pixels, seen.frame, seen.content, seen.share)
