"""The training loop: stages, epochs and steps, validated and checkpointed after every epoch."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import f1_score
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from core.errors import TrainingStopped
from core.model import IMAGENET_MEAN, IMAGENET_STD, GarmentNet
from train.augment import Augment, mixing
from train.batches import PixelDataset, epoch_batches, epoch_seed, loader
from train.checkpoint import load_checkpoint, save_checkpoint
from train.config import Recipe
from train.distributed import World
from train.folder import HISTORY_COLUMNS, Progress, write_csv
from train.stages import cosine_schedule, freeze, parameter_groups, train_mode, trainable_blocks

VALIDATION_BATCH = 128
STEPS_BETWEEN_READINGS = 10  # losses are read from the device so often; reading each would make a GPU wait
PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Splits:
    """Training and validation photos at one input size."""

    train: PixelDataset
    val: PixelDataset


@dataclass
class State:
    """What changes from epoch to epoch. All of it goes into the checkpoint.

    Args:
        epoch: epochs finished, over all stages.
        best: epoch and validation accuracy of the best weights so far.
        history: one row of `history.csv` for each of them.
    """

    epoch: int = 0
    best: dict[str, float] = field(default_factory=lambda: {"epoch": 0, "val_accuracy": -1.0})
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Position:
    """Where an epoch stands: stage from 0, its first epoch, the epoch itself (both from 1, over all stages)."""

    stage: int
    first_epoch: int
    epoch: int

    @property
    def opens_stage(self) -> bool:
        """Whether the epoch is the first of its stage."""
        return self.epoch == self.first_epoch


def positions(recipe: Recipe) -> list[Position]:
    """Every epoch of a recipe, in order."""
    result, first = [], 1
    for stage, settings in enumerate(recipe.stages):
        result += [Position(stage, first, first + i) for i in range(settings.epochs)]
        first += settings.epochs
    return result


def normalise(images: Tensor) -> Tensor:
    """float (B, 3, H, W) in [0, 1] -> the network's input, channels-last."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=images.device).view(1, 3, 1, 1)
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def predict_logits(network: nn.Module, dataset: PixelDataset, device: torch.device) -> np.ndarray:
    """Logits (n, n_classes) of a split in eval mode, without augmentation; the network's mode is restored."""
    was_training = [module.training for module in network.modules()]
    network.eval()
    batches = np.array_split(np.arange(len(dataset)), max(1, -(-len(dataset) // VALIDATION_BATCH)))
    logits = []
    for pixels, _ in loader(dataset, [batch.tolist() for batch in batches], device):
        logits.append(network(normalise(pixels.to(device).permute(0, 3, 1, 2).float() / 255)).float().cpu())
    for module, mode in zip(network.modules(), was_training, strict=True):
        module.training = mode
    return torch.cat(logits).numpy()


def _moving_average(network: GarmentNet, decay: float) -> AveragedModel | None:
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True) if decay else None


class Trainer:
    """Trains a network through the stages of a recipe, in a run folder.

    Args:
        network: with its initial weights.
        recipe: the settings.
        splits: photos for each (height, width) that a stage names.
        folder: the run folder; a checkpoint in it is continued.
        world: this process and its device.
    """

    def __init__(
        self, network: GarmentNet, recipe: Recipe, splits: dict[tuple[int, int], Splits], folder: Path, world: World
    ):
        self.recipe, self.splits, self.folder, self.world = recipe, splits, folder, world
        self.network = network.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = _moving_average(self.network, recipe.ema_decay)
        self.mix = mixing(recipe.augmentation, self.network.fc.out_features)
        fp16 = recipe.precision == "float16" and world.device.type == "cuda"
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=fp16)
        self.state = State()
        self.progress = Progress(folder, len(recipe.stages), recipe.epochs) if world.leads else None

    @property
    def shipped(self) -> nn.Module:
        """The network that is validated and exported: the moving average, or the network itself without one."""
        return self.averaged.module if self.averaged else self.network

    def run(self) -> State:
        """Train what is left of the recipe; `best.safetensors` holds the best weights in the end.

        Raises:
            TrainingStopped: the loss is no longer finite, or the disk is full.
        """
        checkpoint = self.folder / "checkpoint.safetensors"
        saved = load_checkpoint(checkpoint) if checkpoint.exists() else None
        if saved:
            self._restore(saved)
        for position in positions(self.recipe):
            if position.epoch <= self.state.epoch or self._ended_early(position):
                continue
            self._enter(position, saved)
            saved = None
            self._epoch(position)
        return self.state

    def _restore(self, saved: dict[str, Any]) -> None:
        self.network.load_state_dict(saved["network"])
        if self.averaged:
            self.averaged.load_state_dict(saved["averaged"])
        self.scaler.load_state_dict(saved["scaler"])
        self.state = State(saved["epoch"], saved["best"], saved["history"])
        if self.world.leads:
            self._write_history()

    def _enter(self, position: Position, saved: dict[str, Any] | None) -> None:
        """Make ready for an epoch: a new optimizer where a stage opens, the saved one where a run resumes within a stage."""
        if not position.opens_stage and saved is None:
            return
        stage = self.recipe.stages[position.stage]
        self.blocks = trainable_blocks(self.recipe, position.stage)
        self.trainable = freeze(self.network, self.blocks)
        self.data = self.splits[stage.height, stage.width]
        groups = parameter_groups(self.network, stage, self.blocks)
        self.optimizer = torch.optim.AdamW(groups, lr=stage.lr, weight_decay=self.recipe.weight_decay)
        steps = stage.epochs * self._steps()
        self.schedule = cosine_schedule(self.optimizer, stage.warmup_steps, steps)
        if saved is not None and not position.opens_stage:
            self.optimizer.load_state_dict(saved["optimizer"])
            self.schedule.load_state_dict(saved["schedule"])
        self.model = self._parallel()

    def _parallel(self) -> nn.Module:
        on_gpu = self.world.device.type == "cuda"
        model = torch.compile(self.network) if self.recipe.compile and on_gpu else self.network
        if self.world.size == 1:
            return model  # type: ignore[return-value]
        return DistributedDataParallel(model, device_ids=[self.world.device.index] if on_gpu else None)  # type: ignore[arg-type]

    def _steps(self) -> int:
        return max(1, len(self.data.train) // self.recipe.batch_size)

    def _ended_early(self, position: Position) -> bool:
        """Whether early stopping closed this stage: no better validation in it for the last `early_stopping` epochs."""
        patience = self.recipe.early_stopping
        scores = [row["val_accuracy"] for row in self.state.history if row["stage"] == position.stage + 1]
        return bool(patience) and len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])

    def _epoch(self, position: Position) -> None:
        start = time.perf_counter()
        lr = self.optimizer.param_groups[0]["lr"]
        train = self._train(position)
        seconds = time.perf_counter() - start
        images = int(train[2])
        logits = predict_logits(self.shipped, self.data.val, self.world.device)
        row = self._row(position, lr, train, images, seconds, logits)
        self.state.epoch = position.epoch
        self.state.history.append(row)
        if self.world.leads:
            self._save(position, row, logits)
        self.world.wait()

    def _train(self, position: Position) -> list[float]:
        """One pass over the training photos; returns summed loss, correct predictions and photos, over all processes."""
        seed = epoch_seed(self.recipe.seed, position.epoch, self.world.rank)
        torch.manual_seed(seed)
        augment = Augment(self.recipe.augmentation, seed, self.world.device)
        train_mode(self.network, self.blocks)
        batches = epoch_batches(self.data.train.targets, self.recipe, position.epoch, self.world)
        totals = torch.zeros(3, dtype=torch.float64, device=self.world.device)
        losses: list[Tensor] = []
        for step, (pixels, targets) in enumerate(
            self._bar(loader(self.data.train, batches, self.world.device), position), 1
        ):
            loss, correct = self._step(pixels, targets, augment)
            losses.append(loss)
            totals += torch.stack(
                [loss.double() * len(targets), correct.double(), torch.tensor(float(len(targets))).to(loss)]
            )
            if step % STEPS_BETWEEN_READINGS == 0 or step == len(batches):
                self._check(losses, position, step)
                self._report(position, step, len(batches), totals)
                losses.clear()
        return self.world.sum(totals).tolist()

    def _step(self, pixels: Tensor, targets: Tensor, augment: Augment) -> tuple[Tensor, Tensor]:
        """One optimizer step; returns the mean loss and the number of correct predictions."""
        device, parts = self.world.device, self.recipe.accumulation
        loss_sum, correct = torch.zeros((), device=device), torch.zeros((), device=device)
        for part, labels in zip(pixels.chunk(parts), targets.chunk(parts), strict=True):
            images = augment(part.to(device, non_blocking=True))
            labels = labels.to(device, non_blocking=True)
            images, goal = self.mix(images, labels) if self.mix else (images, labels)
            with torch.autocast(device.type, PRECISIONS.get(self.recipe.precision), enabled=self._autocast):
                logits = self.model(normalise(images))
                loss = F.cross_entropy(logits.float(), goal, label_smoothing=self.recipe.label_smoothing)
            self.scaler.scale(loss * (len(part) / len(pixels))).backward()
            loss_sum += loss.detach() * (len(part) / len(pixels))
            correct += (logits.argmax(1) == labels).sum()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step()
        if self.averaged:
            self.averaged.update_parameters(self.network)
        return loss_sum, correct

    @property
    def _autocast(self) -> bool:
        return self.recipe.precision != "float32" and self.world.device.type == "cuda"

    def _check(self, losses: list[Tensor], position: Position, step: int) -> None:
        finite = torch.isfinite(torch.stack(losses)).tolist()
        if not all(finite):
            bad = step - len(losses) + 1 + finite.index(False)
            raise TrainingStopped(
                f"The loss is no longer finite at epoch {position.epoch}, step {bad} (stage {position.stage + 1}). The last whole "
                f"epoch is kept. Lower the learning rate in the recipe and start a new run from it with `--init {self.folder}`."
            )

    def _bar(self, batches, position: Position):
        title = f"stage {position.stage + 1} epoch {position.epoch}/{self.recipe.epochs}"
        self.bar = tqdm(batches, desc=title, unit="batch", disable=None if self.world.leads else True, mininterval=1)
        self.started = time.perf_counter()
        return self.bar

    def _report(self, position: Position, step: int, steps: int, totals: Tensor) -> None:
        if not self.progress:
            return
        loss, correct, images = totals.tolist()
        rate = images * self.world.size / (time.perf_counter() - self.started)
        self.bar.set_postfix(loss=f"{loss / images:.3f}", acc=f"{correct / images:.3f}", img_s=f"{rate:.0f}")
        left = (steps - step) / steps + self.recipe.epochs - position.epoch
        self.progress.update(
            stage=position.stage + 1,
            stage_name=self.recipe.stages[position.stage].name,
            epoch=position.epoch,
            step=step,
            steps=steps,
            train_loss=loss / images,
            train_accuracy=correct / images,
            images_per_second=rate,
            seconds_left=left * len(self.data.train) / rate,
        )

    def _row(
        self, position: Position, lr: float, train: list[float], images: int, seconds: float, logits: np.ndarray
    ) -> dict[str, Any]:
        targets = self.data.val.targets
        values = (
            position.epoch,
            position.stage + 1,
            self.recipe.stages[position.stage].name,
            self.trainable,
            lr,
            train[0] / images,
            train[1] / images,
            float(F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets))),
            float((logits.argmax(1) == targets).mean()),
            float(f1_score(targets, logits.argmax(1), average="macro")),
            images,
            seconds,
            images / seconds,
            str(self.world.device) if self.world.size == 1 else f"{self.world.size} x {self.world.device.type}",
        )
        return dict(zip(HISTORY_COLUMNS, values, strict=True))

    def _save(self, position: Position, row: dict[str, Any], logits: np.ndarray) -> None:
        """Best weights first, the checkpoint last: a process killed in between repeats the epoch and writes the same again."""
        if row["val_accuracy"] > self.state.best["val_accuracy"]:
            self.state.best = {"epoch": position.epoch, "val_accuracy": row["val_accuracy"]}
            save_checkpoint({"network": self.shipped.state_dict()}, self.folder / "best.safetensors")
        save_checkpoint(
            {"logits": torch.from_numpy(logits)}, self.folder / f"validation_stage{position.stage + 1}.safetensors"
        )
        save_checkpoint(
            {
                "network": self.network.state_dict(),
                "averaged": self.averaged.state_dict() if self.averaged else None,
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "scaler": self.scaler.state_dict(),
                "epoch": self.state.epoch,
                "best": self.state.best,
                "history": self.state.history,
            },
            self.folder / "checkpoint.safetensors",
        )
        self._write_history()

    def _write_history(self) -> None:
        write_csv(self.folder / "history.csv", pd.DataFrame(self.state.history, columns=HISTORY_COLUMNS))
