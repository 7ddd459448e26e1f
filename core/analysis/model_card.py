"""The model card of a run as Markdown, from its run folder alone: what it is for, what it is worth, and for whom it is worth less.

A section appears only where the run's files hold what it reports. After Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.glossary import TERMS
from core.analysis.metrics import wilson_interval
from core.analysis.text import data_in_words, duration
from core.artifacts.predictions import Predictions, prediction_file, read_predictions
from core.artifacts.run import Run
from core.artifacts.training import Training, finished
from core.errors import BrokenRun

FEW_TRAINING_PHOTOS = 50
CPU_WATTS = 42.5  # CodeCarbon 3.3.1 for a processor it does not know: 85 W, half of them drawn on average
COLOUR_GROUPS = {
    "black": ("Black", "Charcoal"),
    "grey and silver": ("Grey", "Grey Melange", "Silver", "Steel", "Metallic"),
    "white": ("White", "Off White", "Cream", "Nude", "Skin"),
    "brown and beige": (
        "Brown", "Beige", "Khaki", "Tan", "Coffee Brown", "Mushroom Brown", "Taupe", "Bronze", "Copper", "Rust",
    ),
    "red and pink": ("Red", "Maroon", "Burgundy", "Pink", "Rose", "Peach", "Magenta"),
    "yellow and orange": ("Yellow", "Mustard", "Gold", "Orange"),
    "green": ("Green", "Olive", "Sea Green", "Lime Green", "Fluorescent Green"),
    "blue": ("Blue", "Navy Blue", "Turquoise Blue", "Teal"),
    "purple": ("Purple", "Lavender", "Mauve"),
}  # fmt: skip
OTHER_COLOUR = "several, other or not stated"
INTENDED_USE = """It is meant for sorting catalogue photos and for teaching: one garment in a photo, or in a box drawn round it, is named as
one of the kinds below, with a probability and a heat map. A person should look at answers that matter.

It is not meant for anything about people: it knows nothing of who wears a garment, of bodies, gender, faith or rank, and no decision
on a person should rest on it. It is no search for brands, sizes or prices, and no guard against forgeries. The words for gender below
are words of product names, not of persons."""

CITATIONS = """- Photos: Param Aggarwal, "Fashion Product Images (Small)", Kaggle, https://www.kaggle.com/datasets/paramaggarwal/fashion-product-images-small.
- Network: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
- Explanations: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017."""


def model_card(run: Run) -> str:
    """The card of a run that carries a network.

    Raises:
        BrokenRun: the run has no network, or one of its files is missing or damaged.
    """
    if not run.has_network:
        raise BrokenRun(f"The run {run.run_id} has no network, so there is no model to describe. Name a measured run.")
    training, stem = finished(run), prediction_file(run)
    predictions = read_predictions(run.path(stem), stem, run.labels) if stem else None
    sections = (
        _head(run),
        _section("Intended use", INTENDED_USE),
        _section("Data", _data(training)),
        _section("Results", _results(training.metrics)),
        _section("By kind", _by_kind(training.metrics)),
        *(_slices(predictions) if predictions else ()),
        _section("Photos from phones", _phone(training.metrics)),
        _section("Garments found in photos", _detector(training.metrics)),
        _section("Photos taken otherwise", robustness_table(training.metrics)),
        _section("All product types", _all_types(training.metrics)),
        _section("Attributes", _attributes(training.metrics)),
        _section("Photos of other things", _in_scope(run, training.metrics)),
        _section("Calibration", _calibration(run, training.metrics)),
        _section("Speed", _speed(run, training.metrics)),
        _section("Limits", _limits(training)),
        _section("Energy", _energy(training)),
        _section("Citing", CITATIONS),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""


def _rate(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or pd.isna(value):
        return "n=0"
    return f"{value:.1%} ({low:.1%} to {high:.1%})"


def _head(run: Run) -> str:
    manifest, size = run.manifest, run.manifest["input"]
    commit = f", commit `{manifest['git_commit'][:12]}`" if manifest.get("git_commit") else ""
    background = len(manifest.get("background", ()))
    others = f" for the kinds and {background} for other products," if background else ""
    return (
        f"# Model card: {manifest['name']}\n\n"
        f"Made from the files of run `{run.run_id}` by `python -m core card`; intervals are 95% Wilson intervals.\n\n"
        f"A ResNet50 with {len(run.labels)} outputs{others} for photos of {size['height']}x{size['width']} pixels (height x width), "
        f"trained by the `{manifest.get('recipe')}` recipe from `{manifest.get('initial_weights')}`, {manifest['created'][:10]}{commit}."
    )


def _data(training: Training) -> str:
    classes = training.data.get("classes", {})
    rows = [
        [name, *(f"{sizes.get(part, 0):,}" for part in ("train", "val", "test"))] for name, sizes in classes.items()
    ]
    parts = [" ".join(data_in_words(training.data)), _table(["kind", "training", "validation", "test"], rows)]
    return "\n\n".join(part for part in parts if part)


def _results(metrics: Mapping[str, Any]) -> str:
    rows = []
    for part, name in (
        ("test", "test, never used in training or choosing"),
        ("validation", "validation, used in choosing"),
    ):
        if part in metrics:
            measured = metrics[part]
            top3 = measured.get("top3_accuracy")
            rows.append(
                [
                    name,
                    f"{measured['photos']:,}",
                    _rate(**measured["accuracy"]),
                    _rate(**top3) if top3 else "not measured",
                    f"{measured['macro_f1']:.3f}",
                ]
            )
    table = _table(["photos", "number", "accuracy", "true kind among the first three", "macro-F1"], rows)
    return f"{table}\n\n{TERMS['Macro-F1']}" if rows else ""


def _by_kind(metrics: Mapping[str, Any]) -> str:
    rows = [
        [
            row["class"],
            f"{row['support']:,}",
            _rate(row["precision"], row["precision_low"], row["precision_high"]),
            _rate(row["recall"], row["recall_low"], row["recall_high"]),
            "n=0" if row["f1"] is None else f"{row['f1']:.2f}",
        ]
        for row in metrics.get("test", {}).get("classes", [])
    ]
    table = _table(["kind", "test photos", "precision", "recall", "F1"], rows)
    return f"{table}\n\n{TERMS['Precision']} {TERMS['Recall']} {TERMS['F1']}" if rows else ""


def _slices(predictions: Predictions) -> Iterator[str]:
    """Accuracy by who the product's name says it is for, and by its colour."""
    facets = predictions.facets
    if "gender" in facets:
        words = np.asarray(facets["gender"], str)
        yield _slice("By gender word in the product's name", "word", words, predictions.correct)
    if "colour" in facets:
        group_of = {colour: group for group, colours in COLOUR_GROUPS.items() for colour in colours}
        groups = np.array([group_of.get(colour, OTHER_COLOUR) for colour in facets["colour"]])
        yield _slice("By colour", "colour, as the catalogue states it", groups, predictions.correct)


def _slice(title: str, heading: str, slices: np.ndarray, correct: np.ndarray) -> str:
    table = accuracy_by(slices, correct)
    rows = [
        [str(name), f"{photos:,}", _rate(*rate)] for name, photos, *rate in table.itertuples(index=False, name=None)
    ]
    parts = (_table([heading, "test photos", "accuracy"], rows), _difference(table))
    return _section(title, "\n\n".join(part for part in parts if part))


def accuracy_by(slices: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """Accuracy of each slice of a test set, the largest slice first.

    Args:
        slices: name of each photo's slice, (n,).
        correct: bool (n,).

    Returns:
        Columns slice, photos, accuracy, low, high (95% Wilson interval).
    """
    names, position, photos = np.unique(slices, return_inverse=True, return_counts=True)
    right = np.bincount(position, weights=correct)
    low, high = wilson_interval(right, photos)
    table = pd.DataFrame({"slice": names, "photos": photos, "accuracy": right / photos, "low": low, "high": high})
    return table.iloc[np.argsort(-photos, kind="stable")]


def _difference(table: pd.DataFrame) -> str:
    """Which slices are certainly worse off than the largest one: their intervals do not meet."""
    largest = table.iloc[0]
    worse = list(table.loc[table["high"] < largest["low"], "slice"])
    if not worse:
        return ""
    return f"Less often right than for {largest['slice']}, beyond chance: {', '.join(worse)}."


def _phone(metrics: Mapping[str, Any]) -> str:
    """Phone photos carry coarse labels, each allowing some of the kinds."""
    measured = metrics.get("phone", {}).get("test")
    if not measured:
        return ""
    rows = [
        ["exact kind, where the label allows only one", *_share(measured["exact"])],
        ["one of the kinds that the label allows", *_share(measured["allowed_set"])],
        *([f"{row['label']}: {', '.join(row['allowed'])}", *_share(row)] for row in measured.get("labels", ())),
    ]
    words = (
        f"{measured['photos']:,} photos taken with phones, with coarse labels. "
        f"Calibration error: {_number(measured['calibration_error'])}; AUROC of telling them "
        f"from photos of other things: {_number(measured['in_scope']['auroc'])}."
    )
    return f"{words}\n\n{_table(['right answer', 'photos', 'share'], rows)}"


def _detector(metrics: Mapping[str, Any]) -> str:
    """How well the detector finds garments; empty for a run without one."""
    measured = metrics.get("detector", {}).get("test")
    if not measured:
        return ""
    street = measured["street"]
    rows = [
        ["garments of the classes in street photos with a proposed box", *_share(street["recall"])],
        ["the same, given a class that their label allows", *_share(street["allowed_class"])],
        ["proposed boxes that are a garment's", *_share(street["precision"])],
        ["products with a proposed box, on sheets of two", *_share(measured["sheets"]["recall"])],
        ["phone photos with one proposed box, that fits at IoU 0.7", *_share(measured["phone"]["one_close_box"])],
    ]
    words = (
        f"{street['photos']:,} street photos of the test split, {street['finds_a_photo']:.1f} proposed boxes each; boxes match from an "
        "IoU of 0.5. The street photos come from a public data set under the Apache licence 2.0; rights in single photos may lie with "
        "their photographers, and faces are visible in them. The product shows none of them."
    )
    return f"{words}\n\n{_table(['what', 'number', 'share'], rows)}"


def robustness_table(metrics: Mapping[str, Any]) -> str:
    """Accuracy and share in scope on test photos that were changed, as Markdown; empty where a run's metrics have none."""
    measured = metrics.get("robustness")
    if not measured:
        return ""
    rows = [[row["name"], _rate(**row["accuracy"]), _rate(**row["in_scope"])] for row in measured["conditions"]]
    worst = measured["worst_loss"]
    words = (
        f"{measured['photos']:,} test photos of the classes, each changed in these ways. Worst loss of accuracy: "
        f"{_points(worst['accuracy'])}; worst loss of photos in scope: {_points(worst['in_scope'])}."
    )
    return f"{words}\n\n{_table(['test photos', 'accuracy', 'in scope'], rows)}"


def _all_types(metrics: Mapping[str, Any]) -> str:
    """How well the types of other products are told apart, too."""
    measured = metrics.get("all_types")
    if not measured or not measured["photos"]:
        return ""
    others, rest = measured["other_products"], measured["photos_of_types_without_output"]
    words = (
        f"The network has outputs for {measured['types']} product types. Of {measured['photos']:,} test photos of these types, the most "
        f"probable type is correct for {_rate(**measured['accuracy'])}, one of the three most probable for "
        f"{measured['top3_accuracy']:.1%}. Calibration error: {_number(measured['calibration_error'])}."
    )
    words += f" Of the photos of other products alone, {_rate(**others)} are correct." if others else ""
    words += f" {rest:,} test photos are of rarer types, which have no output; they are not counted." if rest else ""
    rows = [[row["type"], f"{row['n']:,}", _rate(row["value"], row["low"], row["high"])] for row in measured["by_type"]]
    return f"{words}\n\n{_table(['type', 'test photos', 'correct'], rows)}"


def _attributes(metrics: Mapping[str, Any]) -> str:
    """What else is said of a garment, and what is not said because it is not reliable enough."""
    measured = metrics.get("attributes")
    heads = {name: head for name, head in (measured["heads"] if measured else {}).items() if head["photos"]}
    if not measured or not heads:
        return ""
    words = (
        "Linear heads on the frozen network, on the colours of the garment's pixels for the colour, tested on photos whose catalogue "
        "entry says the attribute. A section is where the catalogue would list the product, not a statement about a person. An "
        f"attribute is shown only if its accuracy, at the low end of its interval, is {100 * measured['margin']:.0f} points above that "
        f"of always giving the most frequent value, and a value only if its probability is at least {measured['least_probability']:.0%}."
    )
    rows = [
        [
            name,
            f"{head['photos']:,}",
            _rate(**head["accuracy"]),
            f"{head['majority']['share']:.1%} ({head['majority']['value']})",
            f"{head['given']:.1%}",
            "yes" if head["shown"] else "no",
        ]
        for name, head in heads.items()
    ]
    by_value = [
        [f"{name}: {row['name']}", f"{row['n']:,}", _rate(row["value"], row["low"], row["high"])]
        for name, head in heads.items()
        for row in head["values"]
    ]
    head = ["attribute", "test photos", "accuracy", "most frequent value", "value given", "shown"]
    return "\n\n".join((words, _table(head, rows), _table(["value", "test photos", "correct"], by_value)))


def _points(loss: Mapping[str, Any]) -> str:
    return f"{100 * loss['value']:.1f} points ({loss['name']})"


def _share(measured: Mapping[str, Any]) -> tuple[str, str]:
    return f"{measured['n']:,}", _rate(measured["value"], measured.get("low"), measured.get("high"))


def _number(value: float | None) -> str:
    return "not known" if value is None or pd.isna(value) else f"{value:.3f}"


def _in_scope(run: Run, metrics: Mapping[str, Any]) -> str:
    measured, scope = metrics.get("test", {}).get("in_scope"), run.manifest.get("in_scope")
    if not measured or not scope:
        return ""
    words = (
        f"A photo whose energy score is below {scope['threshold']:.2f} is said to show none of the kinds. The threshold lets "
        f"{scope['true_positive_rate']:.0%} of the validation photos of the kinds pass, and "
        f"{measured['true_positive_rate']:.1%} of the test photos. {TERMS['AUROC']}"
    )
    others = {"all other products": measured} | measured.get("kinds", {})
    rows = [[name, f"{row['other_products']:,}", _number(row["auroc"]), _passing(row)] for name, row in others.items()]
    return f"{words}\n\n{_table(['test photos of', 'number', 'AUROC', 'pass as one of the kinds'], rows)}"


def _passing(row: Mapping[str, Any]) -> str:
    rate, n = row["false_positive_rate"], row["other_products"]
    return "n=0" if rate is None else _rate(rate, *wilson_interval(round(rate * n), n))


def _calibration(run: Run, metrics: Mapping[str, Any]) -> str:
    rows = [
        [part, f"{error['bins']}", f"{error['before']:.3f}", f"{error['after']:.3f}"]
        for part in ("test", "validation")
        if (error := metrics.get(part, {}).get("calibration_error"))
    ]
    words = (
        f"{TERMS['Calibration']} Fitted on validation for that, the temperature is {run.manifest['temperature']:.3f}. "
        f"{TERMS['Temperature']} {TERMS['Calibration error']}"
    )
    table = _table(["photos", "bins", "error before", "error as shown"], rows)
    return f"{words}\n\n{table}" if rows else ""


def _speed(run: Run, metrics: Mapping[str, Any]) -> str:
    speed, rounded = metrics.get("latency"), run.manifest.get("quantisation", {})
    if not speed:
        return ""
    words = (
        f"One photo's forward pass took {speed['median_ms']:.0f} ms (median of {speed['rounds']}), {speed['p95_ms']:.0f} ms at the "
        f"95th percentile ({speed['engine']}, {speed['processor']}), measured at the end of training with whatever else the machine did."
    )
    if rounded.get("accepted"):
        words += (
            f" On a processor its convolutions compute in 8-bit integers: {rounded['int8']:.1%} of the validation photos are named "
            f"right, {rounded['float32']:.1%} in 32-bit floating point."
        )
    return words


def _limits(training: Training) -> str:
    rare = [
        f"{name} ({sizes.get('train', 0)})"
        for name, sizes in training.data.get("classes", {}).items()
        if sizes.get("train", 0) < FEW_TRAINING_PHOTOS
    ]
    passing = training.metrics.get("test", {}).get("in_scope", {}).get("false_positive_rate")
    limits = [
        "It names one of the kinds above and nothing else.",
        "Most training photos show one product on a plain ground, bright and upright; a photo with several garments needs boxes.",
        rare and f"Hardly any training photos: {', '.join(rare)}. Answers on these kinds are not to be relied on.",
        passing and f"{passing:.0%} of the test photos of other products are not recognised as such.",
        "phone" not in training.metrics and "Not measured on photos from phones.",
        "The catalogue is one shop's, so are its words, its fashion and its labels, some of which are mistaken.",
    ]
    return "\n".join(f"- {limit}" for limit in limits if limit)


def _energy(training: Training) -> str:
    hours, device = training.seconds / 3600, str(training.epochs["device"].iloc[-1])
    if np.isnan(hours):
        return ""
    spent = f"Training took {duration(training.seconds)} on `{device}`. What it drew was not measured"
    left_out = "Neither the pretraining of the initial weights nor other trials are counted."
    if not device.startswith("cpu"):
        return f"{spent}. {left_out}"
    return (
        f"{spent}. At {CPU_WATTS} W, which CodeCarbon 3.3.1 assumes for a processor it does not know (half of 85 W), that is "
        f"{hours * CPU_WATTS / 1000:.2f} kWh. {left_out}"
    )
