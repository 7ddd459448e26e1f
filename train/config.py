"""Recipes: every setting of a training, one documented line each, checked on construction with all problems reported at once."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.artifacts.labels import LabelSet
from core.artifacts.training import BLOCKS, Block
from core.errors import InvalidConfig
from train.targets import ClassList

RECIPES = Path(__file__).parent / "recipes"

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Rate = Annotated[float, Field(gt=0, le=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Stage(_Settings):
    """One stage of progressive unfreezing."""

    name: Annotated[str, Field(min_length=1)]  # shown on the history page
    unfreeze: list[Block]  # blocks that become trainable here and stay so
    epochs: Annotated[int, Field(ge=1)]
    lr: Rate  # peak learning rate of the block nearest the head
    lr_decay_per_block: Annotated[float, Field(gt=0, le=1)] = 1.0  # times this, block by block to the input
    warmup_steps: Annotated[int, Field(ge=0)] = 0  # linear warm-up before the cosine
    height: Annotated[int, Field(ge=32)]  # input size in pixels (progressive resizing: it may differ by stage)
    width: Annotated[int, Field(ge=32)]


class Augmentation(_Settings):
    """Random changes to a training photo; all zero (and scale 1) means none."""

    min_scale: Annotated[float, Field(gt=0, le=1)] = 1.0  # RandomResizedCrop: least share of the area kept
    zoom_out: Fraction = 0.0  # probability of lying smaller on a plain colour, half the time white
    max_zoom_out: Annotated[float, Field(ge=1)] = 1.7  # then each side is at most this many times longer
    max_aspect_change: Annotated[float, Field(ge=1)] = 1.0  # its aspect ratio, times or divided by at most this
    flip: Fraction = 0.0  # probability of a horizontal flip
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0  # degrees, either way
    brightness: Fraction = 0.0  # ColorJitter: factor in [1 - x, 1 + x]
    darkness: Fraction = 0.0  # probability of dim light: a factor in [0.25, 1]
    contrast: Fraction = 0.0
    saturation: Fraction = 0.0
    blur: Fraction = 0.0  # probability of losing detail: shrunk to a random size of at least half, and enlarged again
    background: Fraction = 0.0  # probability that the white around a product becomes a random colour
    erasing: Fraction = 0.0  # probability of RandomErasing
    mixup: Annotated[float, Field(ge=0)] = 0.0  # alpha of the Beta distribution (Zhang et al. 2018); 0 is off
    cutmix: Annotated[float, Field(ge=0)] = 0.0  # alpha (Yun et al. 2019); 0 is off


class Shares(_Settings):
    """What an epoch is made of, drawn with replacement."""

    photos: Annotated[int, Field(ge=1)]  # in an epoch
    products: Positive  # share of products of the classes; the shares are scaled to sum to 1
    other_products: Annotated[float, Field(ge=0)] = 0.0  # needs background_photos
    phone: Annotated[float, Field(ge=0)] = 0.0  # needs a data set of phone photos
    worn: Annotated[float, Field(ge=0)] = 0.0  # needs a data set of street photos


class DetectorTraining(_Settings):
    """How the detector's head is taught on the finished network; needs a data set of street photos, and is left out without."""

    scenes: Annotated[int, Field(ge=1)] = 1800  # at most; 540 street photos give 1,782
    epochs: Annotated[int, Field(ge=1)] = 9  # over all scenes
    batch_size: Annotated[int, Field(ge=1)] = 12  # scenes of one shape
    lr: Positive = 2e-3  # the highest of one cycle
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1  # of channels of the features
    background_weight: Positive = 0.6  # of the background in the cross-entropy
    garment_weight: Positive = 1.4  # of garments
    other_weight: Positive = 0.8  # of whatever else people wear, and of the person
    seed: Annotated[int, Field(ge=0)] = 0


class Recipe(_Settings):
    """Everything that decides the outcome of a training, apart from the data."""

    name: Annotated[str, Field(min_length=1)]
    classes: str = "garments15"  # a file of train/classes, without its suffix
    stages: Annotated[list[Stage], Field(min_length=1)]
    frozen: list[Block] = []  # blocks that no stage unfreezes
    batch_size: Annotated[int, Field(ge=2)] = 64  # over all processes together
    accumulation: Annotated[int, Field(ge=1)] = 1  # parts of a batch that pass one after another, to save memory
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-4
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.05
    coarse_sharpness: Annotated[float, Field(ge=1)] = (
        1.0  # above 1, a coarse label asks for one of its classes rather than for any mixture
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.4
    sampler: Literal["natural", "square_root", "inverse"] = "natural"  # class frequencies seen in an epoch
    shares: Shares | None = None  # of an epoch; without it, an epoch is every product of the classes once
    background_photos: Annotated[int, Field(ge=0)] = (
        0  # other article types with this many photos or more get an output each; 0 is off
    )
    augmentation: Augmentation = Augmentation()
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of the weights that are validated and shipped; 0 is off
    output_stride: Literal[16, 32] = (
        32  # pixels of the input a cell of the last block's maps stands for; 16 dilates layer4
    )
    precision: Literal["float32", "bfloat16", "float16"] = (
        "float32"  # autocast on CUDA, and bfloat16 on processors that compute in it
    )
    detector: DetectorTraining | None = None  # taught after the network, which it leaves as it is
    compile: bool = False  # torch.compile on CUDA
    stage_weights: bool = (
        False  # keep the weights after each stage (47 MB each): the history page shows heat maps of before and after
    )
    early_stopping: Annotated[int, Field(ge=0)] = (
        0  # ends a stage after this many epochs without a better one; 0 is off
    )
    custom_ids_from: int = 60001  # rows with this id or a higher one go to training only
    val_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.09
    test_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.10
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _every_block_once(self) -> Recipe:
        """Each block is unfrozen by one stage or named frozen."""
        named = [block for stage in self.stages for block in stage.unfreeze] + list(self.frozen)
        missing = [block for block in BLOCKS if block not in named]
        twice = sorted({block for block in named if named.count(block) > 1})
        if missing:
            raise ValueError(f"no stage unfreezes {', '.join(missing)}; add to a stage or to `frozen`")
        if twice:
            raise ValueError(f"{', '.join(twice)} named more than once")
        return self

    @model_validator(mode="after")
    def _whole_micro_batches(self) -> Recipe:
        """The batch divides into equal parts."""
        if self.batch_size % self.accumulation:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of accumulation {self.accumulation}")
        return self

    @model_validator(mode="after")
    def _background_to_learn(self) -> Recipe:
        """Other products train only where there are outputs for them."""
        if self.shares and self.shares.other_products and not self.background_photos:
            raise ValueError("shares.other_products needs background_photos, the outputs that learn them")
        return self

    @property
    def epochs(self) -> int:
        """Epochs of all stages together."""
        return sum(stage.epochs for stage in self.stages)

    def class_list(self) -> ClassList:
        """What `train/classes` holds under the name in `classes`. Raises InvalidConfig if there is none."""
        return ClassList.load(self.classes)

    def labels(self) -> LabelSet:
        """The classes. Raises InvalidConfig as `class_list` does."""
        return self.class_list().labels


def parse_recipe(settings: dict[str, Any], source: str) -> Recipe:
    """A checked recipe from plain settings.

    Raises:
        InvalidConfig: unknown keys, wrong types or impossible values; the message lists them all.
    """
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']} (got {e['input']!r:.60})" for e in error.errors()
        ]
        raise InvalidConfig(f"{len(lines)} problem(s) in {source}:\n" + "\n".join(lines)) from None


def load_recipe(name_or_path: str) -> Recipe:
    """A recipe from a file, or by the name of one in `train/recipes`. Raises InvalidConfig."""
    is_name = Path(name_or_path).stem == name_or_path  # neither a folder nor a suffix
    path = RECIPES / f"{name_or_path}.toml" if is_name else Path(name_or_path)
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise InvalidConfig(f"There is no recipe at {path}. Give a TOML file or one of: {known}.") from None
    except (OSError, ValueError) as error:
        raise InvalidConfig(f"{path} cannot be read as TOML: {error}") from None
    return parse_recipe(settings, str(path))
