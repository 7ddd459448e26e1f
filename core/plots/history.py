"""Charts of trainings, over the tables of `core.artifacts.training`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.analysis.history import gap, kept_when_thinned, shown_names, smoothed
from core.analysis.text import OVERFITTING, UNDERFITTING
from core.artifacts.training import BLOCKS, Training
from core.plots.palette import BAD, GOOD, OTHER, SERIES, TRAIN, VALIDATION, WARN

TRAINS, JOINS, FROZEN = "#147a57", "#1f5fbf", "#667080"  # white text on each has a contrast of at least 4.5
ROW_HEIGHT, ROW_GAP, ABOVE, BELOW, TO_LEGEND = 210, 44, 56, 80, 48  # pixels
TEXT_LINE = 13  # pixels; stages are named in two lines in turn, since on a phone neighbours have no room in one
FEW_EPOCHS, MANY_EPOCHS = 15, 60  # up to so many each has a tick, a marker
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up")  # beside colours, which come back after six runs
AXES = {"Epoch": "epoch", "Step": "steps", "Images seen": "images_seen", "Hours": "hours"}


class Curve(NamedTuple):
    """What can be drawn: columns of training and validation, or one of both; formats of axis and hover."""

    train: str | None
    validation: str | None
    ticks: str
    hover: str
    smooths: bool = True
    log: bool = False
    from_zero: bool = False


CURVES = {
    "Accuracy": Curve("train_accuracy", "val_accuracy", "~%", ".2%"),
    "Loss": Curve("train_loss", "val_loss", "~g", ".3f", log=True),
    "Macro-F1": Curve(None, "val_macro_f1", "~g", ".3f"),
    "Learning rate": Curve("lr", None, "~e", ".2~e", smooths=False, log=True, from_zero=True),
    "Images a second": Curve("images_per_second", None, ",~g", ",.1f", from_zero=True),
    "Seconds": Curve("seconds", None, ",~g", ",.1f", from_zero=True),
}


class Line(NamedTuple):
    """How a curve is drawn, what it is called on hover, and which entry of the legend hides it."""

    name: str
    group: str
    colour: str
    dash: str
    symbol: str


def is_known(trainings: list[Training], curve: str) -> bool:
    """Whether any of the trainings has a value for a curve."""
    columns = [column for column in CURVES[curve][:2] if column]
    return any(bool(training.epochs[columns].notna().to_numpy().any()) for training in trainings)


def curves_figure(
    trainings: list[Training], curves: list[str], axis: str, smoothing: float, log_scale: bool
) -> go.Figure:
    """Curves of one or several trainings, one below the other over one x axis, so that zoom and hover go through all of them.

    Args:
        trainings: one is drawn in one hue, several in a colour each; their stages are bands where all share them.
        curves: names out of CURVES.
        axis: a name out of AXES.
        smoothing: weight of the past in [0, 1); the raw values stay behind, paler.
        log_scale: for losses and learning rates.
    """
    figure = go.Figure()
    _add_legend(figure, trainings, curves)
    for row, title in enumerate(curves, 1):
        for number, training in enumerate(trainings):
            for column, line in _lines(trainings, number, title):
                weight = smoothing if CURVES[title].smooths else 0.0
                _add_curve(figure, training.column(AXES[axis]), training.column(column), line, (title, row), weight)
    _lay_out(figure, curves, axis, log_scale)
    _mark_stages(figure, trainings, AXES[axis])
    _mark_best(figure, trainings, curves, AXES[axis])
    if axis == "Epoch" and max((len(training.epochs) for training in trainings), default=0) <= FEW_EPOCHS:
        figure.update_xaxes(dtick=1)
    figure.update_layout(uirevision=f"{[training.run_id for training in trainings]} {curves} {axis} {log_scale}")
    return figure


def _add_legend(figure: go.Figure, trainings: list[Training], curves: list[str]) -> None:
    """The colour of each of several trainings, and what is dotted."""
    several = len(trainings) > 1
    names = [escape(name) for name in shown_names(trainings).values()] if several else []
    entries = [(name, SERIES[i % len(SERIES)], "solid") for i, name in enumerate(names)]
    if any(None not in CURVES[curve][:2] for curve in curves):
        entries.append(("training", OTHER if several else TRAIN, "dot"))
        entries.append(("validation", OTHER if several else VALIDATION, "solid"))
    for name, colour, dash in entries:
        line = {"color": colour, "dash": dash, "width": 2}
        figure.add_scatter(x=[None], y=[None], name=name, legendgroup=name, mode="lines", line=line, hoverinfo="skip")


def _lines(trainings: list[Training], number: int, title: str) -> Iterator[tuple[str, Line]]:
    """Columns to draw of one of the trainings; what has a validation curve beside it is dotted."""
    curve, run = CURVES[title], escape(shown_names(trainings)[trainings[number].run_id])
    several, alone = len(trainings) > 1, None in curve[:2]
    symbol = SYMBOLS[number // len(SERIES) % len(SYMBOLS)]
    for column, part in ((curve.train, "training"), (curve.validation, "validation")):
        if column is None:
            continue
        beside = part == "training" and not alone
        colour = SERIES[number % len(SERIES)] if several else TRAIN if beside else VALIDATION
        name = ", ".join([title] + [part] * (not alone) + [run] * several)
        yield column, Line(name, run if several else part, colour, "dot" if beside else "solid", symbol)


def _add_curve(
    figure: go.Figure, x: pd.Series, raw: pd.Series, line: Line, place: tuple[str, int], weight: float
) -> None:
    title, row = place
    common: dict[str, Any] = {"yaxis": f"y{row}", "legendgroup": line.group, "showlegend": False, "name": line.name}
    drawn = smoothed(raw, weight) if weight else raw
    if weight:
        kept, few = kept_when_thinned(raw.to_numpy()), len(raw) <= MANY_EPOCHS
        marker = {"color": line.colour, "size": 5, "symbol": line.symbol}
        behind = {"mode": "markers" if few else "lines", "marker": marker, "line": {"color": line.colour, "width": 1}}
        figure.add_scatter(**common, **behind, x=x.iloc[kept], y=raw.iloc[kept], opacity=0.35, hoverinfo="skip")
    kept = kept_when_thinned(drawn.to_numpy())
    figure.add_scatter(
        **common,
        x=x.iloc[kept],
        y=drawn.iloc[kept],
        connectgaps=False,
        mode="lines+markers" if len(raw) <= MANY_EPOCHS else "lines",
        line={"color": line.colour, "dash": line.dash, "width": 2},
        marker={"size": 6, "symbol": line.symbol},
        hovertemplate=f"{line.name}: %{{y:{CURVES[title].hover}}}{' (smoothed)' if weight else ''}<extra></extra>",
    )


def _lay_out(figure: go.Figure, curves: list[str], axis: str, log_scale: bool) -> None:
    """Stack the y axes over the one x axis, each under its title."""
    inside = len(curves) * ROW_HEIGHT + (len(curves) - 1) * ROW_GAP
    for row, title in enumerate(curves, 1):
        top = 1 - (row - 1) * (ROW_HEIGHT + ROW_GAP) / inside
        curve = CURVES[title]
        settings = {
            "domain": [max(0, top - ROW_HEIGHT / inside), top],
            "tickformat": curve.ticks,
            **({"type": "log", "dtick": "D2"} if log_scale and curve.log else {"type": "linear"}),
            "rangemode": "tozero" if curve.from_zero else "normal",
        }
        figure.update_layout({f"yaxis{row if row > 1 else ''}": settings})
        _write(
            figure, f"<b>{title}</b>", 0, top, xref="paper", yref="paper", yshift=5 + 2 * TEXT_LINE if row == 1 else 2
        )
    figure.update_layout(
        xaxis={"title": {"text": axis}, "anchor": f"y{len(curves)}"},
        height=inside + ABOVE + BELOW,
        margin={"l": 10, "r": 10, "t": ABOVE, "b": BELOW},
        hovermode="x unified",
        hoversubplots="axis",
        legend={"orientation": "h", "yanchor": "top", "y": -TO_LEGEND / inside, "x": 0},
    )


def _write(figure: go.Figure, text: str, x: float, y: float, **settings: Any) -> None:
    """Text whose lower left corner is at a place."""
    figure.add_annotation(
        text=text, x=x, y=y, **{"showarrow": False, "xanchor": "left", "yanchor": "bottom"} | settings
    )


def _mark_stages(figure: go.Figure, trainings: list[Training], x: str) -> None:
    """Stages as bands behind the curves, where all trainings change stage at the same places."""
    bands = [stage_bands(training.epochs, x) for training in trainings]
    if not bands or any(other != bands[0] for other in bands):
        return
    for number, (name, start, end) in enumerate(bands[0]):
        opacity = 0.05 + 0.08 * (number % 2)
        area = {
            "type": "rect",
            "x0": start,
            "x1": end,
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "line_width": 0,
            "layer": "below",
        }
        figure.add_shape(**area, fillcolor=OTHER, opacity=opacity)
        place = {"xref": "x", "yref": "paper", "yshift": TEXT_LINE * (number % 2)}
        _write(figure, escape(name), start, 1, **place, font={"size": 11})


def stage_bands(epochs: pd.DataFrame, x: str) -> list[tuple[str, float, float]]:
    """Name, start and end of each stage on an axis; empty if a place is unknown. Epochs reach half to either side of their number."""
    if epochs.empty or bool(epochs[x].isna().to_numpy().any()):
        return []
    half = 0.5 if x == "epoch" else 0.0
    ends = epochs.groupby("stage", sort=True).agg(name=("stage_name", "first"), first=(x, "first"), last=(x, "last"))
    start = float(ends["first"].iloc[0]) - half if half else 0.0
    bands = []
    for name, last in zip(ends["name"], ends["last"], strict=True):
        bands.append((str(name), start, float(last) + half))
        start = float(last) + half
    return bands


def _mark_best(figure: go.Figure, trainings: list[Training], curves: list[str], x: str) -> None:
    """A star on each best epoch, where accuracy is drawn; of a single training also a line through all charts."""
    names, single = shown_names(trainings), len(trainings) == 1
    for number, training in enumerate(trainings):
        best = training.best
        if best is None or math.isnan(best.at[x]):
            continue
        if single:
            line = {"color": GOOD, "width": 1.5, "dash": "dash"}
            figure.add_shape(type="line", x0=best.at[x], x1=best.at[x], y0=0, y1=1, yref="paper", line=line)
        if "Accuracy" in curves:
            figure.add_scatter(
                x=[best.at[x]],
                y=[best.at["val_accuracy"]],
                yaxis=f"y{curves.index('Accuracy') + 1}",
                name=f"best epoch: {best.at['epoch']:.0f}",
                legendgroup="best" if single else escape(names[training.run_id]),
                showlegend=single,
                mode="markers",
                marker={"symbol": "star", "size": 14, "color": GOOD if single else SERIES[number % len(SERIES)]},
                hoverinfo="skip",
            )


def gap_figure(trainings: list[Training]) -> go.Figure:
    """Training minus validation accuracy in points: above zero a network knows its training photos better than others."""
    figure, names = go.Figure(), shown_names(trainings)
    points = [100 * gap(training.epochs) for training in trainings]
    for number, (training, values) in enumerate(zip(trainings, points, strict=True)):
        kept, name = kept_when_thinned(values.to_numpy(float)), escape(names[training.run_id])
        figure.add_scatter(
            x=training.epochs["epoch"].iloc[kept],
            y=values.iloc[kept],
            name=name,
            mode="lines+markers" if len(values) <= MANY_EPOCHS else "lines",
            line={"color": SERIES[number % len(SERIES)] if len(trainings) > 1 else VALIDATION, "width": 2},
            connectgaps=False,
            hovertemplate=f"{name}: %{{y:+.1f}} points<extra></extra>",
        )
    _mark_fits(figure, np.concatenate([values.to_numpy(float) for values in points]))
    if max(len(values) for values in points) <= FEW_EPOCHS:
        figure.update_xaxes(dtick=1)
    figure.update_xaxes(title_text="Epoch")
    figure.update_layout(
        height=290,
        margin={"l": 10, "r": 10, "t": 40, "b": 40},
        hovermode="x unified",
        showlegend=len(trainings) > 1,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1, "x": 0},
    )
    return figure


def _mark_fits(figure: go.Figure, points: np.ndarray) -> None:
    """Zones of over- and underfitting behind the gap, and a range that shows both."""
    low = min(float(np.nanmin(points, initial=0)), 100 * UNDERFITTING) - 4
    high = max(float(np.nanmax(points, initial=0)), 100 * OVERFITTING) + 4
    for start, end, colour, name, side in (
        (100 * OVERFITTING, high, BAD, "overfitting", "top"),
        (low, 100 * UNDERFITTING, WARN, "underfitting", "bottom"),
    ):
        figure.add_hrect(y0=start, y1=end, fillcolor=colour, opacity=0.1, line_width=0, layer="below")
        edge = end if side == "top" else start
        _write(figure, name, 0, edge, xref="paper", yanchor=side, font={"size": 11})
    figure.update_yaxes(range=[low, high], title_text="points", tickformat="+~g")


def stages_figure(stages: pd.DataFrame) -> go.Figure:
    """Final training and best validation accuracy of each stage, side by side."""
    names = [f"{stage}: {escape(name)}" for stage, name in zip(stages["stage"], stages["name"], strict=True)]
    figure = go.Figure()
    for column, label, colour in (
        ("final_train", "final training", TRAIN),
        ("best_validation", "best validation", VALIDATION),
    ):
        words = [f"{value:.1%}" if pd.notna(value) else "not known" for value in stages[column]]
        figure.add_bar(
            x=names,
            y=stages[column].fillna(0),
            name=label,
            marker_color=colour,
            text=[word.removesuffix("%") for word in words],  # the axis has the sign; a phone has no room for eight
            hovertext=words,
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"{label}: %{{hovertext}}<extra></extra>",
        )
    figure.update_yaxes(tickformat=".0%", range=[0, 1.12], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_layout(
        height=320,
        margin={"l": 10, "r": 10, "t": 40, "b": 30},  # above it is where the toolbar appears
        legend={"orientation": "h", "yanchor": "top", "y": -0.12, "x": 0},
        barmode="group",
        bargap=0.3,
    )
    return figure


def blocks_figure(trainable: list[str], joined: list[str]) -> go.Figure:
    """ResNet50 from photo to answer.

    Args:
        trainable: blocks that train.
        joined: those of them that are new in this stage.
    """
    figure = go.Figure()
    for place, block in enumerate(BLOCKS):
        word = "joins" if block in joined else "trains" if block in trainable else "frozen"
        colour = {"joins": JOINS, "trains": TRAINS, "frozen": FROZEN}[word]
        figure.add_shape(type="rect", x0=place, x1=place + 0.88, y0=0, y1=1, line_width=0, fillcolor=colour)
        text = f"<b>{block}</b><br>{word}"
        _write(
            figure, text, place + 0.44, 0.5, xanchor="center", yanchor="middle", font={"size": 12, "color": "#ffffff"}
        )
        if place:
            _write(
                figure, "›", place - 0.06, 0.5, xanchor="center", yanchor="middle", font={"size": 18, "color": OTHER}
            )
    figure.update_xaxes(visible=False, range=[-0.02, len(BLOCKS) - 0.1], fixedrange=True)
    figure.update_yaxes(visible=False, range=[0, 1], fixedrange=True)
    figure.update_layout(height=72, margin={"l": 0, "r": 0, "t": 0, "b": 0})
    return figure
