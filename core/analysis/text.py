"""Trainings in words: sentences and headings of the history page and of its report, plain text without markup."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from core.analysis.history import gain_by_unfreezing, gap, shown_names, stage_table
from core.artifacts.training import IN_TRAINING, Training, resume_command, status

OVERFITTING, UNDERFITTING = 0.05, -0.02  # gap of training over validation accuracy; augmentation makes it negative
RISE = 0.01  # of training accuracy after the best epoch; more than that without gain in validation is learning by heart
# Settings that make training photos harder than validation photos, and the targets further away.
HARDER = {
    "label_smoothing": "label smoothing",
    "dropout": "dropout",
    "augmentation.mixup": "mixup",
    "augmentation.cutmix": "cutmix",
}
# Headings of the tables of `core.artifacts.training`.
HEADINGS = {
    "run_id": "Id",
    "run": "Run",
    "status": "Status",
    "made": "Made",
    "recipe": "Recipe",
    "input": "Input",
    "initial_weights": "Initial weights",
    "best_validation": "Best validation",
    "best_epoch": "at epoch",
    "epochs": "Epochs",
    "test_accuracy": "Test",
    "test_low": "from",
    "test_high": "to",
    "images_per_second": "Images/s",
    "hours": "Hours",
    "device": "Device",
    "stage": "Stage",
    "name": "Unfrozen",
    "trainable_parameters": "Trainable parameters",
    "peak_lr": "Learning rate",
    "final_train": "Final training",
    "final_validation": "Final validation",
    "minutes": "Minutes",
    "gain": "Gain",
    "epoch": "Epoch",
    "stage_name": "Unfrozen",
    "lr": "Learning rate",
    "train_loss": "Training loss",
    "train_accuracy": "Training accuracy",
    "val_loss": "Validation loss",
    "val_accuracy": "Validation accuracy",
    "val_macro_f1": "Macro-F1",
    "images": "Images",
    "seconds": "Seconds",
    "setting": "Setting",
    "class": "Class",
    "train": "Training",
    "val": "Validation",
    "test": "Test",
    "photos": "Photos",
}


def headline(training: Training) -> str:
    """What the training reached, in one sentence."""
    best = training.best
    if best is None:
        return "No epoch has been validated yet."
    words = f"{training.best_accuracy:.2%} of the validation photos named right, at epoch {best['epoch']:.0f} of {len(training.epochs)}"
    if not math.isnan(gain_by_unfreezing(training)):
        first = stage_table(training).iloc[0]
        words += f", up from {first['best_validation']:.2%} in stage 1 ({first['name']})"
    return f"{words}, so far." if training.progress else f"{words}."


def went_on_from(training: Training, found: list[Training]) -> str:
    """What a training went on from that began with the network of another one found; empty if it did not."""
    names = shown_names(found)
    before = next((other for other in found if other.run_id == training.initial_weights), None)
    if before is None:
        return ""
    reached = "" if before.best is None else f" (best validation {before.best_accuracy:.2%})"
    return f"It went on from {names[before.run_id]}{reached}, so stage 1 starts high and unfreezing gains less."


def which_validation(training: Training) -> str:
    """What the validation figures of the history are, beside those of the network as served where they are known."""
    said = "Validation here is as measured after each epoch, while it trained."
    served = training.manifest.get("quantisation", {})
    if not served.get("accepted"):
        return said
    return (
        f"{said} The network of the best epoch, as finished, names {served['float32']:.1%} right in floating point and "
        f"{served['int8']:.1%} as served on a processor, in 8 bits."
    )


def losses_in_words(training: Training) -> str:
    """Why training loss lies above validation loss, by the settings; empty where it does not or they do not say."""
    last, config = training.epochs.iloc[-1], training.config
    if not last["train_loss"] > last["val_loss"]:
        return ""
    reasons = [f"{name} {config[key]:g}" for key, name in HARDER.items() if config.get(key)]
    if any(key.startswith("augmentation.") for key in config):
        reasons.append("augmentation")
    if not reasons:
        return ""
    return f"Training loss lies above validation loss because only training has {_enumerated(reasons)}."


def _enumerated(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def circumstances(training: Training) -> str:
    """In which state, how long, how fast and on what it was trained, as far as known."""
    facts = [status(training).capitalize()]
    if training.epochs.empty:
        return f"{facts[0]}."
    stages = len(stage_table(training))
    facts.append(f"{stages} stage{'' if stages == 1 else 's'}")
    if not math.isnan(training.seconds):
        facts.append(f"{duration(training.seconds)} of training")
    if not math.isnan(training.images_per_second):
        facts.append(f"{training.images_per_second:.1f} images/s")
    return f"{', '.join(facts)}, on {training.epochs['device'].iloc[-1]}."


def unfinished(training: Training) -> str:
    """How a run stands that is not finished, and how to go on where its trainer does not."""
    told, state = training.progress, status(training)
    if state == IN_TRAINING:
        return (
            f"still in training, stage {told['stage']} of {told['stages']}."
            if "stage" in told
            else "still in training."
        )
    return f"{state} before the end. Go on with `{resume_command(training.folder)}`."


def duration(seconds: float) -> str:
    """A time for people: `42 s`, `7 min`, `2 h 05 min`; `unknown` for NaN."""
    if math.isnan(seconds):
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


def comparison(trainings: list[Training]) -> str:
    """Which of several trainings is best, by how much, and whether that can be said at all; empty if fewer than two are known."""
    names = shown_names(trainings)
    known = sorted(
        (training.best_accuracy, names[training.run_id]) for training in trainings if training.best is not None
    )
    if len(known) < 2:
        return ""
    (second, runner_up), (first, winner) = known[-2:]
    words = f"Best of {len(known)}: {winner} with {first:.2%}, {100 * (first - second):.2f} points over {runner_up}."
    if _same_photos(trainings):
        return words
    return f"{words} They were not validated on the same photos, so small differences say little."


def _same_photos(trainings: list[Training]) -> bool:
    """Whether all were split from the same data, with the same shares and seed, as far as known."""
    prints = {
        (t.manifest.get("data_fingerprint") or t.data.get("fingerprint"),)
        + tuple(t.config.get(name) for name in ("val_fraction", "test_fraction", "seed"))
        for t in trainings
    }
    return len(prints) == 1 and None not in next(iter(prints))


def gap_in_words(epochs: pd.DataFrame) -> str:
    """What the last known epoch says about over- and underfitting, and what the epochs since the best one do."""
    known = epochs.loc[gap(epochs).notna(), ["epoch", "train_accuracy", "val_accuracy"]]
    if len(known) == 0:
        return "Neither over- nor underfitting can be told: training or validation accuracy is unknown."
    best, last = known.loc[known["val_accuracy"].idxmax()], known.iloc[-1]
    difference = last["train_accuracy"] - last["val_accuracy"]
    rise = last["train_accuracy"] - best["train_accuracy"]
    side = "above" if difference >= 0 else "below"
    where = f"At epoch {last['epoch']:.0f} training accuracy is {abs(100 * difference):.1f} points {side} validation"
    if difference > OVERFITTING:
        return f"{where}: the network has begun to learn its photos by heart (overfitting)."
    if difference > 0 and rise > RISE:
        since = f"Since epoch {best['epoch']:.0f} training has gained {100 * rise:.1f} points and validation none"
        return f"{where}. {since}: a first sign of overfitting, though the gap is below {100 * OVERFITTING:.0f} points."
    if difference < UNDERFITTING:
        return (
            f"{where}: training photos are made harder by augmentation, and the network could take more training "
            "(underfitting rather than overfitting)."
        )
    return f"{where}: neither over- nor underfitting."


def data_in_words(data: dict[str, Any]) -> list[str]:
    """What is known of a training's photos, in sentences: sources, sizes, near-duplicates, custom photos."""
    sentences = []
    if "photos" in data:
        known = f", {data['in_scope']:,} of them of these classes" if "in_scope" in data else ""
        sources = ", ".join(data.get("sources", ["an unknown source"]))
        sentences.append(f"{data['photos']:,} photos{known}, from {sources}.")
    if data.get("near_duplicates"):
        twins = data["near_duplicates"]
        sentences.append(
            f"{twins['photos']:,} photos are near-duplicates, in {twins['groups']:,} groups; a group never straddles two splits."
        )
    return sentences + _custom_in_words(data.get("custom", {}))


def _custom_in_words(custom: dict[str, Any]) -> list[str]:
    if not custom:
        return []
    if not custom.get("appended", custom.get("loaded")):
        return [f"No custom photos (ids from {custom['ids_from']}) were appended to the catalogue."]
    of = f" of {custom['appended']}" if "appended" in custom else ""
    failed = f" Failed: ids {', '.join(map(str, custom['failed']))}." if custom.get("failed") else ""
    return [
        f"{custom['loaded']}{of} custom photos (ids from {custom['ids_from']}) were loaded; all of them only train.{failed}"
    ]
