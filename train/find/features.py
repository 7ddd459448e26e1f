"""What the frozen network makes of scenes, computed once and kept on disk in half precision, along its main directions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.inference.model import IMAGENET_MEAN, IMAGENET_STD, GarmentNet
from train.find.examples import Examples
from train.find.scenes import Targets
from train.folder import replaced
from train.meter import meter

KEPT = (128, 256, 512)  # directions of most variance of the maps of layer2, layer3 and layer4
SAMPLED_SCENES, SAMPLED_CELLS = 100, 64  # from which those directions are found
SCENES_A_FILE = 64

Maps = tuple[Tensor, Tensor, Tensor]


@torch.inference_mode()
def feature_maps(network: GarmentNet, pixels: Tensor) -> Maps:
    """Maps of layer2, layer3 and layer4 for uint8 (B, H, W, 3).

    Returns:
        float32 (B, 512, H/8, W/8), (B, 1024, H/16, W/16) and (B, 2048, H/32, W/32), layer4 not being dilated.
    """
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    x = ((pixels.permute(0, 3, 1, 2) / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=bool(torch.cpu.get_capabilities().get("avx512_bf16", False))):
        second = network.layer2(network.layer1(network.maxpool(network.relu(network.bn1(network.conv1(x))))))
        third = network.layer3(second)
        return second.float(), third.float(), network.layer4(third).float()


class Projection:
    """Main directions of the maps of each layer, scaled to variance 1.

    Args:
        means: of the channels, (channels,) each.
        directions: (kept, channels) each.
    """

    def __init__(self, means: Sequence[Tensor], directions: Sequence[Tensor]):
        self.means, self.directions = means, directions

    @classmethod
    def fitted(cls, samples: Sequence[Tensor], kept: Sequence[int]) -> Projection:
        """To cells, (n, channels) for each layer."""
        means = [cells.mean(dim=0) for cells in samples]
        directions: list[Tensor] = []
        for cells, mean, n in zip(samples, means, kept, strict=True):
            values, vectors = torch.linalg.eigh(torch.cov((cells - mean).T.double()))
            values, vectors = values[-n:].clamp_min(1e-6 * values[-1]), vectors[:, -n:]
            directions.append((vectors / values.sqrt()).T.float())
        return cls(means, directions)

    def __call__(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """(B, channels, h, w) -> (B, kept, h, w) each."""
        return [
            torch.einsum("kc,bchw->bkhw", directions, values - mean[:, None, None])
            for values, mean, directions in zip(maps, self.means, self.directions, strict=True)
        ]


def projection(network: GarmentNet, examples: Examples, folder: Path) -> Projection:
    """Main directions of the network's maps of training scenes, from `folder` if they are there."""
    path = folder / "projection.safetensors"
    if not path.exists():
        numbers = np.linspace(0, len(examples.plan) - 1, min(SAMPLED_SCENES, len(examples.plan))).astype(int)
        shown = meter(numbers, "finding directions", "scenes")
        scenes = [scene for number in shown if (scene := examples.targets(number))]
        cells = [_cells(feature_maps(network, torch.from_numpy(scene.pixels)[None])) for scene in scenes]
        samples = [torch.cat(layer) for layer in zip(*cells, strict=True)]
        found = Projection.fitted(samples, [min(n, sample.shape[1]) for n, sample in zip(KEPT, samples, strict=True)])
        tensors = {f"mean{i}": mean for i, mean in enumerate(found.means)}
        with replaced(path) as partial:
            save_file(tensors | {f"directions{i}": d.contiguous() for i, d in enumerate(found.directions)}, partial)
    tensors = load_file(path)
    return Projection(*([tensors[f"{name}{i}"] for i in range(3)] for name in ("mean", "directions")))


def _cells(maps: Maps) -> list[Tensor]:
    """Some cells of each layer, (n, channels)."""
    flat = [values[0].flatten(1).T for values in maps]
    return [cells[:: max(1, len(cells) // SAMPLED_CELLS)] for cells in flat]


def cached(network: GarmentNet, project: Projection, examples: Examples, folder: Path) -> list[Path]:
    """Files with the projected maps and targets of the scenes of the plan, those that are missing made first."""
    paths: list[Path] = []
    for start in meter(range(0, len(examples.plan), SCENES_A_FILE), "computing features", "files"):
        paths.append(folder / f"scenes-{start:05}.safetensors")
        if not paths[-1].exists():
            numbers = range(start, min(start + SCENES_A_FILE, len(examples.plan)))
            scenes = ((number, scene) for number in numbers if (scene := examples.targets(number)))
            tensors = {f"{n}.{name}": t for n, scene in scenes for name, t in _stored(network, project, scene).items()}
            with replaced(paths[-1]) as partial:
                save_file(tensors, partial)
    return paths


def _stored(network: GarmentNet, project: Projection, scene: Targets) -> dict[str, Tensor]:
    maps = project(feature_maps(network, torch.from_numpy(scene.pixels)[None]))
    tensors = {f"maps{i}": values[0].half().contiguous() for i, values in enumerate(maps)}
    return tensors | {"groups": torch.from_numpy(scene.groups.copy()), "boxes": torch.from_numpy(scene.boxes).half()}


def loaded(paths: Sequence[Path]) -> Iterator[dict[str, Tensor]]:
    """The scenes of the files: `maps0`, `maps1` and `maps2` (kept, h, w), `groups` (h, w) and `boxes` (h, w, 4)."""
    for path in paths:
        scenes: dict[str, dict[str, Tensor]] = {}
        for key, tensor in load_file(path).items():
            number, _, name = key.partition(".")
            scenes.setdefault(number, {})[name] = tensor
        yield from scenes.values()
