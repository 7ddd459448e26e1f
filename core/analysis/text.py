"""Trainings in words: sentences and headings of the history page and of its report, plain text without markup."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from scipy.stats import fisher_exact

from core.analysis.comparison import Comparison
from core.analysis.history import FALLS, falling, gain_by_unfreezing, gap, not_finite, shown_names, stage_table
from core.analysis.slices import SIGNIFICANCE
from core.artifacts.data_report import CustomPhotos, DataReport
from core.artifacts.heartbeat import IN_TRAINING
from core.artifacts.training import ELSEWHERE, Training, resume_command, status

OVERFITTING, UNDERFITTING = 0.05, -0.02  # gap of training over validation accuracy; augmentation makes it negative
RISE = 0.01  # of training accuracy after the best epoch; more without a gain in validation is a sign of overfitting
# Settings that make training photos harder than validation photos, and the targets further away.
HARDER = {
    "label_smoothing": "label smoothing",
    "dropout": "dropout",
    "augmentation.mixup": "mixup",
    "augmentation.cutmix": "cutmix",
}
# Headings of the tables of `core.analysis.history` and `core.analysis.stages`.
HEADINGS = {
    "run_id": "ID",
    "run": "Run",
    "status": "Status",
    "made": "Date",
    "recipe": "Recipe",
    "input": "Input",
    "initial_weights": "Initial weights",
    "best_validation": "Best validation",
    "best_low": "Lowest",
    "best_high": "Highest",
    "best_epoch": "Best epoch",
    "epochs": "Epochs",
    "test_accuracy": "Test",
    "test_low": "Test, low",
    "test_high": "Test, high",
    "images_per_second": "Images/s",
    "hours": "Hours",
    "device": "Device",
    "stage": "Stage",
    "name": "Unfrozen",
    "trainable_parameters": "Parameters",
    "peak_lr": "Learning rate",
    "final_train": "Final training",
    "final_validation": "Final validation",
    "minutes": "Minutes",
    "gain": "Gain",
    "gain_low": "Gain, low",
    "gain_high": "Gain, high",
    "n": "n",
    "became_correct": "Gained",
    "became_incorrect": "Lost",
    "p": "p",
    "epoch": "Epoch",
    "stage_name": "Unfrozen",
    "lr": "Learning rate",
    "train_loss": "Training loss",
    "train_accuracy": "Training accuracy",
    "val_loss": "Validation loss",
    "val_accuracy": "Validation accuracy",
    "val_macro_f1": "Macro-F1",
    "val_phone_accuracy": "Phone photos",
    "val_worn_accuracy": "Worn garments",
    "update_to_weight": "Update-to-weight ratio",
    "peak_memory_mib": "Peak memory (MiB)",
    "busy_cores": "Busy cores",
    "energy_wh": "Energy (Wh)",
    "images": "Images",
    "seconds": "Seconds",
    "setting": "Setting",
    "before": "Before",
    "after": "After",
    "class": "Class",
    "label": "True class",
    "product": "Product",
    "id": "ID",
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
    where = f"{best['epoch']:.0f} of {len(training.epochs)}"
    sentence = f"Best validation accuracy {training.best_accuracy:.2%} (epoch {where})"
    if _known_elsewhere(training):
        sentence = f"Validation accuracy {training.best_accuracy:.2%} in the best epoch ({where})"
    if not math.isnan(gain_by_unfreezing(training)):
        first = stage_table(training).iloc[0]
        sentence += f", up from {first['best_validation']:.2%} in stage 1 ({first['name']})"
    return f"{sentence}, so far." if training.heartbeat else f"{sentence}."


def _known_elsewhere(training: Training) -> bool:
    """Whether the best epoch was chosen by photos from elsewhere too."""
    return training.knows(*ELSEWHERE)


def continued_from(parts: list[Training]) -> str:
    """Which trainings the last one of a lineage continued from, the nearest first; empty if from none."""
    names = shown_names(parts)
    before = [f"{names[part.run_id]} ({_best(part)})" for part in reversed(parts[:-1])]
    return f"Continued from {', which continued from '.join(before)}." if before else ""


def _best(training: Training) -> str:
    return "no epoch validated" if training.best is None else f"best validation {training.best_accuracy:.2%}"


def which_validation(training: Training) -> str:
    """What the validation figures of the history are, beside those of the network as served where they are known."""
    served = training.facts and training.facts.quantisation
    measured = "Validation accuracy is measured after each epoch."
    if _known_elsewhere(training):
        measured += " The best epoch has the highest mean over products, phone photos and worn garments."
    if not (served and served.accepted):
        return measured
    return (
        f"{measured} The finished network reaches {served.float32:.1%} in floating point and "
        f"{served.int8:.1%} as served on a processor (8-bit integers)."
    )


def total_in_words(training: Training) -> str:
    """How a published total relates to the epochs that are known; empty where nothing is unknown."""
    seconds = training.column("seconds")
    unknown, known = training.column("epoch")[seconds.isna()], seconds[seconds.notna()]
    if not len(unknown) or not len(known) or math.isnan(training.seconds):
        return ""
    epochs = enumerated([f"{epoch:.0f}" for epoch in unknown])
    are = "epoch {} is" if len(unknown) == 1 else "epochs {} are"
    return (
        f"Training time is the published total of {training.seconds:,.0f} s; the {len(known)} epochs with a known time sum to "
        f"{known.sum():,.1f} s, and {are.format(epochs)} unknown."
    )


def why_training_loss_is_higher(training: Training) -> str:
    """Why training loss is above validation loss, by the settings; empty where it is not or they do not say."""
    last, config = training.epochs.iloc[-1], training.config
    if not last["train_loss"] > last["val_loss"]:
        return ""
    reasons = [f"{name} {config[key]:g}" for key, name in HARDER.items() if config.get(key)]
    if any(key.startswith("augmentation.") for key in config):
        reasons.append("augmentation")
    return f"Training loss is above validation loss because of {enumerated(reasons)}." if reasons else ""


def enumerated(words: list[str]) -> str:
    """Words with commas and "and"."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def circumstances(training: Training) -> str:
    """In which state, how long, how fast and on what it was trained, as far as known."""
    facts = [status(training).capitalize()]
    if training.epochs.empty:
        return f"{facts[0]}."
    stages = len(set(training.epochs["stage"]))
    facts.append(f"{stages} stage{'' if stages == 1 else 's'}")
    if not math.isnan(training.seconds):
        facts.append(f"{duration(training.seconds)} of training")
    if not math.isnan(training.images_per_second):
        facts.append(f"{training.images_per_second:.1f} images/s")
    device = training.epochs["device"].iloc[-1]
    return f"{', '.join(facts)}, on {device}." if device else f"{', '.join(facts)}."


def alarms(training: Training) -> list[str]:
    """What is going wrong in a training, in sentences."""
    sentences = []
    if falling(training):
        sentences.append(f"Validation accuracy has fallen for {FALLS} epochs in a row. Consider a lower learning rate.")
    if bad := not_finite(training):
        epochs = enumerated([f"{epoch:.0f}" for epoch in bad])
        sentences.append(f"The loss is not finite in epoch {epochs}. Lower the learning rate and train again.")
    return sentences


def p_in_words(p: float) -> str:
    """A p-value, such as `p = 0.42` or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def p_value(p: float) -> str:
    """A p-value for a table, such as `0.342` or `< 0.001`; empty for NaN."""
    return "" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def stage_in_words(stage: dict[str, Any]) -> str:
    """What a stage trained and took, as far as known: a row of `core.analysis.history.stage_table`."""
    facts = [f"{stage['epochs']} epoch{'' if stage['epochs'] == 1 else 's'}"]
    if not math.isnan(stage["trainable_parameters"]):
        facts.append(f"{stage['trainable_parameters']:,.0f} trainable parameters")
    if not math.isnan(stage["peak_lr"]):
        facts.append(f"learning rate up to {stage['peak_lr']:.3g}")
    if stage["input"]:
        facts.append(f"input {stage['input']}")
    return f"{', '.join(facts)}."


def change_in_words(change: Comparison) -> str:
    """What a stage changed on the validation photos, and whether that is more than chance."""
    better, worse = change.only_b, change.only_a
    photos = f"{better + worse:,} of {len(change.rows_a):,} validation photos changed: {better:,} became correct, {worse:,} incorrect"
    verdict = "a significant difference" if change.p < SIGNIFICANCE else "no significant difference"
    return f"{photos}. That is {verdict} (McNemar {p_in_words(change.p)})."


def part_change_in_words(change: Comparison, before: str, after: str) -> str:
    """What a training changed on the test photos of the one it continued from."""
    verdict = "significant" if change.p < SIGNIFICANCE else "no significant difference"
    return (
        f"{before} → {after}: of {len(change.rows_a):,} test photos {change.only_b:,} became correct and {change.only_a:,} incorrect "
        f"({verdict}, McNemar {p_in_words(change.p)})."
    )


def repeats_in_words(trainings: list[Training]) -> str:
    """What trainings of one recipe with other seeds say of its noise."""
    best = [training.best_accuracy for training in trainings]
    mean, spread = sum(best) / len(best), max(best) - min(best)
    return (
        f"{len(best)} trainings of this recipe: best validation accuracy {mean:.2%} on average, {min(best):.2%} to {max(best):.2%}. "
        f"Differences below {100 * spread:.2f} points are within the noise of the seed."
    )


def against_published(training: Training, published: Training) -> str:
    """Test accuracy against the published one, with a test; empty where one of the two is unknown.

    The publication gives a range and no number of test photos. The test takes the upper end of the range, and the share of its photos
    that its settings name for testing.
    """
    ours, theirs, share = training.test_accuracy, published.test_accuracy, published.config.get("test_fraction")
    photos, published_photos = training.metrics.test.photos, published.data.photos
    if ours.value is None or theirs.high is None or not (share and photos and published_photos):
        return ""
    n = round(share * published_photos)
    right, published_right = round(ours.value * photos), round(theirs.high * n)
    p = float(fisher_exact([[right, photos - right], [published_right, n - published_right]])[1])  # type: ignore[arg-type]
    verdict = "a significant difference" if p < SIGNIFICANCE else "no significant difference"
    return (
        f"Test accuracy {ours.value:.2%} of {photos:,} photos against {theirs.as_published} as published: {verdict} "
        f"(Fisher's exact test, {p_in_words(p)}, taking the published {theirs.high:.0%} of about {n:,} photos). The test photos "
        "are not the same."
    )


def unfinished(training: Training) -> str:
    """How a run stands that is not finished, and how to continue where its trainer does not."""
    told, state = training.heartbeat, status(training)
    if told and state == IN_TRAINING:
        return f"still in training, stage {told.stage} of {told.stages}." if told.stage else "still in training."
    return f"{state} before the end. Continue with `{resume_command(training.folder)}`."


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
    words = f"Best of {len(known)}: {winner} with {first:.2%}, {100 * (first - second):.2f} points above {runner_up}."
    if _same_photos(trainings):
        return words
    return f"{words} They were not validated on the same photos, so small differences mean little."


def _same_photos(trainings: list[Training]) -> bool:
    """Whether all were split from the same data, with the same shares and seed, as far as known."""
    prints = {
        (t.data_fingerprint or None,) + tuple(t.config.get(name) for name in ("val_fraction", "test_fraction", "seed"))
        for t in trainings
    }
    return len(prints) == 1 and None not in next(iter(prints))


def gap_in_words(epochs: pd.DataFrame) -> str:
    """What the last known epoch says about over- and underfitting, and what the epochs since the best one do."""
    known = epochs.loc[gap(epochs).notna(), ["epoch", "train_accuracy", "val_accuracy"]]
    if len(known) == 0:
        return "Overfitting cannot be judged: training or validation accuracy is unknown."
    best, last = known.loc[known["val_accuracy"].idxmax()], known.iloc[-1]
    difference = last["train_accuracy"] - last["val_accuracy"]
    rise = last["train_accuracy"] - best["train_accuracy"]
    side = "above" if difference >= 0 else "below"
    where = f"At epoch {last['epoch']:.0f} training accuracy is {abs(100 * difference):.1f} points {side} validation"
    if difference > OVERFITTING:
        return f"{where}: overfitting."
    if difference > 0 and rise > RISE:
        since = f"Since epoch {best['epoch']:.0f} training gained {100 * rise:.1f} points and validation none"
        return f"{where}. {since}: a first sign of overfitting, though the gap is below {100 * OVERFITTING:.0f} points."
    if difference < UNDERFITTING:
        return f"{where}: augmentation makes training photos harder, and more training could help (underfitting)."
    return f"{where}: neither over- nor underfitting."


def data_in_words(data: DataReport) -> list[str]:
    """What is known of a training's photos, in sentences: sources, sizes, near-duplicates, custom photos."""
    sentences: list[str] = []
    if data.photos is not None:
        known = "" if data.in_scope is None else f", {data.in_scope:,} of them of these classes"
        sources = ", ".join(data.sources) or "an unknown source"
        sentences.append(f"{data.photos:,} photos{known}, from {sources}.")
    if twins := data.near_duplicates:
        sentences.append(
            f"{twins.photos:,} photos are near-duplicates, in {twins.groups:,} groups; each group lies in one split."
        )
    return sentences + _custom_in_words(data.custom)


def _custom_in_words(custom: CustomPhotos | None) -> list[str]:
    if custom is None:
        return []
    if not (custom.loaded if custom.appended is None else custom.appended):
        return [f"No custom photos (ids from {custom.ids_from}) were appended to the catalogue."]
    of = "" if custom.appended is None else f" of {custom.appended}"
    failed = f" Failed: ids {', '.join(map(str, custom.failed))}." if custom.failed else ""
    return [f"{custom.loaded}{of} custom photos (ids from {custom.ids_from}) were loaded, for training only.{failed}"]
