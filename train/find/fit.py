"""Teach the detector's head from features on disk: epochs over scenes grouped by shape, a checkpoint after each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from train.batches import epoch_seed
from train.checkpoint import load_checkpoint, save_checkpoint
from train.config import DetectorTraining
from train.find.head import DetectorHead, loss
from train.loop import autocast_type
from train.meter import meter

Scenes = Sequence[dict[str, Tensor]]

CHECKPOINT = "head.safetensors"


def fit(scenes: Scenes, n_groups: int, garments: int, training: DetectorTraining, folder: Path) -> DetectorHead:
    """A head for the scenes' projected maps; goes on from the checkpoint in `folder` if there is one.

    Args:
        scenes: as `train.find.features.stored` makes them.
        n_groups: the background among them.
        garments: how many groups after the background are garments.
        training: settings.
        folder: for the checkpoint.
    """
    torch.manual_seed(training.seed)
    head = DetectorHead(n_groups, [len(scenes[0][f"maps{i}"]) for i in range(3)], training.dropout)
    optimizer = torch.optim.AdamW(head.parameters(), training.lr, weight_decay=training.weight_decay)
    steps = len(_batches(scenes, training, 0))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.lr, total_steps=steps * training.epochs)
    done = _resume(folder / CHECKPOINT, head, optimizer, schedule)
    others = n_groups - 1 - garments
    weights = [training.background_weight, *[training.garment_weight] * garments, *[training.other_weight] * others]
    group_weights = torch.tensor(weights)
    autocast = autocast_type(torch.device("cpu"), "bfloat16")
    for epoch in range(done, training.epochs):
        losses: list[float] = []
        random = np.random.default_rng(epoch_seed(training.seed, epoch, 1))
        torch.manual_seed(epoch_seed(training.seed, epoch, 2))  # of dropout
        bar = meter(_batches(scenes, training, epoch), f"detector, epoch {epoch + 1}/{training.epochs}", "batches")
        for numbers in bar:
            *maps, groups, boxes = _batch([scenes[i] for i in numbers], bool(random.integers(2)))
            with torch.autocast("cpu", autocast, enabled=autocast is not None):
                outputs = head(*maps)
            value = loss(outputs.float(), groups, boxes, group_weights)
            optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            losses.append(value.item())
            bar.set_postfix_str(f"loss {np.mean(losses):.3f}", refresh=False)
        state = {"epoch": epoch + 1, "head": head.state_dict(), "optimizer": optimizer.state_dict()}
        save_checkpoint(state | {"schedule": schedule.state_dict()}, folder / CHECKPOINT)
    return head.eval()


def _resume(
    path: Path,
    head: DetectorHead,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> int:
    """Put back what the checkpoint holds, if there is one; returns the epochs done."""
    if not path.exists():
        return 0
    state = load_checkpoint(path)
    head.load_state_dict(state["head"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return state["epoch"]


def _batches(scenes: Scenes, training: DetectorTraining, epoch: int) -> list[list[int]]:
    """Batches of one epoch, as positions in `scenes`, each of one shape, in random order."""
    random = np.random.default_rng(epoch_seed(training.seed, epoch))
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i in random.permutation(len(scenes)):
        by_shape[tuple(scenes[i]["groups"].shape)].append(int(i))
    size = training.batch_size
    batches = [members[i : i + size] for members in by_shape.values() for i in range(0, len(members), size)]
    return [batches[i] for i in random.permutation(len(batches))]


def _batch(scenes: Scenes, mirrored: bool) -> list[Tensor]:
    """Maps of three layers, groups and boxes of scenes of one shape, left for right if `mirrored`."""
    maps = [torch.stack([scene[f"maps{i}"] for scene in scenes]).float() for i in range(3)]
    groups = torch.stack([scene["groups"] for scene in scenes])
    boxes = torch.stack([scene["boxes"] for scene in scenes]).float()
    if mirrored:
        maps, groups = [values.flip(3) for values in maps], groups.flip(2)
        left, top, right, bottom = boxes.flip(2).unbind(3)
        there = right > 0
        boxes = torch.stack([torch.where(there, 1 - right, 0), top, torch.where(there, 1 - left, 0), bottom], dim=3)
    return [*maps, groups, boxes]
