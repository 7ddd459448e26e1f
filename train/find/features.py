"""What the frozen network makes of scenes, computed once and kept on disk in half precision, projected to its main directions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.model import IMAGENET_MEAN, IMAGENET_STD, GarmentNet
from train.find.scenes import Targets
from train.meter import meter

LAYERS = ("layer2", "layer3", "layer4")  # at 1/8, 1/16 and 1/32 of the input's size
CHANNELS = {"layer2": 512, "layer3": 1024, "layer4": 2048}
KEPT = {"layer2": 128, "layer3": 256, "layer4": 512}  # directions of most variance
SAMPLE_CELLS = 32  # of a scene, to find those directions


@torch.inference_mode()
def features(network: GarmentNet, pixels: np.ndarray) -> list[Tensor]:
    """Maps of LAYERS for uint8 (B, H, W, 3), each float32 (B, channels, h, w)."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std
    with torch.autocast("cpu", torch.bfloat16):
        x = network.maxpool(network.relu(network.bn1(network.conv1(x.to(memory_format=torch.channels_last)))))
        second = network.layer2(network.layer1(x))
        third = network.layer3(second)
        return [maps.float() for maps in (second, third, network.layer4(third))]
