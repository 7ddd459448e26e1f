"""Charts of trainings, over the tables of `core.history`."""

from __future__ import annotations

import math

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.history import Training, gap, smoothed, thinned
from core.palette import BAD, GOOD, OTHER, SERIES, TRAIN, VALIDATION

TRAINS, FROZEN = "#147a57", "#667080"  # white text on either has a contrast of at least 4.5
ROW_HEIGHT = 240
BLOCKS = ("stem", "layer1", "layer2", "layer3", "layer4", "head")
# What can be drawn: title, columns for training and validation, format of the axis, whether smoothing makes sense.
CURVES = {
    "Accuracy": ("train_accuracy", "val_accuracy", ".0%", True),
    "Loss": ("train_loss", "val_loss", ".2f", True),
    "Macro-F1": (None, "val_macro_f1", ".2f", True),
    "Learning rate": ("lr", None, ".1e", False),
    "Images a second": ("images_per_second", None, ".0f", True),
    "Seconds": ("seconds", None, ".0f", True),
}
AXES = {"Epoch": "epoch", "Images seen": "images_seen", "Hours": "hours"}


def is_known(trainings: list[Training], curve: str) -> bool:
    """Whether any of the trainings has a value for a curve."""
    columns = [column for column in CURVES[curve][:2] if column]
    return any(bool(training.epochs[columns].notna().to_numpy().any()) for training in trainings)


def curves_figure(
    trainings: list[Training], curves: list[str], axis: str, smoothing: float, log_scale: bool
) -> go.Figure:
    """Curves of one or several trainings, one below the other on a shared axis.

    Args:
        trainings: one is drawn with its stages as bands and its best epoch marked, several in a colour each.
        curves: names out of CURVES.
        axis: a name out of AXES.
        smoothing: weight of the past in [0, 1); the raw points stay behind, paler.
        log_scale: for losses and learning rates.
    """
    figure = make_subplots(
        rows=len(curves), shared_xaxes=True, vertical_spacing=0.1 / len(curves), subplot_titles=curves
    )
    for row, curve in enumerate(curves, 1):
        train, validation, axis_format, smooths = CURVES[curve]
        weight = smoothing if smooths else 0.0
        for number, training in enumerate(trainings):
            single = len(trainings) == 1
            epochs = thinned(training.epochs)
            for column, label in ((train, "training"), (validation, "validation")):
                if column is None:
                    continue
                colour = (VALIDATION if label == "validation" else TRAIN) if single else SERIES[number % len(SERIES)]
                name = label if single else f"{training.name}, {label}"
                style = {
                    "colour": colour,
                    "dash": "dot" if label == "training" and validation else "solid",
                    "name": name,
                }
                _add_curve(figure, epochs, AXES[axis], column, weight, style, row)
        figure.update_yaxes(tickformat=axis_format, row=row, col=1)
        if log_scale and curve in ("Loss", "Learning rate"):
            figure.update_yaxes(type="log", row=row, col=1)
    if len(trainings) == 1:
        _mark_stages(figure, trainings[0], AXES[axis])
    figure.update_xaxes(title_text=axis, row=len(curves), col=1)
    figure.update_layout(
        height=ROW_HEIGHT * len(curves) + 110,
        hovermode="x unified",
        hoversubplots="axis",
        margin={"l": 10, "r": 10, "t": 60, "b": 40},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02 + 0.06 / len(curves), "x": 0},
    )
    return figure


def _add_curve(
    figure: go.Figure, epochs: pd.DataFrame, x: str, column: str, weight: float, style: dict[str, str], row: int
) -> None:
    values = pd.Series(epochs[column], dtype=float)
    line = {"color": style["colour"], "dash": style["dash"], "width": 2}
    common = {"x": epochs[x], "connectgaps": False}
    if weight:
        raw = go.Scatter(
            **common,
            y=values,
            mode="markers",
            marker={"color": style["colour"], "size": 5},
            opacity=0.35,
            showlegend=False,
            hoverinfo="skip",
        )
        figure.add_trace(raw, row=row, col=1)
    drawn = smoothed(values, weight) if weight else values
    name = style["name"]
    entry = {"name": name, "legendgroup": name, "showlegend": not list(figure.select_traces({"name": name}))}
    figure.add_trace(go.Scatter(**common, **entry, y=drawn, mode="lines+markers", line=line), row=row, col=1)


def _mark_stages(figure: go.Figure, training: Training, x: str) -> None:
    """Bands behind the curves, half an epoch wider than their stages; the best epoch as a line."""
    for number, (stage, epochs) in enumerate(training.epochs.groupby("stage", sort=True)):
        known = epochs[x].dropna()
        if known.empty:
            continue
        half = 0.5 if x == "epoch" else 0
        name = {"text": f"{stage}: {epochs['stage_name'].iloc[0]}", "font": {"size": 11, "color": OTHER}}
        figure.add_vrect(
            x0=known.min() - half,
            x1=known.max() + half,
            fillcolor=OTHER,
            opacity=0.05 + 0.07 * (number % 2),
            line_width=0,
            layer="below",
        )
        figure.add_annotation(
            name,
            x=known.min() - half,
            y=0,
            xref="x",
            yref="y domain",
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
        )
    best = training.best
    if best is not None and not math.isnan(best.at[x]):
        figure.add_vline(x=best.at[x], line_dash="dash", line_color=GOOD, line_width=1.5)


def gap_figure(training: Training) -> go.Figure:
    """Training minus validation accuracy by epoch: above zero the network knows its training photos better than others."""
    values = gap(training.epochs)
    colours = [BAD if value > 0 else VALIDATION for value in values.fillna(0)]
    figure = go.Figure(
        go.Bar(
            x=training.epochs["epoch"],
            y=values,
            marker_color=colours,
            hovertemplate="epoch %{x}: %{y:+.1%}<extra></extra>",
        )
    )
    figure.update_yaxes(tickformat="+.0%", title_text="training − validation")
    figure.update_xaxes(title_text="Epoch")
    figure.update_layout(height=280, margin={"l": 10, "r": 10, "t": 10, "b": 40}, bargap=0.4)
    return figure


def stages_figure(stages: pd.DataFrame) -> go.Figure:
    """Best validation and final training accuracy of each stage, side by side."""
    names = [f"{stage}: {name}" for stage, name in zip(stages["stage"], stages["name"], strict=True)]
    figure = go.Figure()
    for column, label, colour in (
        ("final_train", "final training", TRAIN),
        ("best_validation", "best validation", VALIDATION),
    ):
        text = [f"{value:.1%}" if pd.notna(value) else "not known" for value in stages[column]]
        figure.add_bar(
            x=names,
            y=stages[column],
            name=label,
            marker_color=colour,
            text=text,
            textposition="outside",
            cliponaxis=False,
        )
    figure.update_yaxes(tickformat=".0%", range=[0, 1.08])
    figure.update_layout(
        height=320,
        margin={"l": 10, "r": 10, "t": 40, "b": 30},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        barmode="group",
    )
    return figure


def blocks_figure(trainable: list[str]) -> go.Figure:
    """ResNet50 from photo to answer, its trainable blocks filled."""
    figure = go.Figure()
    for place, block in enumerate(BLOCKS):
        trains = block in trainable
        colour = TRAINS if trains else FROZEN
        figure.add_shape(type="rect", x0=place, x1=place + 0.9, y0=0, y1=1, line_width=0, fillcolor=colour)
        text = f"<b>{block}</b><br>{'trains' if trains else 'frozen'}"
        figure.add_annotation(x=place + 0.45, y=0.5, text=text, showarrow=False, font={"size": 12, "color": "#ffffff"})
    figure.update_xaxes(visible=False, range=[-0.05, len(BLOCKS)], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-0.05, 1.05], fixedrange=True)
    figure.update_layout(height=90, margin={"l": 0, "r": 0, "t": 0, "b": 0})
    return figure
