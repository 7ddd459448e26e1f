"""Properties of a photo that have nothing to do with what it shows: brightness, contrast, sharpness, size."""

from __future__ import annotations

import numpy as np
from PIL import Image

PROPERTIES = ("brightness", "contrast", "sharpness", "megapixels", "proportions")
SIDE = 128  # longer side, in pixels, at which the first three are measured, so that they can be compared between photos


def properties(image: Image.Image, size: tuple[int, int]) -> tuple[float, ...]:
    """Values by PROPERTIES.

    Brightness and contrast are mean and standard deviation of the luminance (0 to 255); sharpness is the variance of its Laplacian
    (Pech-Pacheco et al. 2000); proportions are width over height.

    Args:
        image: the photo, perhaps decoded at a smaller size.
        size: the photo's own width and height.
    """
    grey = image.convert("L")
    scale = SIDE / max(grey.size)
    grey = grey.resize(
        (max(3, round(grey.width * scale)), max(3, round(grey.height * scale))), Image.Resampling.BILINEAR
    )
    luminance = np.asarray(grey, np.float64)
    inner = luminance[1:-1, 1:-1]
    laplacian = luminance[:-2, 1:-1] + luminance[2:, 1:-1] + luminance[1:-1, :-2] + luminance[1:-1, 2:] - 4 * inner
    width, height = size
    return luminance.mean(), luminance.std(), laplacian.var(), width * height / 1e6, width / height
