"""Everything that a GPU is to be measured for, in eight minutes, into one JSON file.

    python -m train pack --data DATA --to photos.parquet       # on the machine that has the data
    python -m benchmarks.gpu --data photos.parquet             # on the machine that has the GPU

Measured in this order, and missing from the file if the time is up before: the environment; the card's throughput of convolutions; that of
the training step and of the input pipeline, by batch size, precision and compilation; the same epoch on the processor and on the GPU; the
recipe at full length, killed after its second epoch and resumed, with its history, its 8-bit check and its measures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.train import photos, timed
from core.artifacts.run import Run
from core.inference.model import BLOCKS, GarmentNet
from train.augment import Augment
from train.batches import Batches
from train.config import Augmentation, Recipe, load_recipe
from train.distributed import World, join_world
from train.loop import Trainer, normalise, positions
from train.stages import train_mode
from train.targets import Targets

MINUTES = 8.0
BATCHES = (64, 256, 512)
ROUNDS = 20  # timed steps of each kind
WARM_UP = 5
CONVOLUTION = (256, 256, 24, 18)  # batch, channels, height and width of the convolution that stands for the card
EQUAL_STEPS = 8  # of the epoch that processor and GPU both take
KILLED_AFTER = 2  # epochs
FORWARD_AND_BACKWARD = 3  # times the operations of a forward pass


def main() -> None:
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    line.add_argument("--data", required=True, metavar="FILE", help="what `python -m train pack` wrote, or a data set")
    line.add_argument("--recipe", default="default")
    line.add_argument("--init", default="imagenet", help="as of `python -m train`")
    line.add_argument("--to", type=Path, default=Path("gpu.json"), help="file to write (default: gpu.json)")
    line.add_argument(
        "--runs", type=Path, default=Path("gpu-runs"), help="where the recipe's run is made (default: gpu-runs)"
    )
    line.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    options = line.parse_args()
    deadline = time.monotonic() + 60 * MINUTES
    found: dict[str, Any] = {}
    with join_world(options.device) as world:
        for name, measure in parts(options, world, deadline).items():
            if time.monotonic() > deadline:
                break
            start = time.monotonic()
            found[name] = attempted(measure)
            found[name]["took_seconds"] = round(time.monotonic() - start, 1)
            options.to.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(name, json.dumps(found[name], indent=1), flush=True)


def parts(options: argparse.Namespace, world: World, deadline: float) -> dict[str, Callable[[], dict[str, Any]]]:
    """What is measured, by its name in the file, in this order."""
    recipe = load_recipe(options.recipe)
    return {
        "environment": lambda: environment(world),
        "convolution": lambda: convolution(world),
        "step": lambda: throughput(recipe, world),
        "equality": lambda: equality(recipe, world),
        "recipe": lambda: whole_recipe(options, deadline),
    }


def attempted(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a part gives, or why it failed: the other parts are worth having all the same."""
    try:
        return measure()
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"[:500]}


def environment(world: World) -> dict[str, Any]:
    found = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "device": str(world.device),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
    if world.device.type == "cuda":
        card = torch.cuda.get_device_properties(world.device)
        found |= {"card": card.name, "capability": [card.major, card.minor], "memory_gb": card.total_memory / 1e9}
    return found


def half(world: World) -> torch.dtype:
    """What the device computes fastest in."""
    return torch.bfloat16 if world.device.type == "cpu" or torch.cuda.is_bf16_supported() else torch.float16


def convolution(world: World) -> dict[str, Any]:
    """Operations a second of a 3x3 convolution, forward, which the step's are held against."""
    batch, channels, height, width = CONVOLUTION
    rates = {}
    for kind in (torch.float32, half(world)):
        layer = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(world.device, kind)
        layer = layer.to(memory_format=torch.channels_last)
        x = torch.randn(batch, channels, height, width, device=world.device, dtype=kind)
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            seconds = np.median([timed(partial(layer, x), world) for _ in range(ROUNDS + WARM_UP)][WARM_UP:])
        rates[str(kind)] = 2 * 9 * channels**2 * batch * height * width / seconds / 1e12
    return {"teraflops": rates}


def throughput(recipe: Recipe, world: World) -> dict[str, Any]:
    """Images a second of the step and of the pipeline, in the recipe's last stage, by batch size, precision and compilation."""
    stage = recipe.stages[-1]
    ways = [("float32", False), (recipe.precision, False)] + [(recipe.precision, True)] * (world.device.type == "cuda")
    rows = []
    for batch in BATCHES:
        for precision, compiled in ways:
            changed = {"batch_size": batch, "precision": precision, "compile": compiled, "accumulation": 1}
            with tempfile.TemporaryDirectory() as folder:
                trainer = small_trainer(recipe.model_copy(update=changed), world, Path(folder), 2 * batch)
                row = {"batch": batch, "precision": precision, "compiled": compiled}
                rows.append(row | {name: batch / seconds for name, seconds in step_and_pipeline(trainer)})
    operations = FORWARD_AND_BACKWARD * forward_operations(recipe, stage.height, stage.width)
    best = max(row["step"] for row in rows)
    return {"images_per_second": rows, "operations_per_image": operations, "best_teraflops": best * operations / 1e12}


def small_trainer(recipe: Recipe, world: World, folder: Path, n: int) -> Trainer:
    sizes = {(stage.height, stage.width) for stage in recipe.stages}
    splits = {size: photos(size, n, folder) for size in sizes}
    torch.manual_seed(0)
    network = GarmentNet(15, recipe.dropout, recipe.output_stride)
    return Trainer(network, recipe, Targets.of(recipe.class_list()), splits, folder, world)


def step_and_pipeline(trainer: Trainer) -> Iterator[tuple[str, float]]:
    """Median seconds of a whole training step on a batch that is there, and of fetching and augmenting one."""
    world, recipe = trainer.world, trainer.recipe
    active = trainer._open_stage([position for position in positions(recipe) if position.opens_stage][-1], None)
    train_mode(trainer.network, active.blocks)
    order = [list(range(recipe.batch_size))] * (ROUNDS + WARM_UP)
    pixels, targets = (values.to(world.device) for values in active.data.train.batch(order[0]))
    augment, nothing = Augment(recipe.augmentation, 0, world.device), Augment(Augmentation(), 0, world.device)
    steps = [timed(lambda: trainer._step(active, pixels, targets, nothing), world) for _ in order]
    batches = iter(Batches(active.data.train, order, world.device))
    fetched = [timed(lambda: normalise(augment(next(batches)[0].to(world.device))), world) for _ in order]
    yield "step", float(np.median(steps[WARM_UP:]))
    yield "pipeline", float(np.median(fetched[WARM_UP:]))


def forward_operations(recipe: Recipe, height: int, width: int) -> float:
    """Multiplications and additions of the convolutions for one photo."""
    total = 0.0

    def count(layer: torch.nn.Conv2d, _: object, output: torch.Tensor) -> None:
        nonlocal total
        total += 2 * layer.weight[0].numel() * output[0].numel()

    network = GarmentNet(15, output_stride=recipe.output_stride).eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 3, height, width))
    return total


def equality(recipe: Recipe, world: World) -> dict[str, Any]:
    """The same epoch in float32 on the processor and on the device, and in the recipe's precision on the device."""
    stage = recipe.stages[-1].model_copy(update={"unfreeze": list(BLOCKS), "epochs": 1, "warmup_steps": 0, "lr": 1e-3})
    changed = {
        "stages": [stage],
        "frozen": [],
        "augmentation": Augmentation(),
        "dropout": 0.0,
        "shares": None,
        "batch_size": 16,
    }
    plain = recipe.model_copy(update=changed | {"sampler": "natural", "precision": "float32", "compile": False})
    ways = {
        "processor": (plain, World(0, 1, torch.device("cpu"))),
        "device": (plain, world),
        "device, " + recipe.precision: (plain.model_copy(update={"precision": recipe.precision}), world),
    }
    losses = {}
    for name, (way, where) in ways.items():
        with tempfile.TemporaryDirectory() as folder:
            trainer = small_trainer(way, where, Path(folder), EQUAL_STEPS * way.batch_size)
            losses[name] = trainer.run().history[-1]["train_loss"]
    reference = losses["processor"]
    return {
        "train_loss": losses,
        "relative_difference": {name: abs(loss / reference - 1) for name, loss in losses.items()},
    }


def whole_recipe(options: argparse.Namespace, deadline: float) -> dict[str, Any]:
    """The recipe at full length in a process of its own, killed after KILLED_AFTER epochs and resumed."""
    given = ["--data", options.data, "--recipe", options.recipe, "--init", options.init, "--runs", str(options.runs)]
    options.runs.mkdir(parents=True, exist_ok=True)
    before = set(options.runs.iterdir())
    found: dict[str, Any] = {"command": " ".join(["python -m train", *given])}
    start = time.monotonic()
    train([*given, "--device", options.device], deadline, lambda: epochs(options.runs, before) >= KILLED_AFTER)
    found["killed_after_epochs"] = epochs(options.runs, before)
    folder = next((path for path in options.runs.iterdir() if path.is_dir() and path not in before), None)
    if folder is None:
        return found | {"failed": "no run folder was made"}
    found["finished"] = train(["--resume", str(folder)], deadline, lambda: False) == 0
    found["seconds"] = time.monotonic() - start
    history = pd.read_csv(folder / "history.csv")
    found["history"] = json.loads(history.to_json(orient="records"))
    found["training_seconds"] = float(history["seconds"].sum())
    found["epochs_once_each"] = history["epoch"].tolist() == list(range(1, len(history) + 1))
    if found["finished"]:
        run = Run.load(folder)
        found |= {"quantisation": run.manifest["quantisation"], "metrics": run.read_json("metrics.json")}
    return found


def epochs(runs: Path, before: set[Path]) -> int:
    """Rows of the history of the run that was not there before."""
    files = [path / "history.csv" for path in runs.iterdir() if path not in before]
    return max((len(path.read_text().splitlines()) - 1 for path in files if path.exists()), default=0)


def train(arguments: list[str], deadline: float, reached: Callable[[], bool]) -> int:
    """`python -m train`, killed when something is reached or the time is up; returns its exit status, -9 if killed."""
    process = subprocess.Popen([sys.executable, "-m", "train", *arguments], start_new_session=True)
    try:
        while process.poll() is None and not reached() and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


if __name__ == "__main__":
    main()
