"""Augmentation of a batch on its device, with random numbers of its own for each photo.

torchvision's transforms draw one set of parameters for a batch; drawing one for each photo on the device lets uint8 cross the bus and
keeps a GPU from waiting. Geometry is one affine map and one interpolation a photo (crop, aspect, rotation, flip together).
"""

from __future__ import annotations

import math
import random

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

from train.config import Augmentation

NEAR_WHITE = 0.94  # least value of a background pixel's channels
LEAST_BLUR_SCALE = 0.5
LEAST_LIGHT = 0.25
WHITE = 1.0  # the catalogue's background, and the padding of the letterbox


class Augment:
    """Random changes to a batch of training photos.

    Args:
        settings: their kinds and strengths.
        seed: of the random numbers; the same seed and batches give the same photos.
        device: where the batches are.
    """

    def __init__(self, settings: Augmentation, seed: int, device: torch.device):
        self.settings = settings
        self.generator = torch.Generator(device).manual_seed(seed)
        self.host = random.Random(seed)  # for what the host must know, so that it need not wait for the device
        self.device = device

    def __call__(self, pixels: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> float32 (B, 3, H, W) in [0, 1]."""
        images = pixels.permute(0, 3, 1, 2).float() / 255
        images = self._backdrop(images) if self.settings.background else images
        images = self._geometry(images)
        images = self._blur(images) if self.settings.blur else images
        images = self._colour(images)
        return self._erase(images) if self.settings.erasing else images

    def _uniform(self, n: int, low: float, high: float) -> Tensor:
        return torch.empty(n, device=self.device).uniform_(low, high, generator=self.generator)

    def _geometry(self, images: Tensor) -> Tensor:
        s, n = self.settings, len(images)
        if s.min_scale == 1 and s.max_aspect_change == 1 and not s.flip and not s.rotation and not s.zoom_out:
            return images
        area = self._uniform(n, s.min_scale, 1).sqrt()
        if s.zoom_out:
            further = self._uniform(n, 0, 1) < s.zoom_out
            area = torch.where(further, self._uniform(n, 1, s.max_zoom_out), area)
        aspect = self._uniform(n, -math.log(s.max_aspect_change), math.log(s.max_aspect_change)).div(2).exp()
        most = area.clamp(min=1)
        width, height = (area * aspect).minimum(most), (area / aspect).minimum(most)  # shares of the photo's sides kept
        shift_x = self._uniform(n, -1, 1) * (1 - width)
        shift_y = self._uniform(n, -1, 1) * (1 - height)
        width = width * torch.where(self._uniform(n, 0, 1) < s.flip, -1.0, 1.0)
        angle = self._uniform(n, -math.radians(s.rotation), math.radians(s.rotation))
        ratio = images.shape[3] / images.shape[2]  # grid coordinates are relative to each side; rotation is in pixels
        cos, sin = angle.cos(), angle.sin()
        top = torch.stack([cos * width, -sin * height / ratio, shift_x], dim=1)
        bottom = torch.stack([sin * width * ratio, cos * height, shift_y], dim=1)
        grid = F.affine_grid(torch.stack([top, bottom], dim=1), list(images.shape), align_corners=False)  # (B, H, W, 2)
        around = self._around(n) if s.zoom_out else WHITE
        return F.grid_sample(images - around, grid, padding_mode="zeros", align_corners=False) + around

    def _around(self, n: int) -> Tensor:
        """What lies beside each photo, (n, 3, 1, 1): white or a random colour, as often."""
        colour = torch.rand((n, 3, 1, 1), device=self.device, generator=self.generator)
        return torch.where((self._uniform(n, 0, 1) < 0.5).view(n, 1, 1, 1), colour, WHITE)

    def _backdrop(self, images: Tensor) -> Tensor:
        """A random colour in place of near-white, so that a white background does not give a product away."""
        n = len(images)
        white = images.amin(dim=1, keepdim=True) > NEAR_WHITE
        colour = torch.rand((n, 3, 1, 1), device=self.device, generator=self.generator)
        chosen = (self._uniform(n, 0, 1) < self.settings.background).view(n, 1, 1, 1)
        return torch.where(white & chosen, colour, images)

    def _blur(self, images: Tensor) -> Tensor:
        """Shrink to a random size, one for the batch, and enlarge again: what a small copy of a photo loses."""
        height, width = images.shape[2:]
        scale = self.host.uniform(LEAST_BLUR_SCALE, 1)
        small = F.interpolate(images, (round(height * scale), round(width * scale)), mode="bilinear", antialias=True)
        blurred = F.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)
        chosen = (self._uniform(len(images), 0, 1) < self.settings.blur).view(-1, 1, 1, 1)
        return torch.where(chosen, blurred, images)

    def _colour(self, images: Tensor) -> Tensor:
        s, n = self.settings, len(images)

        def factor(strength: float) -> Tensor:
            return self._uniform(n, 1 - strength, 1 + strength).view(n, 1, 1, 1)

        if s.brightness:
            images = (images * factor(s.brightness)).clamp(0, 1)
        if s.darkness:
            dim = (self._uniform(n, 0, 1) < s.darkness).view(n, 1, 1, 1)
            images = torch.where(dim, images * self._uniform(n, LEAST_LIGHT, 1).view(n, 1, 1, 1), images)
        if s.contrast:
            mean = v2.functional.rgb_to_grayscale(images).mean(dim=(1, 2, 3), keepdim=True)
            images = torch.lerp(mean, images, factor(s.contrast)).clamp(0, 1)
        if s.saturation:
            images = torch.lerp(v2.functional.rgb_to_grayscale(images), images, factor(s.saturation)).clamp(0, 1)
        return images

    def _erase(self, images: Tensor) -> Tensor:
        """RandomErasing (Zhong et al. 2020) with torchvision's ranges: 2 to 33% of the area, aspect 0.3 to 3.3, filled with noise."""
        n, _, rows, columns = images.shape
        area = self._uniform(n, 0.02, 0.33) * rows * columns
        aspect = self._uniform(n, math.log(0.3), math.log(3.3)).exp()
        height, width = (area * aspect).sqrt().clamp(max=rows), (area / aspect).sqrt().clamp(max=columns)
        top, left = self._uniform(n, 0, 1) * (rows - height), self._uniform(n, 0, 1) * (columns - width)
        y = torch.arange(rows, device=self.device).view(1, rows, 1)
        x = torch.arange(columns, device=self.device).view(1, 1, columns)
        inside = (y >= top.view(n, 1, 1)) & (y < (top + height).view(n, 1, 1))
        inside = inside & (x >= left.view(n, 1, 1)) & (x < (left + width).view(n, 1, 1))
        chosen = (self._uniform(n, 0, 1) < self.settings.erasing).view(n, 1, 1)
        noise = torch.rand(images.shape, device=self.device, generator=self.generator)
        return torch.where((inside & chosen).unsqueeze(1), noise, images)


def mixing(settings: Augmentation, n_classes: int) -> v2.Transform | None:
    """MixUp or CutMix over (images, integer targets), giving soft targets (B, n_classes); at random one of both if both are on."""
    choices: list[v2.Transform] = []
    if settings.mixup:
        choices.append(v2.MixUp(alpha=settings.mixup, num_classes=n_classes))
    if settings.cutmix:
        choices.append(v2.CutMix(alpha=settings.cutmix, num_classes=n_classes))
    return v2.RandomChoice(choices) if choices else None
