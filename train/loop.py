"""The training loop: stages, epochs and steps, validated and checkpointed after every epoch."""

from __future__ import annotations

import functools
import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from core.analysis.metrics import macro_f1
from core.analysis.text import duration
from core.artifacts.training import HISTORY_COLUMNS
from core.errors import TrainingStopped
from core.inference.model import IMAGENET_MEAN, IMAGENET_STD, GarmentNet, against_background
from train.augment import Augment, mixing
from train.batches import Batches, PixelDataset, epoch_batches, epoch_seed, epoch_size
from train.catalogue import PHONE, WORN
from train.checkpoint import Snapshot, Writer, load_checkpoint
from train.config import Recipe
from train.distributed import World, shared_statistics
from train.folder import Progress, write_csv
from train.meter import meter
from train.readings import Readings, update_to_weight
from train.stages import cosine_schedule, freeze, parameter_groups, stage_steps, train_mode, trainable_blocks
from train.status import epoch_line
from train.targets import Targets, allowed_set_cross_entropy

VALIDATION_BATCH = 128
SECONDS_BETWEEN_READINGS = 1.0  # losses are read from the device so often; reading each would make a GPU wait
BFLOAT16_FROM = (8, 0)  # compute capability of the first GPUs that have it
MOST_OVERFLOWS = 20  # steps in a row that loss scaling may leave out: it halves the scale at each
POINTS_AN_EPOCH = 40  # that a heartbeat has of the epoch in progress, at most
PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Splits:
    """Training and validation photos at one input size; those from elsewhere are targets of the recipe's `Targets`."""

    train: PixelDataset
    val: PixelDataset
    elsewhere: dict[str, PixelDataset] = field(
        default_factory=dict
    )  # validation photos of other kinds, by coarse label

    def near(self, device: torch.device) -> Splits:
        """The same photos on a GPU, as far as its memory holds them; for a processor unchanged."""
        elsewhere = {kind: photos.near(device) for kind, photos in self.elsewhere.items()}
        return Splits(self.train.near(device), self.val.near(device), elsewhere)


@dataclass(frozen=True)
class Position:
    """The place of an epoch: stage from 0, its first epoch, the epoch itself (both from 1, over all stages)."""

    stage: int
    first_epoch: int
    epoch: int

    @property
    def opens_stage(self) -> bool:
        """Whether the epoch is the first of its stage."""
        return self.epoch == self.first_epoch


@dataclass
class State:
    """What changes from epoch to epoch. All of it goes into the checkpoint.

    Args:
        epoch: the last one finished, over all stages.
        best: epoch, validation accuracy and score (see `validation_score`) of the best weights so far.
        history: one row of `history.csv` for each epoch.
    """

    epoch: int = 0
    best: dict[str, Any] = field(default_factory=lambda: {"epoch": 0, "val_accuracy": -1.0, "score": -1.0})
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class ActiveStage:
    """What the epochs of a stage have in common.

    Args:
        blocks: that train, from the input to the output.
        trainable: how many numbers they hold.
        data: photos at the stage's input size.
        optimizer: over the trainable parameters.
        schedule: of its learning rates, stepped with it.
        model: what the forward pass calls: the network, compiled or spread over processes.
    """

    blocks: tuple[str, ...]
    trainable: int
    data: Splits
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    model: Any


def autocast_type(device: torch.device, precision: str) -> torch.dtype | None:
    """What forward passes on a device compute in, None for float32.

    A GPU without bfloat16 computes in float16 instead; a processor computes in bfloat16 only if it can, and never in float16.
    """
    if device.type == "cuda":
        old = precision == "bfloat16" and torch.cuda.get_device_capability(device) < BFLOAT16_FROM
        return torch.float16 if old else PRECISIONS.get(precision)
    can = precision == "bfloat16" and torch.cpu.get_capabilities().get("avx512_bf16", False)
    return torch.bfloat16 if can else None


def validation_score(row: dict[str, Any]) -> float:
    """What the best epoch has most of: the mean of its validation accuracies, on products and on photos from elsewhere."""
    scores = [row["val_accuracy"], *(row[f"val_{kind}_accuracy"] for kind in (PHONE, WORN))]
    return float(np.mean([score for score in scores if score is not None]))


def positions(recipe: Recipe) -> list[Position]:
    """Every epoch of a recipe, in order."""
    result, first = [], 1
    for stage, settings in enumerate(recipe.stages):
        result += [Position(stage, first, first + i) for i in range(settings.epochs)]
        first += settings.epochs
    return result


def normalise(images: Tensor) -> Tensor:
    """float (B, 3, H, W) in [0, 1] -> the network's input, channels-last."""
    mean, std = _statistics(images.device)
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


@functools.cache
def _statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """Kept on the device: sending them with every batch would make a GPU wait."""
    return (
        torch.tensor(IMAGENET_MEAN, device=device).view(1, 3, 1, 1),
        torch.tensor(IMAGENET_STD, device=device).view(1, 3, 1, 1),
    )


@torch.no_grad()
def predict_logits(network: nn.Module, dataset: PixelDataset, device: torch.device, n_classes: int) -> np.ndarray:
    """Logits (n, n_classes) of a split in eval mode, without augmentation, against the background; the network's mode is restored."""
    was_training = [module.training for module in network.modules()]
    network.eval()
    batches = np.array_split(np.arange(len(dataset)), max(1, -(-len(dataset) // VALIDATION_BATCH)))
    logits = []
    for pixels, _ in Batches(dataset, [batch.tolist() for batch in batches], device):
        images = pixels.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
        logits.append(against_background(network(normalise(images)).float(), n_classes).cpu())
    for module, mode in zip(network.modules(), was_training, strict=True):
        module.training = mode
    return torch.cat(logits).numpy()


def _gradients_alone(model: Any) -> AbstractContextManager[Any]:
    """Within this, processes do not exchange gradients: those of the next part will be added."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()


def _finite_or_infinite(loss: float) -> float:
    """A loss that is not a number as infinity: an empty cell of `history.csv` is a value nobody knows."""
    return loss if math.isfinite(loss) else math.inf


def _moving_average(network: GarmentNet, decay: float) -> AveragedModel | None:
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True) if decay else None


class Trainer:
    """Trains a network through the stages of a recipe, in a run folder.

    Args:
        network: with its initial weights.
        recipe: the settings.
        targets: what the training photos are taught as.
        splits: photos for each (height, width) that a stage names.
        folder: the run folder; a checkpoint in it is continued.
        world: this process and its device.
    """

    def __init__(
        self,
        network: GarmentNet,
        recipe: Recipe,
        targets: Targets,
        splits: dict[tuple[int, int], Splits],
        folder: Path,
        world: World,
    ):
        self.recipe, self.splits, self.folder, self.world = recipe, splits, folder, world
        self.n_classes, self.outputs = targets.n_classes, targets.outputs
        self.members = torch.from_numpy(targets.members).to(world.device)
        self.on_gpu = world.device.type == "cuda"
        network = network.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network: GarmentNet = shared_statistics(network) if self.on_gpu and world.size > 1 else network
        self.averaged = _moving_average(self.network, recipe.ema_decay)
        self.mix = mixing(recipe.augmentation, len(targets.names))
        self.autocast = autocast_type(world.device, recipe.precision)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=self.autocast is torch.float16)
        self.overflows = 0  # steps in a row whose loss was not finite
        self.writer = Writer(beside=self.on_gpu)
        self.state = State()
        self.progress = Progress(folder, len(recipe.stages), recipe.epochs) if world.leads else None
        self.points: list[tuple[int, float, float]] = []  # step, mean loss and accuracy since the epoch began
        self.update_to_weight = 0.0

    @property
    def shipped(self) -> nn.Module:
        """The network that is validated and exported: the moving average, or the network itself without one."""
        return self.averaged.module if self.averaged else self.network

    def run(self) -> State:
        """Train what is left of the recipe; `best.safetensors` holds the best weights in the end.

        Raises:
            TrainingStopped: the loss is no longer finite.
            OSError: the disk is full; the last complete checkpoint stays.
        """
        checkpoint = self.folder / "checkpoint.safetensors"
        saved = load_checkpoint(checkpoint) if checkpoint.exists() else None
        if saved:
            self._restore(saved)
        if self.progress:
            self.progress.begin()
        active = None
        with self.writer:
            for position in positions(self.recipe):
                if position.epoch <= self.state.epoch or self._ended_early(position):
                    continue
                if active is None or position.opens_stage:
                    active = self._open_stage(position, saved)
                self._epoch(position, active)
        return self.state

    def _restore(self, saved: dict[str, Any]) -> None:
        self.network.load_state_dict(saved["network"])
        if self.averaged:
            self.averaged.load_state_dict(saved["averaged"])
        if saved["scaler"]:  # empty after epochs that were not computed in float16, such as those of a processor
            self.scaler.load_state_dict(saved["scaler"])
        self.state = State(saved["epoch"], saved["best"], saved["history"])
        if self.world.leads:
            self._write_history(self.state.history)
            self._tell_device()

    def _tell_device(self) -> None:
        before = self.state.history[-1]["device"]
        if before != self.world.name:
            print(
                f"This run was trained on {before} so far and continues on {self.world.name}: rounding differs between devices, so it "
                "will not end bit for bit as it would have there.",
                flush=True,
            )

    def _open_stage(self, position: Position, saved: dict[str, Any] | None) -> ActiveStage:
        """A new optimizer where a stage opens, the saved one where a run resumes within a stage."""
        stage = self.recipe.stages[position.stage]
        blocks = trainable_blocks(self.recipe, position.stage)
        trainable = freeze(self.network, blocks)
        data = self.splits[stage.height, stage.width].near(self.world.device)
        groups = parameter_groups(self.network, stage, blocks)
        fused = True if self.on_gpu else None
        optimizer = torch.optim.AdamW(groups, lr=stage.lr, weight_decay=self.recipe.weight_decay, fused=fused)
        steps = stage_steps(self.recipe, position.stage, len(data.train))
        schedule = cosine_schedule(optimizer, stage.warmup_steps, steps)
        if saved and not position.opens_stage:
            for group in saved["optimizer"]["param_groups"]:
                group["fused"] = fused  # the run may have started on another device
            optimizer.load_state_dict(saved["optimizer"])
            schedule.load_state_dict(saved["schedule"])
        return ActiveStage(blocks, trainable, data, optimizer, schedule, self._parallel())

    def _parallel(self) -> Any:
        model: Any = torch.compile(self.network) if self.recipe.compile and self.on_gpu else self.network
        if self.world.size == 1:
            return model
        return DistributedDataParallel(model, device_ids=[self.world.device.index] if self.on_gpu else None)

    def _ended_early(self, position: Position) -> bool:
        """Whether early stopping closed this stage: no better validation in it for the last `early_stopping` epochs."""
        patience = self.recipe.early_stopping
        scores = [row["val_accuracy"] for row in self.state.history if row["stage"] == position.stage + 1]
        return bool(patience) and len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])

    def _epoch(self, position: Position, active: ActiveStage) -> None:
        """Train, let the leading process validate, and save."""
        start = time.perf_counter()
        readings = Readings(self.world.device)
        train, lr = self._train(position, active)
        seconds = time.perf_counter() - start
        machine = readings.row()
        logits, row = None, None
        if self.progress:
            with self.progress.beating():
                logits = self._logits(active.data.val)
                elsewhere = {kind: self._allowed(photos) for kind, photos in active.data.elsewhere.items()}
            row = self._row(position, active, lr, train, seconds, logits) | machine
            row |= {f"val_{kind}_accuracy": elsewhere.get(kind) for kind in (PHONE, WORN)}
            row["update_to_weight"] = self.update_to_weight
        row = self.world.share(row)
        self.state.epoch = position.epoch
        self.state.history.append(row)
        if logits is not None:
            self._save(position, active, row, logits)
            left = self._seconds_left(position, row["images_per_second"])
            print(epoch_line(row, self.recipe.epochs), f"{duration(left)} left", sep="  ", flush=True)
        self.world.wait()

    def _logits(self, photos: PixelDataset) -> np.ndarray:
        return predict_logits(self.shipped, photos, self.world.device, self.n_classes)

    def _allowed(self, photos: PixelDataset) -> float:
        """Share of photos with coarse labels that are predicted as a class that their label allows."""
        predicted = torch.from_numpy(self._logits(photos).argmax(1))
        return float(self.members.cpu()[torch.from_numpy(photos.targets), predicted].double().mean())

    def _train(self, position: Position, active: ActiveStage) -> tuple[list[float], float]:
        """One pass over the training photos.

        Returns:
            Summed loss, correct predictions and photos, over all processes; and the highest learning rate of a step, of the block
            nearest the head.
        """
        seed = epoch_seed(self.recipe.seed, position.epoch, self.world.rank)
        torch.manual_seed(seed)
        augment = Augment(self.recipe.augmentation, seed, self.world.device)
        train_mode(self.network, active.blocks)
        train = active.data.train
        batches = epoch_batches(train.targets, self.recipe, position.epoch, self.world, train.kinds)
        totals = torch.zeros(3, dtype=torch.float64, device=self.world.device)
        losses: list[Tensor] = []
        lr = 0.0
        self.points.clear()
        start = read = time.perf_counter()
        with self._bar(active.data.train, batches, position) as bar:
            for step, (pixels, targets) in enumerate(bar, 1):
                lr = max(lr, active.optimizer.param_groups[0]["lr"])
                if step == len(batches):
                    loss, correct = self._last_step(active, pixels, targets, augment)
                else:
                    loss, correct = self._step(active, pixels, targets, augment)
                losses.append(loss)
                seen = torch.stack([loss * len(targets), correct, torch.full_like(loss, len(targets))])
                totals += torch.where(loss.isfinite(), seen, 0.0)
                now = time.perf_counter()
                if now - read >= SECONDS_BETWEEN_READINGS or step == len(batches):
                    read = now
                    self._check(losses, position, step)
                    losses.clear()
                    self._report(position, step, len(batches), totals.tolist(), now - start, bar)
        return self.world.sum(totals).tolist(), lr

    def _last_step(
        self, active: ActiveStage, pixels: Tensor, targets: Tensor, augment: Augment
    ) -> tuple[Tensor, Tensor]:
        """As `_step`, and notes how far it moved the weights."""
        weights = [weight.detach() for weight in self.network.parameters() if weight.requires_grad]
        before = [weight.clone() for weight in weights]
        loss, correct = self._step(active, pixels, targets, augment)
        self.update_to_weight = update_to_weight(before, weights)
        return loss, correct

    def _step(self, active: ActiveStage, pixels: Tensor, targets: Tensor, augment: Augment) -> tuple[Tensor, Tensor]:
        """One optimizer step; returns the mean loss and the number of correct predictions."""
        device, parts = self.world.device, self.recipe.accumulation
        mean_loss, correct = torch.zeros((), device=device), torch.zeros((), device=device)
        for i, (part, labels) in enumerate(zip(pixels.chunk(parts), targets.chunk(parts), strict=True), 1):
            share = len(part) / len(pixels)
            labels = labels.to(device, non_blocking=True)
            images, goal = augment(part.to(device, non_blocking=True)), labels
            if self.mix:
                images, goal = self.mix(images, labels)
            with _gradients_alone(active.model) if i < parts else nullcontext():
                with torch.autocast(device.type, self.autocast, enabled=self.autocast is not None):
                    outputs = active.model(normalise(images))
                    loss = allowed_set_cross_entropy(
                        outputs.float(), goal, self.members, self.recipe.label_smoothing, self.recipe.coarse_sharpness
                    )
                self.scaler.scale(loss * share).backward()
            mean_loss += loss.detach() * share
            correct += self.members[labels, outputs.argmax(1)].sum()
        self._update(active)
        return mean_loss, correct

    def _update(self, active: ActiveStage) -> None:
        """Move the weights along their gradients, unless those overflowed in half precision: then only the loss scale falls.

        Asking for the scale would make a GPU wait for the step, so there the schedule and the moving average advance after such a step too.
        """
        scale = None if self.on_gpu else self.scaler.get_scale()
        self.scaler.step(active.optimizer)
        self.scaler.update()
        active.optimizer.zero_grad(set_to_none=True)
        if scale is not None and self.scaler.get_scale() < scale:
            return
        active.schedule.step()
        if self.averaged:
            self.averaged.update_parameters(self.network)

    def _check(self, losses: list[Tensor], position: Position, step: int) -> None:
        """Raise TrainingStopped at the first loss that is not finite; where losses are scaled, at more than MOST_OVERFLOWS in a row."""
        allowed = MOST_OVERFLOWS if self.scaler.is_enabled() else 0
        bad = 0
        for number, finite in enumerate(torch.isfinite(torch.stack(losses)).tolist(), step - len(losses) + 1):
            self.overflows = 0 if finite else self.overflows + 1
            bad = bad or (number if self.overflows > allowed else 0)
        if not bad:
            return
        start = (
            f"from the best weights so far with `--init {self.folder}`" if self.state.epoch else "from the beginning"
        )
        raise TrainingStopped(
            f"The loss is no longer finite at epoch {position.epoch}, step {bad} (stage {position.stage + 1}). Lower that stage's "
            f"learning rate in the recipe and start a new run {start}."
        )

    def _bar(self, data: PixelDataset, batches: list[list[int]], position: Position) -> tqdm[tuple[Tensor, Tensor]]:
        title = f"stage {position.stage + 1} epoch {position.epoch}/{self.recipe.epochs}"
        return meter(Batches(data, batches, self.world.device), title, "batches", shown=self.world.leads)

    def _report(
        self,
        position: Position,
        step: int,
        steps: int,
        totals: list[float],
        seconds: float,
        bar: tqdm[tuple[Tensor, Tensor]],
    ) -> None:
        """Report the progress of the epoch; of several processes only the leading one does."""
        if not self.progress:
            return
        loss, correct, images = totals
        if not images:  # every loss so far overflowed
            return
        rate = images * self.world.size / seconds
        left = self._seconds_left(position, rate, step / steps)
        how = f"loss {loss / images:.3f}, accuracy {correct / images:.1%}, {rate:.0f} images/s, {duration(left)} to the end"
        bar.set_postfix_str(how, refresh=False)
        self.points.append((step, loss / images, correct / images))
        if len(self.points) > POINTS_AN_EPOCH:
            del self.points[::2]
        self.progress.update(
            stage=position.stage + 1,
            stage_name=self.recipe.stages[position.stage].name,
            epoch=position.epoch,
            step=step,
            steps=steps,
            train_loss=loss / images,
            train_accuracy=correct / images,
            images_per_second=rate,
            seconds_left=left,
            points=list(self.points),
        )

    def _seconds_left(self, position: Position, rate: float, done: float = 1.0) -> float:
        """Training time left at this many images a second; `done` is the share of the epoch that is behind."""
        epochs = self.recipe.epochs - position.epoch + 1 - done
        stage = self.recipe.stages[position.stage]
        return epochs * epoch_size(len(self.splits[stage.height, stage.width].train), self.recipe) / rate

    def _row(
        self,
        position: Position,
        active: ActiveStage,
        lr: float,
        train: list[float],
        seconds: float,
        logits: np.ndarray,
    ) -> dict[str, Any]:
        loss, correct, images = train[0], train[1], max(1.0, train[2])
        targets, predictions = active.data.val.targets, logits.argmax(1)
        values = (
            *(position.epoch, position.stage + 1, self.recipe.stages[position.stage].name, active.trainable, lr),
            *(loss / images, correct / images),
            _finite_or_infinite(float(F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets)))),
            float((predictions == targets).mean()),
            macro_f1(targets, predictions),
            *(int(images), seconds, images / seconds, self.world.name),
        )
        return dict(zip(HISTORY_COLUMNS, values, strict=False))  # the optional columns come from elsewhere

    def _save(self, position: Position, active: ActiveStage, row: dict[str, Any], logits: np.ndarray) -> None:
        """Best weights first, the checkpoint last: a process killed in between repeats the epoch and writes the same again."""
        files: dict[str, Snapshot] = {}
        score = validation_score(row)
        if score > self.state.best["score"]:
            self.state.best = {"epoch": position.epoch, "val_accuracy": row["val_accuracy"], "score": score}
            files["best"] = Snapshot.of({"network": self.shipped.state_dict(), "outputs": self.outputs})
        files[f"validation_stage{position.stage + 1}"] = Snapshot.of({"logits": torch.from_numpy(logits)})
        if self.recipe.stage_weights:
            files[f"stage{position.stage + 1}"] = Snapshot.of({"network": self.shipped.state_dict()})
        files["checkpoint"] = Snapshot.of(
            {
                "network": self.network.state_dict(),
                "averaged": self.averaged.state_dict() if self.averaged else None,
                "optimizer": active.optimizer.state_dict(),
                "schedule": active.schedule.state_dict(),
                "scaler": self.scaler.state_dict(),
                "epoch": self.state.epoch,
                "best": self.state.best,
                "history": self.state.history,
            }
        )
        history = list(self.state.history)

        def write() -> None:
            for name, snapshot in files.items():
                snapshot.write(self.folder / f"{name}.safetensors")
            self._write_history(history)

        self.writer.write(write)

    def _write_history(self, rows: list[dict[str, Any]]) -> None:
        write_csv(self.folder / "history.csv", pd.DataFrame(rows, columns=list(HISTORY_COLUMNS)))
