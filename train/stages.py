"""Progressive unfreezing: which parameters train in a stage, at what rate, and how frozen blocks stay frozen."""

from __future__ import annotations

import math

import torch
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]  # the base of every kind

from core.errors import InvalidConfig
from core.inference.model import BLOCKS, GarmentNet, block_of
from train.batches import epoch_size
from train.config import Recipe, Stage


def trainable_blocks(recipe: Recipe, stage: int) -> tuple[str, ...]:
    """Blocks that train in a stage (counted from 0), from the input to the output."""
    unfrozen = {block for earlier in recipe.stages[: stage + 1] for block in earlier.unfreeze}
    return tuple(block for block in BLOCKS if block in unfrozen)


def freeze(network: GarmentNet, blocks: tuple[str, ...]) -> int:
    """Make exactly the parameters of `blocks` trainable; return how many numbers they hold.

    Autograd keeps no activation below the lowest trainable block, since nothing there requires a gradient.

    Raises:
        InvalidConfig: a parameter belongs to no block; the message lists all of them.
    """
    unknown = []
    for name, parameter in network.named_parameters():
        try:
            parameter.requires_grad_(block_of(name) in blocks)
        except KeyError:
            unknown.append(name)
        if not parameter.requires_grad:
            parameter.grad = None
    if unknown:
        raise InvalidConfig(f"These parameters belong to no block of core.inference.model.BLOCKS: {', '.join(unknown)}")
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def train_mode(network: GarmentNet, blocks: tuple[str, ...]) -> None:
    """Training mode for the trainable blocks and the dropout; frozen BatchNorm stays in eval mode and keeps its statistics."""
    network.train()
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm) and block_of(name) not in blocks:
            module.eval()


def stage_steps(recipe: Recipe, stage: int, photos: int) -> int:
    """Optimizer steps of a stage (counted from 0), given the number of photos to train on."""
    return recipe.stages[stage].epochs * max(1, epoch_size(photos, recipe) // recipe.batch_size)


def check_warmup(recipe: Recipe, photos: int) -> None:
    """Raise InvalidConfig if the warm-up of a stage takes all of its steps, so that its rate would never be reached."""
    for number, stage in enumerate(recipe.stages):
        steps = stage_steps(recipe, number, photos)
        if stage.warmup_steps >= steps:
            raise InvalidConfig(
                f"Stage {number + 1} ({stage.name}) warms up for {stage.warmup_steps} steps, and has {steps} in all with {photos} photos: "
                f"it would never reach its learning rate. Set warmup_steps below {steps}, or give it more epochs."
            )


def parameter_groups(network: GarmentNet, stage: Stage, blocks: tuple[str, ...]) -> list[dict[str, object]]:
    """Optimizer groups of a stage: a rate for each block, no weight decay on biases and BatchNorm (one-dimensional parameters)."""
    groups = []
    for depth, block in enumerate(reversed(blocks)):
        lr = stage.lr * stage.lr_decay_per_block**depth
        members = [parameter for name, parameter in network.named_parameters() if block_of(name) == block]
        decayed = [parameter for parameter in members if parameter.ndim > 1]
        groups.append({"params": decayed, "lr": lr})
        groups.append(
            {"params": [parameter for parameter in members if parameter.ndim <= 1], "lr": lr, "weight_decay": 0.0}
        )
    return groups


def cosine_schedule(optimizer: torch.optim.Optimizer, warmup: int, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up over `warmup` steps, then a half cosine to zero at `steps` (Loshchilov and Hutter 2017)."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
