"""Charts of the report as SVG, drawn by matplotlib: small, vector, and without a browser."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from core.artifacts.training import Training
from core.plots.history import CURVES, TRAINING, VALIDATION_PART, stage_bands
from core.plots.palette import BAD, GOOD, OTHER, SERIES, TRAIN, VALIDATION

WIDTH = 7.2  # inches, of A4 between its margins
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "report",
    "svg.fonttype": "path",
}
COLOURS = {TRAINING: TRAIN, VALIDATION_PART: VALIDATION, "phone photos": SERIES[2], "worn garments": SERIES[3]}
DASHES = {TRAINING: ":", VALIDATION_PART: "-", "phone photos": "--", "worn garments": "-."}
FEW_BANDS = 8


class _Drawing:
    """A figure being drawn, and its SVG once it is done."""

    def __init__(self, height: float):
        self.figure = Figure(figsize=(WIDTH, height), layout="constrained")
        self.axes: Any = self.figure.add_subplot()
        self.svg = ""


@contextmanager
def _drawn(height: float) -> Generator[_Drawing]:
    with rc_context(STYLE):
        drawing = _Drawing(height)
        yield drawing
        file = StringIO()
        FigureCanvasSVG(drawing.figure).print_svg(file, metadata={"Date": None, "Creator": None})
    drawing.svg = re.sub(r"^.*?(?=<svg)|<metadata>.*?</metadata>", "", file.getvalue(), flags=re.DOTALL)


def accuracy(training: Training) -> str:
    """Accuracy by epoch, with the stages as bands and the best epoch marked."""
    with _drawn(3.2) as drawing:
        _lines(drawing.axes, training, "Accuracy")
        drawing.axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        if training.best is not None:
            best = training.best
            label = f"best epoch: {best['epoch']:.0f}"
            drawing.axes.plot([best["epoch"]], [best["val_accuracy"]], "*", color=GOOD, markersize=12, label=label)
        drawing.axes.legend(loc="lower right", frameon=False)
    return drawing.svg


def loss(training: Training) -> str:
    """Loss by epoch, with the stages as bands."""
    with _drawn(2.6) as drawing:
        _lines(drawing.axes, training, "Loss")
        drawing.axes.legend(loc="upper right", frameon=False)
    return drawing.svg


def _lines(axes: Any, training: Training, curve: str) -> None:
    epochs = training.epochs
    for column, part in CURVES[curve].columns.items():
        values = epochs[column].to_numpy(float)
        finite = np.where(np.isfinite(values), values, np.nan)
        if not np.isnan(finite).all():
            axes.plot(epochs["epoch"], finite, DASHES[part], marker=".", color=COLOURS[part], label=part)
        if np.isinf(values).any():
            top = np.nanmax(finite) if not np.isnan(finite).all() else 1.0
            places = epochs["epoch"][np.isinf(values)]
            axes.plot(places, np.full(len(places), top), "x", color=BAD, label=f"{part}: not finite")
    bands = stage_bands(epochs, "epoch")
    for number, (name, start, end) in enumerate(bands):
        axes.axvspan(start, end, color=OTHER, alpha=0.05 + 0.08 * (number % 2), linewidth=0)
        if len(bands) <= FEW_BANDS:
            place = {"xytext": (2, 2 + 9 * (number % 2)), "textcoords": "offset points"}
            axes.annotate(_plain(name), (start, 1), xycoords=("data", "axes fraction"), fontsize=7, **place)
    axes.set_xlabel("Epoch")
    axes.set_ylabel(curve)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.02)


def stages(table: pd.DataFrame) -> str:
    """Accuracy by stage as dots, on an axis that shows their differences."""
    with _drawn(0.9 + 0.36 * len(table)) as drawing:
        axes, rows = drawing.axes, np.arange(len(table))[::-1]
        for column, label, colour, symbol, fill in (
            ("final_train", "final training", TRAIN, "o", "none"),
            ("final_validation", "final validation", VALIDATION, "D", "none"),
            ("best_validation", "best validation", VALIDATION, "o", VALIDATION),
        ):
            axes.scatter(table[column], rows, s=36, marker=symbol, edgecolors=colour, facecolors=fill, label=label)
        for value, row in zip(table["best_validation"], rows, strict=True):
            if pd.notna(value):
                axes.annotate(
                    f"{value:.2%}", (value, row), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=7
                )
        names = [_plain(f"{number}: {name}") for number, name in zip(table["stage"], table["name"], strict=True)]
        axes.set_yticks(rows, names)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid(axis="x", color="#d8dee8", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.margins(x=0.08, y=0.2)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, frameon=False)
    return drawing.svg


def matrix(counts: np.ndarray, names: Sequence[str]) -> str:
    """The confusion matrix: counts, coloured by the share of their row.

    Args:
        counts: int (n_classes, n_classes), true class in rows.
        names: of the classes.
    """
    n = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, n, out=np.zeros(counts.shape), where=n > 0)
    with _drawn(2.0 + 0.32 * len(names)) as drawing:
        axes = drawing.axes
        axes.pcolormesh(share[::-1], cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if share[row, column] > 0.5 else "#1c2430"
                place = column + 0.5, len(names) - row - 0.5
                axes.text(*place, f"{count:,}", ha="center", va="center", fontsize=7, color=colour)
        ticks = np.arange(len(names)) + 0.5
        axes.set_xticks(ticks, [_plain(name) for name in names], rotation=45, ha="right", fontsize=8)
        axes.set_yticks(ticks, [_plain(name) for name in names][::-1], fontsize=8)
        axes.set_xlabel("Predicted class")
        axes.set_ylabel("True class")
        axes.set_aspect("equal")
    return drawing.svg


def calibration(table: pd.DataFrame) -> str:
    """Accuracy against confidence, with 95% intervals; a calibrated network lies on the diagonal.

    Args:
        table: of `core.analysis.metrics.reliability_table`.
    """
    known = table[table["count"] > 0]
    with _drawn(3.0) as drawing:
        axes = drawing.axes
        axes.plot([0, 1], [0, 1], ":", color=OTHER, label="calibrated")
        errors = [known["accuracy"] - known["accuracy_low"], known["accuracy_high"] - known["accuracy"]]
        axes.errorbar(
            known["confidence"],
            known["accuracy"],
            np.abs(errors),
            fmt="o",
            color=VALIDATION,
            markersize=4,
            label="test photos",
        )
        axes.set(xlabel="Confidence", ylabel="Accuracy", xlim=(0, 1.02), ylim=(0, 1.02))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.legend(loc="upper left", frameon=False)
        axes.set_aspect("equal")
    return drawing.svg


def _plain(text: str) -> str:
    """Text that matplotlib shows as it is: dollar signs would begin mathematics."""
    return text.replace("$", r"\$")
