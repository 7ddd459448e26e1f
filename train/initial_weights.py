"""Where a training starts from: torchvision's ImageNet weights, a safetensors file, an earlier run, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import ResNet50_Weights

from core.artifacts.run import Run
from core.errors import GarmentError, InvalidConfig
from core.inference.model import GarmentNet
from train.checkpoint import load_checkpoint

OFFLINE_HINT = (
    "torchvision's ImageNet weights could not be downloaded ({error}). Connect this machine to the internet once, or put the file {file} "
    "into {folder}, or start from another file with `--init FILE` (safetensors under torchvision's names), or from nothing with "
    "`--init none`."
)


@dataclass(frozen=True)
class Coverage:
    """Which parameters and buffers the initial weights gave, and which start fresh."""

    covered: list[str]
    fresh: list[str]

    def __str__(self) -> str:
        covered = f"{len(self.covered)} of {len(self.covered) + len(self.fresh)} tensors covered"
        return f"{covered} ({_modules(self.covered)}), starting fresh: {_modules(self.fresh)}"


def _modules(names: list[str]) -> str:
    return ", ".join(sorted({name.partition(".")[0] for name in names})) or "nothing"


def initialise(network: GarmentNet, init: str, outputs: tuple[str, ...] = ()) -> Coverage:
    """Load initial weights into a network, in place. A head that was trained for other outputs starts fresh.

    Args:
        network: freshly made.
        init: `imagenet`, `none`, a safetensors file, or a run folder (of an unfinished run, the best weights so far).
        outputs: names of the network's outputs, which the head of a run must have to be loaded; without them its shape decides.

    Raises:
        InvalidConfig: the file is missing, is not a safetensors file, or does not fit the network.
        BrokenRun: the folder holds no run with weights.
        GarmentError: the download failed.
    """
    state = network.state_dict()
    tensors, trained_for = _offered(init)
    other_head = bool(outputs and trained_for and outputs != trained_for)
    offered = {
        name: tensor
        for name, tensor in tensors.items()
        if name in state and not (other_head and name.startswith("fc."))
    }
    usable = {
        name: tensor.to(state[name].dtype) for name, tensor in offered.items() if tensor.shape == state[name].shape
    }
    misfits = [name for name in offered if name not in usable and not name.startswith("fc.")]
    if misfits:
        raise InvalidConfig(f"{init} does not fit ResNet50: wrong shape of {', '.join(misfits[:5])}.")
    if init != "none" and not usable:
        raise InvalidConfig(
            f"{init} covers no tensor of ResNet50 (torchvision's names are needed, such as layer1.0.conv1.weight)."
        )
    network.load_state_dict(usable, strict=False)
    return Coverage(sorted(usable), sorted(set(state) - set(usable)))


def _offered(init: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors, and the names of the outputs that their head was trained for, if they are known."""
    if init == "none":
        return {}, ()
    if init == "imagenet":
        return _imagenet(), ()
    path = Path(init)
    try:
        return _of_run(path) if path.is_dir() else (load_file(path), ())
    except FileNotFoundError:
        raise InvalidConfig(
            f"There are no initial weights at {path}. Give imagenet, none, a safetensors file or a run."
        ) from None
    except (OSError, SafetensorError) as error:
        raise InvalidConfig(f"{path} is not a readable safetensors file ({error}).") from None


def _of_run(folder: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    best = folder / "best.safetensors"
    if best.exists():  # only while the run is unfinished
        saved = load_checkpoint(best)
        return saved["network"], tuple(saved.get("outputs", ()))
    run = Run.load(folder)
    return load_file(run.path("model.safetensors")), (*run.labels.names, *run.facts.background)


def _imagenet() -> dict[str, Tensor]:
    weights = ResNet50_Weights.IMAGENET1K_V2
    try:
        return dict(weights.get_state_dict(progress=True, check_hash=True, weights_only=True))
    except (URLError, OSError) as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        reason = getattr(error, "reason", error)
        raise GarmentError(
            OFFLINE_HINT.format(error=reason, file=weights.url.rpartition("/")[2], folder=folder)
        ) from None
