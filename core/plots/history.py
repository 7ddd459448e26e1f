"""Charts of trainings, over the tables of `core.artifacts.training`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import hex_to_rgb

from core.analysis.history import band, gap, kept_when_thinned, points_in_epoch, recipe_key, shown_names, smoothed
from core.analysis.text import OVERFITTING, UNDERFITTING
from core.artifacts.training import BLOCKS, Training
from core.plots.palette import BAD, GOOD, OTHER, SERIES, TRAIN, VALIDATION, WARN

TRAINS, JOINS, FROZEN = "#147a57", "#1f5fbf", "#667080"  # white text on each has a contrast of at least 4.5
ONE_ROW, ROW_HEIGHT, ROW_GAP, ABOVE, BELOW, TO_LEGEND = 300, 210, 44, 56, 80, 48  # pixels
STAGE_HEIGHT, LOW_STAGE_HEIGHT = 46, 34  # pixels of a row of the dot plot, of few and of many stages
TEXT_LINE = 13  # pixels; stages are named in two lines in turn, since on a phone neighbours have no room in one
FEW_EPOCHS, MANY_EPOCHS = 15, 60  # up to so many each has a tick, a marker
FEW_BANDS = 8  # up to so many stages are named above their bands
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up")  # beside colours, which come back after six runs
AXES = {"Epoch": "epoch", "Step": "steps", "Images seen": "images_seen", "Hours": "hours"}
TRAINING, VALIDATION_PART, PHONE, WORN = "training", "validation", "phone photos", "worn garments"
DASHES = {TRAINING: "dot", VALIDATION_PART: "solid", PHONE: "dash", WORN: "dashdot"}
COLOURS = {
    TRAINING: TRAIN,
    VALIDATION_PART: VALIDATION,
    PHONE: SERIES[2],
    WORN: SERIES[3],
}  # of the parts of a single run


class Curve(NamedTuple):
    """What can be drawn: columns and the photos they are of (empty where there is only one); formats of axis and hover."""

    columns: dict[str, str]
    ticks: str
    hover: str
    smooths: bool = True
    log: bool = False
    from_zero: bool = False


CURVES = {
    "Accuracy": Curve(
        {
            "train_accuracy": TRAINING,
            "val_accuracy": VALIDATION_PART,
            "val_phone_accuracy": PHONE,
            "val_worn_accuracy": WORN,
        },
        "~%",
        ".2%",
    ),
    "Loss": Curve({"train_loss": TRAINING, "val_loss": VALIDATION_PART}, "~g", ".3f", log=True),
    "Phone and worn": Curve({"val_phone_accuracy": PHONE, "val_worn_accuracy": WORN}, "~%", ".2%"),
    "Macro-F1": Curve({"val_macro_f1": ""}, "~g", ".3f"),
    "Learning rate": Curve({"lr": ""}, "~e", ".2~e", smooths=False, log=True, from_zero=True),
    "Update-to-weight ratio": Curve({"update_to_weight": ""}, "~e", ".2~e", log=True),
    "Images per second": Curve({"images_per_second": ""}, ",~g", ",.1f", from_zero=True),
    "Seconds": Curve({"seconds": ""}, ",~g", ",.1f", from_zero=True),
    "Peak memory (MiB)": Curve({"peak_memory_mib": ""}, ",~g", ",.0f", from_zero=True),
    "Busy cores": Curve({"busy_cores": ""}, "~g", ".2f", from_zero=True),
    "Energy (Wh)": Curve({"energy_wh": ""}, "~g", ".2f", from_zero=True),
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
    return any(training.knows(*CURVES[curve].columns) for training in trainings)


def curves_figure(
    trainings: list[Training], curves: list[str], axis: str, smoothing: float, log_scale: bool, grouped: bool = False
) -> go.Figure:
    """Curves of one or several trainings, one below the other over one x axis, so that zoom and hover go through all of them.

    Args:
        trainings: the parts of one are drawn in a colour each, several trainings in a colour each; their stages are bands where all
            share them.
        curves: names out of CURVES.
        axis: a name out of AXES.
        smoothing: weight of the past in [0, 1); the raw values stay behind, paler.
        log_scale: for losses and learning rates.
        grouped: draw repeats of one recipe as their mean and range; by epoch only.
    """
    figure = go.Figure()
    groups = _groups(trainings) if grouped and axis == "Epoch" else [[training] for training in trainings]
    names = _group_names(trainings, groups)
    _add_legend(figure, groups, names, curves)
    for row, title in enumerate(curves, 1):
        for number, group in enumerate(groups):
            for column, line in _lines(group, number, names, title):
                weight = smoothing if CURVES[title].smooths else 0.0
                if len(group) > 1:
                    _add_band(figure, group, column, line, (title, row))
                    continue
                (training,) = group
                _add_curve(figure, training.column(AXES[axis]), training.column(column), line, (title, row), weight)
                if axis == "Epoch":
                    _add_points(figure, training, column, line, (title, row))
    _lay_out(figure, curves, axis, log_scale)
    _mark_stages(figure, trainings, AXES[axis])
    _mark_runs(figure, trainings, AXES[axis])
    if not any(len(group) > 1 for group in groups):
        _mark_best(figure, trainings, curves, AXES[axis])
    if axis == "Epoch":
        _fit_epochs(figure, trainings)
    figure.update_layout(uirevision=f"{[training.run_id for training in trainings]} {curves} {axis} {log_scale}")
    return figure


def _fit_epochs(figure: go.Figure, trainings: list[Training]) -> None:
    """An axis from the first epoch to the last, the one in progress among them; a tick for each of few."""
    last = max((training.column("epoch").iloc[-1] for training in trainings if len(training.epochs)), default=0.0)
    last += any(len(points_in_epoch(training)) for training in trainings)
    if last:
        figure.update_xaxes(range=[0.5, last + 0.5])
    if last <= FEW_EPOCHS:
        figure.update_xaxes(dtick=1)


def _groups(trainings: list[Training]) -> list[list[Training]]:
    """The trainings, those of one recipe together, in the order in which they come."""
    groups: dict[object, list[Training]] = {}
    for training in trainings:
        groups.setdefault(recipe_key(training) or training.run_id, []).append(training)
    return list(groups.values())


def _group_names(trainings: list[Training], groups: list[list[Training]]) -> list[str]:
    names = shown_names(trainings)
    return [
        escape(names[group[0].run_id] if len(group) == 1 else f"{group[0].name} (n={len(group)})") for group in groups
    ]


def _add_legend(figure: go.Figure, groups: list[list[Training]], names: list[str], curves: list[str]) -> None:
    """The colour of each of several trainings, and the dash of each part."""
    several = len(groups) > 1
    entries = [(name, SERIES[i % len(SERIES)], "solid") for i, name in enumerate(names)] if several else []
    everyone = [training for group in groups for training in group]
    parts = {
        part
        for curve in curves
        for column, part in _columns(curve, several).items()
        if part and any(training.knows(column) for training in everyone)
    }
    entries += [(part, OTHER if several else COLOURS[part], dash) for part, dash in DASHES.items() if part in parts]
    for name, colour, dash in entries:
        line = {"color": colour, "dash": dash, "width": 2}
        figure.add_scatter(x=[None], y=[None], name=name, legendgroup=name, mode="lines", line=line, hoverinfo="skip")


def _columns(title: str, several: bool) -> dict[str, str]:
    """Columns of a curve and their parts; over the accuracy of several trainings phone photos and worn garments would be too much."""
    columns = CURVES[title].columns
    return {c: p for c, p in columns.items() if p not in (PHONE, WORN)} if several and title == "Accuracy" else columns


def _lines(group: list[Training], number: int, names: list[str], title: str) -> Iterator[tuple[str, Line]]:
    """Known columns to draw of a training or of repeats of one."""
    several, run = len(names) > 1, names[number]
    symbol = SYMBOLS[number // len(SERIES) % len(SYMBOLS)]
    for column, part in _columns(title, several).items():
        if not any(training.knows(column) for training in group):
            continue
        colour = SERIES[number % len(SERIES)] if several else COLOURS.get(part, VALIDATION)
        name = ", ".join([title] + [part] * bool(part) + [run] * several)
        yield column, Line(name, run if several else part, colour, DASHES.get(part, "solid"), symbol)


def _add_curve(
    figure: go.Figure, x: pd.Series, raw: pd.Series, line: Line, place: tuple[str, int], weight: float
) -> None:
    title, row = place
    common: dict[str, Any] = {"yaxis": f"y{row}", "legendgroup": line.group, "showlegend": False, "name": line.name}
    raw, endless = raw.mask(np.isinf(raw)), np.isinf(raw.to_numpy(float))
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
    if endless.any():
        figure.add_scatter(
            **common,
            x=x[endless],
            y=np.full(endless.sum(), raw.max() if raw.notna().any() else 1.0),
            mode="markers",
            marker={"size": 12, "symbol": "x", "color": BAD},
            hovertemplate=f"{line.name}: not finite<extra></extra>",
        )


def _add_band(figure: go.Figure, group: list[Training], column: str, line: Line, place: tuple[str, int]) -> None:
    """Mean and range of repeats of one recipe."""
    title, row = place
    table, hover = band(group, column), CURVES[title].hover
    common: dict[str, Any] = {"yaxis": f"y{row}", "legendgroup": line.group, "showlegend": False, "x": table["epoch"]}
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    figure.add_scatter(**common, **edge, y=table["low"], name=f"{line.name}, lowest")
    fill = f"rgba{(*hex_to_rgb(line.colour), 0.2)}"
    figure.add_scatter(**common, **edge, y=table["high"], name=f"{line.name}, highest", fill="tonexty", fillcolor=fill)
    figure.add_scatter(
        **common,
        y=table["mean"],
        name=line.name,
        mode="lines+markers" if len(table) <= MANY_EPOCHS else "lines",
        line={"color": line.colour, "dash": line.dash, "width": 2},
        customdata=table[["low", "high"]],
        hovertemplate=f"{line.name}, mean of {len(group)}: %{{y:{hover}}} (%{{customdata[0]:{hover}}} to "
        f"%{{customdata[1]:{hover}}})<extra></extra>",
    )


def _add_points(figure: go.Figure, training: Training, column: str, line: Line, place: tuple[str, int]) -> None:
    """Training loss and accuracy within the epoch in progress, as means since it began."""
    title, row = place
    points = points_in_epoch(training)
    if column not in points or points.empty:
        return
    figure.add_scatter(
        x=points["epoch"],
        y=points[column],
        yaxis=f"y{row}",
        name=f"{line.name}, epoch in progress",
        legendgroup=line.group,
        showlegend=False,
        mode="markers",
        marker={"size": 4, "color": line.colour, "symbol": "circle-open"},
        hovertemplate=f"{line.name}, epoch in progress: %{{y:{CURVES[title].hover}}}<extra></extra>",
    )


def _lay_out(figure: go.Figure, curves: list[str], axis: str, log_scale: bool) -> None:
    """Stack the y axes over the one x axis, each under its title."""
    height = ONE_ROW if len(curves) == 1 else ROW_HEIGHT
    inside = len(curves) * height + (len(curves) - 1) * ROW_GAP
    for row, title in enumerate(curves, 1):
        top = 1 - (row - 1) * (height + ROW_GAP) / inside
        curve = CURVES[title]
        settings = {
            "domain": [max(0, top - height / inside), top],
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
        area = {"x0": start, "x1": end, "y0": 0, "y1": 1, "yref": "paper", "line_width": 0, "layer": "below"}
        figure.add_shape(type="rect", **area, fillcolor=OTHER, opacity=opacity)
        if len(bands[0]) <= FEW_BANDS:
            place = {"xref": "x", "yref": "paper", "yshift": TEXT_LINE * (number % 2)}
            _write(figure, escape(name), start, 1, **place, font={"size": 11})


def _mark_runs(figure: go.Figure, trainings: list[Training], x: str) -> None:
    """Where one training of a lineage (`core.analysis.history.joined`) ends and the next begins, each with its name."""
    epochs = trainings[0].epochs
    if len(trainings) > 1 or "run" not in epochs:
        return
    for number, (name, start, _) in enumerate(_bands(epochs, x, "run", "run")):
        if number:
            line = {"color": OTHER, "width": 1.5}
            figure.add_shape(type="line", x0=start, x1=start, y0=0, y1=1, yref="paper", line=line, layer="below")
        _write(figure, f"<i>{escape(name)}</i>", start, 0, yref="paper", xshift=2, font={"size": 11})


def stage_bands(epochs: pd.DataFrame, x: str) -> list[tuple[str, float, float]]:
    """Name, start and end of each stage on an axis; empty if a place is unknown. Epochs reach half to either side of their number."""
    return _bands(epochs, x, "stage", "stage_name")


def _bands(epochs: pd.DataFrame, x: str, by: str, name: str) -> list[tuple[str, float, float]]:
    if epochs.empty or bool(epochs[x].isna().to_numpy().any()):
        return []
    half = 0.5 if x == "epoch" else 0.0
    ends = epochs.groupby(by, sort=False).agg(name=(name, "first"), first=(x, "first"), last=(x, "last"))
    start = float(ends["first"].iloc[0]) - half if half else 0.0
    bands = []
    for called, last in zip(ends["name"], ends["last"], strict=True):
        bands.append((str(called), start, float(last) + half))
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


def stages_figure(tables: dict[str, pd.DataFrame]) -> go.Figure:
    """Accuracy by stage as dots, on an axis that shows their differences.

    Args:
        tables: by the name of the training, as `core.analysis.history.stage_table`; of a single training the final values are drawn too.
    """
    figure, single = go.Figure(), len(tables) == 1
    labels, (low, high) = _stage_labels(list(tables.values())), _range(list(tables.values()), single)
    for number, (run, table) in enumerate(tables.items()):
        colour = VALIDATION if single else SERIES[number % len(SERIES)]
        rows = [labels[stage] for stage in table["stage"]]
        if single:
            _add_dots(
                figure, pd.Series(table["final_train"]), rows, "final training", TRAIN, "circle-open", (low, high)
            )
            _add_dots(
                figure,
                pd.Series(table["final_validation"]),
                rows,
                "final validation",
                VALIDATION,
                "diamond-open",
                (low, high),
            )
        name = "best validation" if single else escape(run)
        _add_dots(
            figure, pd.Series(table["best_validation"]), rows, name, colour, "circle", (low, high), written=single
        )
    figure.update_xaxes(tickformat=".0%", range=[low, high], nticks=6)
    row = STAGE_HEIGHT if len(labels) <= FEW_BANDS else LOW_STAGE_HEIGHT
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=list(labels.values())[::-1])
    figure.update_layout(
        height=row * len(labels) + 130,
        margin={"l": 10, "r": 10, "t": 40, "b": 30},  # above it is where the toolbar appears
        legend={"orientation": "h", "yanchor": "top", "y": -36 / (row * len(labels) + 60), "x": 0},
    )
    return figure


def _stage_labels(tables: list[pd.DataFrame]) -> dict[int, str]:
    """Number of a stage to what to call it: its name where all trainings agree on it."""
    names: dict[int, set[str]] = {}
    for table in tables:
        for stage, name in zip(table["stage"], table["name"], strict=True):
            names.setdefault(int(stage), set()).add(str(name))
    return {
        stage: f"{stage}: {escape(next(iter(found)))}" if len(found) == 1 else f"Stage {stage}"
        for stage, found in sorted(names.items())
    }


def _range(tables: list[pd.DataFrame], single: bool) -> tuple[float, float]:
    """Of an axis that shows the differences of validation accuracies; training accuracies far below are drawn at its edge."""
    columns = ["final_validation", "best_validation"] if single else ["best_validation"]
    values = np.concatenate([table[columns].to_numpy(float).ravel() for table in tables])
    low, high = (np.nanmin(values), np.nanmax(values)) if not np.isnan(values).all() else (0.0, 1.0)
    margin = max(0.15 * (high - low), 0.01)
    return float(low - margin), float(min(high + margin, 1.03))


def _add_dots(
    figure: go.Figure,
    values: pd.Series,
    rows: list[str],
    name: str,
    colour: str,
    symbol: str,
    ends: tuple[float, float],
    written: bool = False,
) -> None:
    """Dots of a value; one beyond the axis is an arrowhead at its edge, with the value on hover."""
    known = values.notna().to_numpy()
    marker = {"size": 11, "color": colour, "line": {"width": 2, "color": colour}}
    figure.add_scatter(
        x=[None], y=[None], name=name, legendgroup=name, mode="markers", marker=marker | {"symbol": symbol}
    )
    symbols = [
        "triangle-left-open" if value < ends[0] else "triangle-right-open" if value > ends[1] else symbol
        for value in values[known]
    ]
    figure.add_scatter(
        x=values[known].clip(*ends),
        customdata=values[known],
        y=[row for row, is_known in zip(rows, known, strict=True) if is_known],
        name=name,
        mode="markers+text" if written else "markers",
        text=[f"{value:.1%}" for value in values[known]] if written else None,
        textposition="top center",
        cliponaxis=False,
        marker=marker | {"symbol": symbols},
        legendgroup=name,
        showlegend=False,
        hovertemplate=f"{name}: %{{customdata:.2%}}<extra></extra>",
    )


def blocks_figure(trainable: list[str], joined: list[str]) -> go.Figure:
    """ResNet50 from photo to prediction.

    Args:
        trainable: blocks that train.
        joined: those of them that this stage unfreezes.
    """
    figure = go.Figure()
    for place, block in enumerate(BLOCKS):
        word = "unfrozen" if block in joined else "trains" if block in trainable else "frozen"
        colour = {"unfrozen": JOINS, "trains": TRAINS, "frozen": FROZEN}[word]
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
