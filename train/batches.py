"""Which photos an epoch sees, in which order, and how they reach the device as uint8."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from core.errors import InvalidConfig
from train.config import Recipe, Shares
from train.distributed import World


def epoch_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """Seed of everything random in an epoch. Being derived, it needs no place in a checkpoint, and a resumed epoch repeats exactly."""
    return int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1)[0])


KINDS = (
    "products",
    "other products",
    "phone photos",
    "worn garments",
)  # of training photos, whose shares a recipe may set
PRODUCT, OTHER_PRODUCT, PHONE, WORN = range(len(KINDS))


@dataclass(frozen=True)
class PixelDataset:
    """Photos of one split, fetched a batch at a time.

    Args:
        pixels: uint8 (n_photos, H, W, 3): memory-mapped, or kept on a device.
        rows: positions in `pixels` of this split.
        targets: what each of `rows` is taught as, or its class index.
        kinds: of a training split, what each of `rows` is, as a position in KINDS.
    """

    pixels: np.ndarray | Tensor
    rows: np.ndarray
    targets: np.ndarray
    kinds: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """uint8 (B, H, W, 3) and int64 (B,), where the pixels are."""
        rows, targets = self.rows[indices], torch.from_numpy(self.targets[indices])
        if isinstance(self.pixels, np.ndarray):
            return torch.from_numpy(self.pixels[rows]), targets
        device = self.pixels.device
        return self.pixels[torch.from_numpy(rows).to(device)], targets.to(device)

    def kept_on(self, device: torch.device) -> PixelDataset:
        """The same photos, copied to a device in one piece."""
        used, rows = np.unique(self.rows, return_inverse=True)
        return replace(self, pixels=torch.from_numpy(np.asarray(self.pixels[used])).to(device), rows=rows)

    def near(self, device: torch.device) -> PixelDataset:
        """The same photos, on a GPU if they take half of its free memory at most; for a processor unchanged."""
        size = len(np.unique(self.rows)) * math.prod(self.pixels.shape[1:])
        fits = device.type == "cuda" and size <= torch.cuda.mem_get_info(device)[0] / 2
        return self.kept_on(device) if fits else self


def sampling_weights(targets: np.ndarray, sampler: str) -> np.ndarray:
    """Probability of each photo to be drawn, (n,): by class frequency to the power 0, -1/2 or -1."""
    power = {"natural": 0.0, "square_root": -0.5, "inverse": -1.0}[sampler]
    weights = np.bincount(targets)[targets].astype(float) ** power
    return weights / weights.sum()


def shared_weights(targets: np.ndarray, kinds: np.ndarray, sampler: str, shares: Shares) -> np.ndarray:
    """Probability of each photo to be drawn, (n,): every kind has its share, spread within it as the sampler says."""
    weights = np.zeros(len(targets))
    for kind, share in _share_of_kind(shares).items():
        rows = kinds == kind
        if rows.any():
            weights[rows] = share * sampling_weights(targets[rows], sampler)
    return weights / weights.sum()


def kinds_without_photos(kinds: np.ndarray, shares: Shares) -> list[str]:
    """Names of the kinds that have a share and no photo; the other kinds divide the share among them."""
    return [KINDS[kind] for kind, share in _share_of_kind(shares).items() if share and kind not in kinds]


def _share_of_kind(shares: Shares) -> dict[int, float]:
    return {PRODUCT: shares.products, OTHER_PRODUCT: shares.other_products, PHONE: shares.phone, WORN: shares.worn}


def epoch_size(photos: int, recipe: Recipe) -> int:
    """Number of photos in an epoch, given how many there are to train on."""
    return recipe.shares.photos if recipe.shares else photos


def check_shares(recipe: Recipe, world: World) -> None:
    """Raise InvalidConfig unless all processes get the same number of photos of a batch and of each of its parts."""
    if recipe.batch_size % (world.size * recipe.accumulation):
        raise InvalidConfig(
            f"batch_size {recipe.batch_size} is not a multiple of {world.size} processes times accumulation "
            f"{recipe.accumulation}. Change the recipe or the number of processes."
        )


def epoch_batches(
    targets: np.ndarray, recipe: Recipe, epoch: int, world: World, kinds: np.ndarray | None = None
) -> list[list[int]]:
    """Batches of one process in one epoch, as positions in the split; every process gets a different share of each global batch.

    Natural sampling sees each photo once, in random order; weighted sampling, and one with shares of the `kinds`, draws with
    replacement. An incomplete last batch is left out.
    """
    rng = np.random.default_rng(epoch_seed(recipe.seed, epoch))
    if recipe.shares and kinds is not None:
        p = shared_weights(targets, kinds, recipe.sampler, recipe.shares)
        order = rng.choice(len(targets), recipe.shares.photos, p=p)
    elif recipe.sampler == "natural":
        order = rng.permutation(len(targets))
    else:
        order = rng.choice(len(targets), len(targets), p=sampling_weights(targets, recipe.sampler))
    batch = min(recipe.batch_size, len(order) // world.size * world.size)
    whole = order[: len(order) // batch * batch].reshape(-1, batch)
    return whole[:, world.rank :: world.size].tolist()


@dataclass(frozen=True)
class Batches:
    """Batches of photos in a given order.

    Args:
        dataset: the photos.
        order: positions in it, a list for each batch.
        device: that computes; to a GPU photos that are not on it go through pinned memory, so that it need not wait.
    """

    dataset: PixelDataset
    order: list[list[int]]
    device: torch.device

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for indices in self.order:
            pixels, targets = self.dataset.batch(indices)
            pinned = self.device.type == "cuda" and pixels.device.type == "cpu"
            yield (pixels.pin_memory(), targets.pin_memory()) if pinned else (pixels, targets)
