"""The model card of a run as Markdown, from its run folder alone: what it is for, how good it is, and where it is worse.

A section appears only where the run's files hold what it reports. After Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from core.analysis.glossary import TERMS
from core.analysis.metrics import wilson_interval
from core.analysis.text import data_in_words, duration
from core.artifacts.measures import (
    AllTypes,
    Attributes,
    Coarse,
    DetectorMeasures,
    HeatMaps,
    Loss,
    Mean,
    MeasuredScope,
    Metrics,
    Pointing,
    Rate,
    Robustness,
    Share,
)
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
INTENDED_USE = """The network is meant for sorting catalogue photos and for teaching. It predicts the class of one garment in a photo,
or in a box around the garment, with a probability and a heat map. A person should check predictions that matter.

It is not meant for anything about people. It knows nothing about who wears a garment, or about body, gender, religion or status,
and no decision about a person should rely on it. It does not find brands, sizes or prices, and it does not detect counterfeits.
The gender words below are words in product names; they do not describe people."""

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
        _section("Results", _results(run.metrics)),
        _section("By class", _by_class(run.metrics)),
        *(_slices(predictions) if predictions else ()),
        _section("Phone photos", _coarse(run.metrics.phone.test, "photos taken with phones")),
        _section("Worn garments", _coarse(run.metrics.worn.test, "photos of worn garments")),
        _section("Garments found in photos", _detector(run.metrics.detector.test)),
        _section("Photos under other conditions", robustness_table(run.metrics.robustness)),
        _section("Heat maps", _heat_maps(run.metrics.heat_maps)),
        _section("All product types", _all_types(run.metrics.all_types)),
        _section("Attributes", _attributes(run.metrics.attributes)),
        _section("Photos out of scope", _in_scope(run)),
        _section("Calibration", _calibration(run)),
        _section("Speed", _speed(run)),
        _section("Limits", _limits(run, training)),
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
    facts, size = run.facts, run.input
    commit = f", commit `{facts.git_commit[:12]}`" if facts.git_commit else ""
    others = f" for the classes and {len(facts.background)} for other products," if facts.background else ""
    return (
        f"# Model card: {run.name}\n\n"
        f"Made from the files of run `{run.run_id}` by `python -m core card`; intervals are 95% Wilson intervals.\n\n"
        f"A ResNet50 with {len(run.labels)} outputs{others} for photos of {size.height}x{size.width} pixels (height x width), "
        f"trained with the `{facts.recipe}` recipe from `{facts.initial_weights}`, {facts.created[:10]}{commit}."
    )


def _data(training: Training) -> str:
    classes = training.data.classes
    rows = [
        [name, *(f"{sizes.get(part, 0):,}" for part in ("train", "val", "test"))] for name, sizes in classes.items()
    ]
    parts = [" ".join(data_in_words(training.data)), _table(["class", "training", "validation", "test"], rows)]
    return "\n\n".join(part for part in parts if part)


def _results(metrics: Metrics) -> str:
    splits = {
        "test, never used in training or selection": metrics.test,
        "validation, used for selection": metrics.validation,
    }
    rows = [
        [
            name,
            f"{split.photos:,}",
            _interval(split.accuracy),
            _interval(split.top3_accuracy) if split.top3_accuracy else "not measured",
            _number(split.macro_f1),
        ]
        for name, split in splits.items()
        if split.photos
    ]
    table = _table(["photos", "number", "accuracy", "top-3 accuracy", "macro-F1"], rows)
    return f"{table}\n\n{TERMS['Macro-F1']}" if rows else ""


def _by_class(metrics: Metrics) -> str:
    rows = [
        [
            row.name,
            f"{row.support:,}",
            _rate(row.precision, row.precision_low, row.precision_high),
            _rate(row.recall, row.recall_low, row.recall_high),
            "n=0" if row.f1 is None else f"{row.f1:.2f}",
        ]
        for row in metrics.test.classes
    ]
    table = _table(["class", "test photos", "precision", "recall", "F1"], rows)
    return f"{table}\n\n{TERMS['Precision']} {TERMS['Recall']} {TERMS['F1']}" if rows else ""


def _slices(predictions: Predictions) -> Iterator[str]:
    """Accuracy by the gender word in the product's name, and by colour."""
    facets = predictions.facets
    if "gender" in facets:
        words = np.asarray(facets["gender"], str)
        yield _slice("By gender word in the product name", "word", words, predictions.correct)
    if "colour" in facets:
        group_of = {colour: group for group, colours in COLOUR_GROUPS.items() for colour in colours}
        groups = np.array([group_of.get(colour, OTHER_COLOUR) for colour in facets["colour"]])
        yield _slice("By colour", "colour in the catalogue", groups, predictions.correct)


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
    """Which slices are significantly worse than the largest one: their intervals do not overlap."""
    largest = table.iloc[0]
    worse = list(table.loc[table["high"] < largest["low"], "slice"])
    if not worse:
        return ""
    return f"Significantly less accurate than {largest['slice']}: {', '.join(worse)}."


def _coarse(measured: Coarse | None, photos: str) -> str:
    """Photos whose labels are coarse: each allows one or several of the classes."""
    if measured is None:
        return ""
    rows = [
        ["the class, where the label allows only one", *_counted(measured.exact)],
        ["one of the classes that the label allows", *_counted(measured.allowed_set)],
        *([f"{row.label}: {', '.join(row.allowed)}", *_counted(row)] for row in measured.labels),
    ]
    words = (
        f"{measured.photos:,} {photos}, with coarse labels. Calibration error: {_number(measured.calibration_error)}; AUROC against "
        f"photos of other things: {_number(measured.in_scope.auroc)}."
    )
    return f"{words}\n\n{_table(['correct prediction', 'photos', 'accuracy'], rows)}"


def _detector(measured: DetectorMeasures | None) -> str:
    """How well the detector finds garments; empty for a run without one."""
    if measured is None:
        return ""
    street = measured.street
    rows = [
        ["garments of the classes in street photos with a proposed box", *_counted(street.recall)],
        ["the same, with a class that their label allows", *_counted(street.allowed_class)],
        ["proposed boxes that contain a garment", *_counted(street.precision)],
        ["products with a proposed box, on sheets of two", *_counted(measured.sheets.recall)],
        [
            "phone photos with exactly one proposed box, at an IoU of 0.7 or more",
            *_counted(measured.phone.one_close_box),
        ],
    ]
    words = (
        f"{street.photos:,} street photos of the test split, {street.finds_a_photo:.1f} proposed boxes each; boxes match from an "
        "IoU of 0.5. The street photos come from a public data set under the Apache licence 2.0; rights in single photos may lie with "
        "their photographers, and faces are visible in them. The product shows none of them."
    )
    return f"{words}\n\n{_table(['what', 'number', 'share'], rows)}"


def robustness_table(measured: Robustness | None) -> str:
    """Accuracy and share in scope on test photos that were changed, as Markdown; empty if not measured."""
    if measured is None:
        return ""
    rows = [[row.name, _interval(row.accuracy), _interval(row.in_scope)] for row in measured.conditions]
    words = (
        f"{measured.photos:,} test photos of the classes, each changed in these ways. Largest drop of accuracy: "
        f"{_points(measured.worst_loss.accuracy)}; largest drop of photos in scope: {_points(measured.worst_loss.in_scope)}."
    )
    return f"{words}\n\n{_table(['test photos', 'accuracy', 'in scope'], rows)}"


def _heat_maps(measured: HeatMaps | None) -> str:
    """How faithful the heat maps are, beside plain Grad-CAM."""
    if measured is None:
        return ""
    words = (
        f"{measured.photos:,} test photos of the classes, with the heat map of the predicted class. Deletion hides the hottest places of "
        "the photo first and insertion shows them first on a blurred photo; the area is that under the curve of the class's probability "
        "(Petsiuk et al. 2018). Plain Grad-CAM explains the class's bare output at the last block of layer4, as the published project "
        f"does. {TERMS['Grad-CAM']}"
    )
    served, plain, difference = measured.served, measured.plain, measured.difference
    rows = [
        ["deletion, smaller is better", *map(_area, (served.deletion.area, plain.deletion.area, difference.deletion))],
        [
            "insertion, larger is better",
            *map(_area, (served.insertion.area, plain.insertion.area, difference.insertion)),
        ],
    ]
    return "\n\n".join(
        (words, _table(["area", "as served", "plain Grad-CAM", "difference"], rows), *_pointing(measured.pointing))
    )


def _area(mean: Mean) -> str:
    return f"{mean.value:.3f} ({mean.low:.3f} to {mean.high:.3f})"


def _pointing(measured: Pointing | None) -> Iterator[str]:
    """The pointing game on worn garments; nothing if not measured."""
    if measured is None:
        return
    yield (
        f"Pointing game: does the hottest point of a worn garment's heat map lie on the garment? {measured.box.served.n:,} garments on "
        "test street photos; in the whole photo a miss by 15 pixels is allowed. A point chosen at random would lie on the garment in "
        f"{measured.box.covered:.0%} and {measured.photo.covered:.0%}."
    )
    rows = [
        [name, *map(_interval, (game.served, game.plain, game.middle))]
        for name, game in (("the garment's box", measured.box), ("the whole photo", measured.photo))
    ]
    yield _table(
        ["hottest point on the garment, in", "as served", "plain Grad-CAM", "middle of the box or photo"], rows
    )


def _all_types(measured: AllTypes | None) -> str:
    """Accuracy over all product types, those of other products included."""
    if measured is None or not measured.photos:
        return ""
    others, rest = measured.other_products, measured.photos_of_types_without_output
    words = (
        f"The network has outputs for {measured.types} product types. Of {measured.photos:,} test photos of these types, the most "
        f"probable type is correct for {_interval(measured.accuracy)}, one of the three most probable for "
        f"{_percent(measured.top3_accuracy)}. Calibration error: {_number(measured.calibration_error)}."
    )
    words += f" Of the photos of other products alone, {_interval(others)} are correct." if others else ""
    words += f" {rest:,} test photos are of rarer types, which have no output; they are not counted." if rest else ""
    rows = [[row.type, *_counted(row)] for row in measured.by_type]
    return f"{words}\n\n{_table(['type', 'test photos', 'correct'], rows)}"


def _attributes(measured: Attributes | None) -> str:
    """What else is said of a garment, and what is not said because it is not reliable enough."""
    heads = {name: head for name, head in (measured.heads if measured else {}).items() if head.photos}
    if measured is None or not heads:
        return ""
    words = (
        "Linear heads on the frozen network, on the colours of the garment's pixels for the colour, tested on photos whose catalogue "
        "entry says the attribute. A section is where the catalogue would list the product, not a statement about a person. An "
        f"attribute is shown only if its accuracy, at the low end of its interval, is {100 * measured.margin:.0f} points above that "
        f"of always giving the most frequent value, and a value only if its probability is at least {measured.least_probability:.0%}."
    )
    rows = [
        [
            name,
            f"{head.photos:,}",
            _interval(head.accuracy),
            f"{head.majority.share:.1%} ({head.majority.value})" if head.majority else "",
            _percent(head.given),
            "yes" if head.shown else "no",
        ]
        for name, head in heads.items()
    ]
    by_value = [[f"{name}: {row.name}", *_counted(row)] for name, head in heads.items() for row in head.values]
    titles = ["attribute", "test photos", "accuracy", "most frequent value", "value given", "shown"]
    return "\n\n".join((words, _table(titles, rows), _table(["value", "test photos", "correct"], by_value)))


def _points(loss: Loss) -> str:
    return f"{100 * loss.value:.1f} points ({loss.name})"


def _interval(rate: Rate) -> str:
    return _rate(rate.value, rate.low, rate.high)


def _counted(share: Share) -> tuple[str, str]:
    return f"{share.n:,}", _interval(share)


def _number(value: float | None) -> str:
    return "not known" if value is None or pd.isna(value) else f"{value:.3f}"


def _in_scope(run: Run) -> str:
    measured, scope = run.metrics.test.in_scope, run.facts.in_scope
    if measured is None or scope is None:
        return ""
    words = (
        f"A photo whose energy score is below {scope.threshold:.2f} is out of scope: probably not one of the classes. At this threshold "
        f"{_percent(scope.true_positive_rate)} of the validation photos of the classes are in scope, and "
        f"{_percent(measured.true_positive_rate)} of the test photos. {TERMS['AUROC']}"
    )
    others = {"all other products": measured} | measured.kinds
    rows = [[name, f"{row.other_products:,}", _number(row.auroc), _passing(row)] for name, row in others.items()]
    return f"{words}\n\n{_table(['test photos of', 'number', 'AUROC', 'wrongly in scope'], rows)}"


def _percent(share: float | None) -> str:
    return "an unknown share" if share is None else f"{share:.1%}"


def _passing(row: MeasuredScope) -> str:
    rate, n = row.false_positive_rate, row.other_products
    return "n=0" if rate is None else _rate(rate, *wilson_interval(round(rate * n), n))


def _calibration(run: Run) -> str:
    rows = [
        [part, f"{error.bins}", f"{error.before:.3f}", f"{error.after:.3f}"]
        for part, split in (("test", run.metrics.test), ("validation", run.metrics.validation))
        if (error := split.calibration_error)
    ]
    words = (
        f"{TERMS['Calibration']} The temperature is {run.temperature:.3f}, fitted on the validation photos. "
        f"{TERMS['Temperature']} {TERMS['Calibration error']}"
    )
    table = _table(["photos", "bins", "error before", "error after"], rows)
    return f"{words}\n\n{table}" if rows else ""


def _speed(run: Run) -> str:
    latency, rounded = run.metrics.latency, run.facts.quantisation
    if latency.median_ms is None:
        return ""
    words = (
        f"One photo's forward pass took {latency.median_ms:.0f} ms (median of {latency.rounds}), {latency.p95_ms:.0f} ms at the 95th "
        f"percentile ({latency.engine}, {latency.processor}). It was measured at the end of training, while other programs may have run."
    )
    if rounded.accepted:
        words += (
            f" On a processor, convolutions are computed in 8-bit integers: validation accuracy is {rounded.int8:.1%}, against "
            f"{rounded.float32:.1%} in 32-bit floating point."
        )
    return words


def _limits(run: Run, training: Training) -> str:
    rare = [
        f"{name} ({sizes.get('train', 0)})"
        for name, sizes in training.data.classes.items()
        if sizes.get("train", 0) < FEW_TRAINING_PHOTOS
    ]
    scope = run.metrics.test.in_scope
    passing = scope and scope.false_positive_rate
    limits = [
        "It predicts the classes above and nothing else.",
        "Most training photos show one product on a plain background, bright and upright. A photo with several garments needs boxes.",
        rare and f"Very few training photos: {', '.join(rare)}. Predictions of these classes are not reliable.",
        passing and f"{passing:.1%} of the test photos of other products are wrongly in scope.",
        run.metrics.phone.test is None and "Not measured on phone photos.",
        "The catalogue comes from one shop. So do its terms, its fashion and its labels, some of which are wrong.",
    ]
    return "\n".join(f"- {limit}" for limit in limits if limit)


def _energy(training: Training) -> str:
    hours, device = training.seconds / 3600, str(training.epochs["device"].iloc[-1])
    if np.isnan(hours):
        return ""
    spent = f"Training took {duration(training.seconds)} on `{device}`. Its power was not measured"
    left_out = "The pretraining of the initial weights and other trials are not counted."
    if not device.startswith("cpu"):
        return f"{spent}. {left_out}"
    return (
        f"{spent}. At {CPU_WATTS} W, which CodeCarbon 3.3.1 assumes for an unknown processor (half of 85 W), that is "
        f"{hours * CPU_WATTS / 1000:.2f} kWh. {left_out}"
    )
