"""Where the network looked: Grad-CAM (Selvaraju et al. 2017) from the features of the forward pass that gave the answer.

With a linear head over global average pooling, the gradient of logit c with respect to map k is `w[c, k] / (h w)` everywhere, so
Grad-CAM of the last block is `relu(sum_k w[c, k] A[k]) / (h w)`: exact, for every class at once, without a backward pass.

Outputs that all rise or fall by the same amount leave the answer as it is, so what is explained is how far a class's output lies above
the mean of all outputs, those for other products included (`relative_head`). Maps of the bare outputs would also show what all outputs
share. docs/experiments.md compares the two.
"""

from __future__ import annotations

import numpy as np
from PIL import Image


def relative_head(weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The linear head whose outputs are those above their mean; softmax sees no difference.

    Args:
        weight: (n_outputs, 2048).
        bias: (n_outputs,).
    """
    return weight - weight.mean(axis=0), bias - bias.mean()


def class_maps(features: np.ndarray, head_weight: np.ndarray) -> np.ndarray:
    """Evidence for every class at every place, before Grad-CAM's relu; negative values speak against a class.

    Args:
        features: (..., 2048, h, w) of the last block; of one photo, or of many.
        head_weight: (n_classes, 2048) of the linear head.

    Returns:
        float32 (..., n_classes, h, w). Its sum over h and w, plus the head's bias, is the class's logit.
    """
    *photos, _, height, width = features.shape
    places = features.reshape(*photos, -1, height * width)
    return (head_weight @ places).reshape(*photos, -1, height, width) / (height * width)


def at_photo_size(
    heat: np.ndarray, content: tuple[int, int, int, int], input_size: tuple[int, int], size: tuple[int, int]
) -> np.ndarray:
    """Stretch a map over the photo it belongs to, leaving out the letterbox.

    Args:
        heat: (h, w), of either sign.
        content: left, top, right, bottom of the photo inside the letterboxed input, in input pixels.
        input_size: (height, width) of the input.
        size: (width, height) of the photo or region.

    Returns:
        float32 (height, width), scaled so that the largest magnitude is 1; all 0 if the map is. Keeps within the map's signs.
    """
    height, width = input_size
    rows, columns = heat.shape
    left, top, right, bottom = content
    box = (left / width * columns, top / height * rows, right / width * columns, bottom / height * rows)
    image = Image.fromarray(heat.astype(np.float32))
    low, high = 0 if heat.min() >= 0 else -np.inf, 0 if heat.max() <= 0 else np.inf
    stretched = np.asarray(image.resize(size, Image.Resampling.BICUBIC, box=box)).clip(low, high)
    peak = np.abs(stretched).max()
    return stretched / peak if peak > 0 else stretched


def contrast(maps: np.ndarray, for_class: int, against: int) -> np.ndarray:
    """Why one class and not another: the difference of their class maps, float32 (h, w); positive speaks for the first.

    Args:
        maps: (n_classes, h, w) of `class_maps`.
        for_class: index of the class to be explained.
        against: index of the class it is held against.
    """
    return maps[for_class] - maps[against]
