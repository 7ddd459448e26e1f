"""Does the trainer wait for its data? The input pipeline alone against the training step alone, stage by stage.

    make bench-train                                                # the default recipe, about a minute on a CPU
    python -m benchmarks.train --recipe reference --rounds 20

The pipeline is everything between the memory-mapped pixels and the network: fetching, copying to the device, augmentation, normalising.
The step is forward, backward and optimizer on a batch that is already there. Rounds of both alternate, so that a busy machine slows
both; what counts is the ratio. Expected on a CPU: the pipeline at least 10 times as fast.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from core.inference.model import GarmentNet
from train.augment import Augment
from train.batches import Batches, PixelDataset
from train.config import Augmentation, Recipe, load_recipe
from train.distributed import World, join_world
from train.loop import Position, Splits, Trainer, normalise, positions
from train.stages import train_mode
from train.targets import Targets

WARM_UP = 1


def main() -> None:
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    line.add_argument("--recipe", default="default")
    line.add_argument("--rounds", type=int, default=5, help="batches that are timed, a stage")
    line.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    options = line.parse_args()
    recipe = load_recipe(options.recipe)
    with join_world(options.device) as world, tempfile.TemporaryDirectory() as folder:
        device = (
            torch.cuda.get_device_name() if world.device.type == "cuda" else platform.processor() or platform.machine()
        )
        print(f"{world.device} ({device}), {torch.get_num_threads()} threads, torch {torch.__version__}")
        print(
            f"recipe {recipe.name}, batches of {recipe.batch_size}, n = {options.rounds} a stage, median [least to most]"
        )
        measure(recipe, options.rounds, world, Path(folder))


def measure(recipe: Recipe, rounds: int, world: World, folder: Path) -> None:
    sizes = {(stage.height, stage.width) for stage in recipe.stages}
    splits = {size: photos(size, recipe.batch_size * (rounds + WARM_UP), folder) for size in sizes}
    targets = Targets.of(recipe.class_list())
    trainer = Trainer(GarmentNet(15, recipe.dropout), recipe, targets, splits, folder, world)
    ratios = []
    for position in (position for position in positions(recipe) if position.opens_stage):
        calls = zip(pipeline_batches(trainer, position), steps(trainer, position, rounds), strict=True)
        seconds = np.array([(timed(fetch, world), timed(step, world)) for fetch, step in calls])[WARM_UP:]
        pipeline, step = recipe.batch_size / seconds.T
        ratios.append(np.median(pipeline) / np.median(step))
        name = recipe.stages[position.stage].name
        print(f"{name:12} pipeline {shown(pipeline)}  step {shown(step)}  images/s  ratio {ratios[-1]:.1f}", flush=True)
    print(f"least ratio: {min(ratios):.1f}")


def photos(size: tuple[int, int], n: int, folder: Path) -> Splits:
    """Random pixels in a file, as the trainer's cache holds them."""
    path = folder / f"{size[0]}x{size[1]}.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (n, *size, 3), dtype=np.uint8))
    data = PixelDataset(np.load(path, mmap_mode="r"), np.arange(n), np.arange(n) % 15)
    return Splits(data, data)


def pipeline_batches(trainer: Trainer, position: Position) -> Iterator[Callable[[], object]]:
    """One call a batch, each doing the pipeline's work for it."""
    stage, device = trainer.recipe.stages[position.stage], trainer.world.device
    data, size = trainer.splits[stage.height, stage.width].train, trainer.recipe.batch_size
    order = np.random.default_rng(1).permutation(len(data)).reshape(-1, size).tolist()
    augment, batches = Augment(trainer.recipe.augmentation, 0, device), iter(Batches(data, order, device))
    for _ in order:
        yield lambda: normalise(augment(next(batches)[0].to(device, non_blocking=True)))


def steps(trainer: Trainer, position: Position, rounds: int) -> Iterator[Callable[[], object]]:
    """One call a batch, each a training step on pixels that are on the device already."""
    active, device = trainer._open_stage(position, None), trainer.world.device
    train_mode(trainer.network, active.blocks)
    pixels, targets = active.data.train.batch(list(range(trainer.recipe.batch_size)))
    pixels, targets, nothing = pixels.to(device), targets.to(device), Augment(Augmentation(), 0, device)
    for _ in range(rounds + WARM_UP):
        yield lambda: trainer._step(active, pixels, targets, nothing)


def timed(call: Callable[[], object], world: World) -> float:
    start = time.perf_counter()
    call()
    if world.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def shown(rates: np.ndarray) -> str:
    return f"{np.median(rates):7.0f} [{min(rates):.0f} to {max(rates):.0f}]"


if __name__ == "__main__":
    main()
