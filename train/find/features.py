"""What the frozen network makes of scenes, computed once and kept on disk in half precision, along its main directions."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.artifacts.run import Run
from core.files import replaced
from core.inference.detector_graph import layers_graph
from core.inference.providers import CPU
from train.find.examples import Examples
from train.find.scenes import Targets
from train.meter import meter

KEPT = (96, 192, 384)  # directions of most variance of the maps of layer2, layer3 and layer4
SAMPLED_SCENES, SAMPLED_CELLS = 40, 150  # from which those directions are found
SCENES_A_FILE = 32


class Network:
    """The frozen network as the detector serves it, a photo a thread: what it says of a photo trains the head, roundings included.

    Args:
        run: with a network.
    """

    def __init__(self, run: Run):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(layers_graph(run).SerializeToString(), options, providers=[CPU])

    def maps(self, scene: Targets) -> list[Tensor]:
        """Of layer2, layer3 and layer4, float32 (channels, h, w) each."""
        outputs = self._session.run(None, {"pixels": scene.pixels[None]})
        return [torch.from_numpy(np.asarray(values)[0]) for values in outputs]


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
            values, vectors = torch.linalg.eigh(torch.cov((cells - mean).T))
            values, vectors = values[-n:].clamp_min(1e-6 * values[-1]), vectors[:, -n:]
            directions.append((vectors / values.sqrt()).T)
        return cls(means, directions)

    def __call__(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """(B, channels, h, w) -> (B, kept, h, w) each."""
        return [
            torch.einsum("kc,bchw->bkhw", directions, values - mean[:, None, None])
            for values, mean, directions in zip(maps, self.means, self.directions, strict=True)
        ]


def projection(network: Network, examples: Examples, folder: Path) -> Projection:
    """Main directions of the network's maps of training scenes, from `folder` if they are there."""
    path = folder / "projection.safetensors"
    if not path.exists():
        scenes = itertools.islice(filter(None, map(examples.targets, range(len(examples.plan)))), SAMPLED_SCENES)
        cells = [_cells(network.maps(scene)) for scene in meter(scenes, "finding directions", "scenes", SAMPLED_SCENES)]
        samples = [torch.cat(layer) for layer in zip(*cells, strict=True)]
        found = Projection.fitted(samples, [min(n, sample.shape[1]) for n, sample in zip(KEPT, samples, strict=True)])
        tensors = {f"mean{i}": mean for i, mean in enumerate(found.means)}
        with replaced(path) as partial:
            save_file(tensors | {f"directions{i}": d.contiguous() for i, d in enumerate(found.directions)}, partial)
    tensors = load_file(path)
    return Projection(*([tensors[f"{name}{i}"] for i in range(3)] for name in ("mean", "directions")))


def _cells(maps: Sequence[Tensor]) -> list[Tensor]:
    """Some cells of each layer, (n, channels)."""
    flat = [values.flatten(1).T for values in maps]
    return [cells[:: max(1, len(cells) // SAMPLED_CELLS)] for cells in flat]


def cached(network: Network, project: Projection, examples: Examples, folder: Path) -> list[Path]:
    """Files with the projected maps and targets of the scenes of the plan, those that are missing made first."""
    starts = range(0, len(examples.plan), SCENES_A_FILE)  # the plan is made here, before threads share it
    paths = [folder / f"scenes-{start:05}.safetensors" for start in starts]

    def of_scene(number: int) -> dict[str, Tensor]:
        scene = examples.targets(number)
        found = scene and stored(network, project, scene)
        return {f"{number}.{name}": tensor for name, tensor in (found or {}).items()}

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start, path in zip(meter(starts, "computing features", "files"), paths, strict=True):
            if not path.exists():
                scenes = pool.map(of_scene, range(start, min(start + SCENES_A_FILE, len(examples.plan))))
                with replaced(path) as partial:
                    save_file({name: tensor for scene in scenes for name, tensor in scene.items()}, partial)
    return paths


def stored(network: Network, project: Projection, scene: Targets) -> dict[str, Tensor]:
    """A scene's projected maps and targets: `maps0`, `maps1` and `maps2` (kept, h, w), `groups` (h, w) and `boxes` (h, w, 4)."""
    maps = project([values[None] for values in network.maps(scene)])
    tensors = {f"maps{i}": values[0].half().contiguous() for i, values in enumerate(maps)}
    return tensors | {"groups": torch.from_numpy(scene.groups.copy()), "boxes": torch.from_numpy(scene.boxes).half()}


def loaded(paths: Sequence[Path]) -> Iterator[dict[str, Tensor]]:
    """The scenes of the files, as `stored` makes them."""
    for path in paths:
        scenes: dict[str, dict[str, Tensor]] = {}
        for key, tensor in load_file(path).items():
            number, _, name = key.partition(".")
            scenes.setdefault(number, {})[name] = tensor
        yield from scenes.values()
