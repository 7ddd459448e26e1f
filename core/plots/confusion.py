"""Charts of the confusion page, each drawn from a plain table of `core.analysis.confusion` or `core.analysis.metrics`.

Scales fade from transparent to one hue, so they read on light and on dark ground; colours follow the square root, so that a rare
confusion still shows beside a full diagonal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import hex_to_rgb

from core.analysis.confusion import cell_table, normalise, rate_words
from core.artifacts.facets import GROUP
from core.artifacts.labels import LabelSet
from core.inference.verdict import class_name, group_name
from core.plots.palette import BAD, GOOD, OTHER, SERIES, VALIDATION, WARN, group_colour

CELL_HEIGHT = 34  # pixels
TOP, BOTTOM, RIGHT = 92, 6, 34  # margins of a matrix: room for its slanted column names
LEAST_CELL_WIDTH = 26  # for the four characters of the longest number, and for a finger
FEW = 10  # photos of a class below which its rates say next to nothing
FULL = {
    "light": VALIDATION,
    "dark": "#6aa5ff",
}  # the hue of a full cell, for which small shares still differ from the ground
INK = {"light": "#1c2430", "dark": "#ffffff"}
STRONGEST = 0.7  # opacity of the full hue, under which the numbers can still be read
NO_MORE_THAN_ALL = {"maxallowed": 1.004}  # of an axis of shares; where all are 1 Plotly would go on to 2

Scale = list[list[float | str]]  # a Plotly colour scale: places in [0, 1], each with its colour


@dataclass(frozen=True)
class View:
    """How a matrix is shown.

    Args:
        order: class indices from top to bottom and from left to right.
        by: what the cells show, as for `core.analysis.confusion.normalise`.
        diagonal: whether correct predictions are shown; without them the mistakes take the whole colour scale.
        selected: true and predicted class of the cell to frame, or None.
        theme: `light` or `dark`.
    """

    order: list[int]
    by: str = "true"
    diagonal: bool = True
    selected: tuple[int, int] | None = None
    theme: str = "light"


def matrix_figure(counts: np.ndarray, labels: LabelSet, view: View) -> go.Figure:
    """The confusion matrix with numbers in its cells, its words on hover, and one clickable point a cell.

    A point's customdata is [true, predicted], class indices. Shares are drawn in percent without the sign.
    """
    cells = cell_table(counts, [class_name(name) for name in labels.names], view.by)
    shape = counts.shape
    values = cells["count" if view.by == "counts" else "rate"].to_numpy(float).reshape(shape)
    write = short_count if view.by == "counts" else short_percent
    text = np.array([write(value) for value in values.ravel()], object).reshape(shape)
    strength = np.where(counts > 0, values, np.nan)
    if not view.diagonal:
        np.fill_diagonal(strength, np.nan)
        np.fill_diagonal(text, "")
    words = cells["words"].to_numpy(object).reshape(shape)
    return _grid(_root_scaled(strength), text, words, _fading(FULL[view.theme]), labels, view)


def row_names(labels: LabelSet, order: list[int], sizes: np.ndarray | None = None) -> str:
    """The rows' names as HTML beside a matrix, level with its rows, each with its number of photos.

    They are no part of the figure, so that they stay where they are when it scrolls. Classes with few photos are hatched.

    Args:
        labels: the classes.
        order: class indices from top to bottom.
        sizes: photos of each class, (n_classes,).
    """
    rows = "".join(_row_name(labels, i, None if sizes is None else int(sizes[i])) for i in order)
    corner = "True class ↓<br>Predicted class →"
    return (
        f'<div style="font-size:11px;line-height:1.2;white-space:nowrap;text-align:right">'
        f'<div style="height:{TOP}px;box-sizing:border-box;display:flex;align-items:end;justify-content:end;opacity:.7;padding-bottom:6px">'
        f"{corner}</div>{rows}</div>"
    )


def _row_name(labels: LabelSet, index: int, size: int | None) -> str:
    name = labels.names[index]
    mark = f'<span style="color:{group_colour(labels.group_of(name))}">■</span>'
    hatch = "background:repeating-linear-gradient(135deg,transparent 0 4px,rgba(138,143,152,.35) 4px 6px);"
    few = size is not None and size < FEW
    number = "" if size is None else f' <span style="opacity:.7">n={size:,}</span>'
    return (
        f'<div style="height:{CELL_HEIGHT}px;line-height:{CELL_HEIGHT}px;padding-left:4px;{hatch if few else ""}">'
        f"{mark} {escape(class_name(name))}{number}</div>"
    )


def difference_figure(
    first: np.ndarray, second: np.ndarray, labels: LabelSet, view: View, names: tuple[str, str]
) -> go.Figure:
    """Second minus first matrix, both by true class, in percentage points; blue where the second is better, orange where worse.

    Args:
        first: counts (n_classes, n_classes).
        second: as the first.
        labels: their classes.
        view: order, selection and theme; a difference is always by true class and with its diagonal.
        names: of the two, for the words on hover.
    """
    before, after = normalise(first, "true"), normalise(second, "true")
    difference = after - before
    text = np.array([short_points(value) for value in difference.ravel()], object).reshape(difference.shape)
    words = [
        [_difference_words(labels, i, j, before[i, j], after[i, j], names) for j in range(len(labels))]
        for i in range(len(labels))
    ]
    better = np.where(np.eye(len(labels), dtype=bool), difference, -difference)
    better[np.abs(difference) < 0.0005] = np.nan
    return _grid(_root_scaled(better), text, np.array(words, object), _two_sided(view.theme), labels, view, lowest=-1)


def _difference_words(
    labels: LabelSet, true: int, predicted: int, before: float, after: float, names: tuple[str, str]
) -> str:
    name = class_name(labels.names[true])
    if np.isnan(before) or np.isnan(after):
        return f"{name}: n = 0 in {names[0] if np.isnan(before) else names[1]}"
    verb = "predicted correctly" if true == predicted else f"predicted as {class_name(labels.names[predicted])}"
    return (
        f"{name} {verb}: {before:.1%} in {names[0]}, {after:.1%} in {names[1]} ({100 * (after - before):+.1f} points)"
    )


def least_width(labels: LabelSet) -> int:
    """Pixels below which the numbers of a matrix do not fit into their cells."""
    return LEAST_CELL_WIDTH * len(labels) + RIGHT


def short_percent(share: float) -> str:
    """A share in at most four characters: 100, 99, 9.9, <.1; nothing for 0 and NaN."""
    if not share > 0:
        return ""
    percent = 100 * share
    if percent < 0.05:
        return "<.1"
    return f"{percent:.1f}" if percent < 9.95 else f"{percent:.0f}"


def short_count(count: float) -> str:
    """A count in at most four characters: 999, 1.2k, 12k, 1.2M; nothing for 0."""
    if not count > 0:
        return ""
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if count >= size * 0.9995:
            return f"{count / size:.1f}{suffix}" if count < size * 9.95 else f"{count / size:.0f}{suffix}"
    return f"{count:.0f}"


def short_points(difference: float) -> str:
    """A difference of shares in percentage points with its sign: +3.2, -12; nothing where it is NaN or rounds to 0."""
    if not abs(difference) >= 0.0005:
        return ""
    return f"{100 * difference:+.1f}" if abs(difference) < 0.0995 else f"{100 * difference:+.0f}"


def _root_scaled(values: np.ndarray) -> np.ndarray:
    """Signed square roots, the largest magnitude being 1."""
    largest = np.nanmax(np.abs(values), initial=0)
    return np.sign(values) * np.sqrt(np.abs(values) / largest) if largest else values


def _rgba(colour: str, opacity: float) -> str:
    red, green, blue = hex_to_rgb(colour)
    return f"rgba({red},{green},{blue},{opacity})"


def _fading(colour: str) -> Scale:
    return [[0, _rgba(colour, 0.05)], [1, _rgba(colour, STRONGEST)]]


def _two_sided(theme: str) -> Scale:
    worse, better = ([_rgba(colour, opacity) for opacity in (0, STRONGEST)] for colour in (WARN, FULL[theme]))
    return [[0, worse[1]], [0.5, worse[0]], [0.5, better[0]], [1, better[1]]]


def _grid(
    strength: np.ndarray,
    text: np.ndarray,
    words: np.ndarray,
    scale: Scale,
    labels: LabelSet,
    view: View,
    lowest: int = 0,
) -> go.Figure:
    """Cells in the view's order; strength (n_classes, n_classes) from `lowest` to 1 is their place on the scale."""
    turned = np.ix_(view.order, view.order)
    shown = np.where(np.isnan(strength) & (text != ""), 0, strength)  # Plotly draws no text where there is no value
    cells = go.Heatmap(
        z=shown[turned],
        text=text[turned],
        texttemplate="%{text}",
        textfont={"size": 12, "color": INK[view.theme]},
        colorscale=scale,
        zmin=lowest,
        zmax=1,
        xgap=1,
        ygap=1,
        showscale=False,
        hoverinfo="skip",
    )
    figure = go.Figure([cells, _click_points(words, view)])
    _lay_out_grid(figure, labels, view)
    n = len(view.order)
    outer = _frame(0, 0, n, n, OTHER, 1)
    for shape in [outer, *_group_outlines(labels, view.order), *_selection_outline(view)]:
        figure.add_shape(shape)
    return figure


def _click_points(words: np.ndarray, view: View) -> go.Scatter:
    """One invisible point a cell: a heat map itself reports no clicks."""
    rows, columns = np.indices(words.shape).reshape(2, -1)
    true, predicted = np.array(view.order)[rows], np.array(view.order)[columns]
    invisible = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=columns,
        y=rows,
        customdata=np.stack([true, predicted], axis=1).tolist(),  # an array would come back from a click as an object
        text=[escape(sentence).replace(" predicted ", "<br>predicted ", 1) for sentence in words[true, predicted]],
        mode="markers",
        marker={"size": 2, "opacity": 0},  # overlapping markers would make Plotly take a neighbour for the nearest
        selected=invisible,
        unselected=invisible,
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _lay_out_grid(figure: go.Figure, labels: LabelSet, view: View) -> None:
    n = len(view.order)
    axis: dict[str, Any] = {"showgrid": False, "zeroline": False, "fixedrange": True, "ticks": ""}
    figure.update_xaxes(
        **axis,
        tickvals=list(range(n)),
        ticktext=_coloured([class_name(labels.names[i]) for i in view.order], view.order, labels),
        tickfont={"size": 11, "color": INK[view.theme]},
        side="top",
        tickangle=-60,
        ticklabeloverflow="allow",
        automargin=False,
        range=[-0.5, n - 0.5],
    )
    figure.update_yaxes(**axis, showticklabels=False, automargin=False, range=[n - 0.5, -0.5])
    figure.update_layout(
        height=CELL_HEIGHT * n + TOP + BOTTOM,
        margin={"l": 0, "r": RIGHT, "t": TOP, "b": BOTTOM, "pad": 0, "autoexpand": False},
        hovermode="closest",
        hoverdistance=-1,
        dragmode=False,
        clickmode="event+select",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"align": "left"},
    )


def _coloured(names: list[str], order: list[int], labels: LabelSet) -> list[str]:
    """Tick labels with a mark in the colour of their class's group."""
    colours = [group_colour(labels.group_of(labels.names[i])) for i in order]
    return [
        f'<span style="color:{colour}">■</span> {escape(name)}' for colour, name in zip(colours, names, strict=True)
    ]


def _group_outlines(labels: LabelSet, order: list[int]) -> list[dict[str, Any]]:
    """A frame round each group's block on the diagonal, where the order keeps every group together."""
    groups = [labels.group_of(labels.names[i]) for i in order]
    starts = [i for i in range(len(groups)) if i == 0 or groups[i] != groups[i - 1]]
    if len(starts) != len(labels.groups):
        return []
    ends = [*starts[1:], len(groups)]
    return [
        _frame(start, start, end, end, group_colour(groups[start]), 2) for start, end in zip(starts, ends, strict=True)
    ]


def _selection_outline(view: View) -> list[dict[str, Any]]:
    if view.selected is None:
        return []
    row, column = (view.order.index(index) for index in view.selected)
    return [_frame(column, row, column + 1, row + 1, INK[view.theme], 3)]


def _frame(left: int, top: int, right: int, bottom: int, colour: str, width: int) -> dict[str, Any]:
    corners = {"x0": left - 0.5, "y0": top - 0.5, "x1": right - 0.5, "y1": bottom - 0.5}
    return {"type": "rect", **corners, "line": {"color": colour, "width": width}}


def _plain(figure: go.Figure, x: str, y: str, height: int = 320) -> go.Figure:
    """Titles, fixed axes and a legend on top: what every chart but the matrix shares."""
    figure.update_xaxes(title=x, fixedrange=True)
    figure.update_yaxes(title=y, fixedrange=True)
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        dragmode=False,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return figure


def risk_coverage_figure(curve: pd.DataFrame, coverage: float, accuracy: float) -> go.Figure:
    """Accuracy against coverage (columns of `core.analysis.metrics.risk_coverage`), with a point where the threshold stands now."""
    line = go.Scatter(
        x=curve["coverage"],
        y=curve["accuracy"],
        customdata=curve["threshold"],
        mode="lines",
        line={"color": VALIDATION},
        hovertemplate="Confidence %{customdata:.2f} or more: accuracy %{y:.1%}, coverage %{x:.1%}<extra></extra>",
        showlegend=False,
    )
    now = go.Scatter(
        x=[coverage],
        y=[accuracy],
        mode="markers",
        marker={"color": WARN, "size": 12},
        hoverinfo="skip",
        showlegend=False,
    )
    figure = _plain(go.Figure([line, now]), "Coverage", "Accuracy")
    figure.update_xaxes(tickformat=".0%", range=[0, 1.02])
    figure.update_yaxes(tickformat=".0%", autorangeoptions=NO_MORE_THAN_ALL)
    return figure


def class_bars_figure(table: pd.DataFrame, measure: str, labels: LabelSet, theme: str) -> go.Figure:
    """One measure (`recall`, `precision` or `f1`) of every class, best on top, with its interval where it has one.

    Classes with fewer than FEW photos are hatched and last: a rate of one photo says nothing.
    """
    shown = table[table[measure].notna()].iloc[::-1]
    few = (shown["support"] < FEW).to_numpy()
    order = np.lexsort([shown[measure].to_numpy(), ~few])
    shown, few = shown.iloc[order], few[order]
    error = None
    if f"{measure}_low" in shown:
        above, below = shown[f"{measure}_high"] - shown[measure], shown[measure] - shown[f"{measure}_low"]
        error = {"type": "data", "array": above, "arrayminus": below, "color": INK[theme], "thickness": 1, "width": 3}
    bars = go.Bar(
        x=shown[measure],
        y=[f"{escape(class_name(row['class']))} (n={row['support']:,})" for row in shown.to_dict("records")],
        orientation="h",
        error_x=error,
        marker={
            "color": [group_colour(labels.group_of(name)) for name in shown["class"]],
            "pattern": {"shape": ["/" if scarce else "" for scarce in few]},
        },
        hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )
    figure = _plain(go.Figure(bars), "", "", height=24 * len(shown) + 70)
    figure.update_xaxes(tickformat=".0%", range=[0, 1.02])
    return figure


def precision_recall_figure(curve: pd.DataFrame) -> go.Figure:
    """Precision against recall of one class."""
    line = go.Scatter(
        x=curve["recall"],
        y=curve["precision"],
        customdata=curve["threshold"],
        mode="lines",
        line={"color": VALIDATION, "shape": "hv"},
        hovertemplate="Confidence %{customdata:.2f} or more: precision %{y:.1%}, recall %{x:.1%}<extra></extra>",
    )
    figure = _plain(go.Figure(line), "Recall", "Precision")
    figure.update_xaxes(tickformat=".0%", range=[0, 1.02])
    figure.update_yaxes(tickformat=".0%", range=[0, 1.02])
    return figure


def two_sided_figure(table: pd.DataFrame, name: str) -> go.Figure:
    """What a class is predicted as (left) and what is predicted as it (right), from `core.analysis.confusion.mistaken_both_ways`."""
    shown = table.iloc[::-1]
    figure = go.Figure()
    for column, side, colour, title in (
        ("taken_for", -1, WARN, f"{name} predicted as …"),
        ("mistaken_for", 1, VALIDATION, f"… predicted as {name}"),
    ):
        figure.add_bar(
            x=side * shown[column],
            y=shown["class"].map(class_name).map(escape),
            orientation="h",
            name=escape(title),
            marker_color=colour,
            text=[short_count(count) for count in shown[column]],
            textposition="outside",
            cliponaxis=False,
            hoverinfo="skip",
        )
    largest = float(table[["taken_for", "mistaken_for"]].to_numpy().max(initial=1))
    _plain(figure, "Photos", "", height=26 * len(table) + 110)
    figure.update_xaxes(range=[-1.15 * largest, 1.15 * largest], showticklabels=False)
    figure.update_layout(barmode="overlay")
    return figure


def reliability_figure(tables: dict[str, pd.DataFrame]) -> go.Figure:
    """Accuracy against confidence, one line a table of `core.analysis.metrics.reliability_table`, by what it is called."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": OTHER, "dash": "dot"},
        name="perfectly calibrated",
        hoverinfo="skip",
    )
    for number, ((name, table), colour) in enumerate(zip(tables.items(), SERIES, strict=False)):
        filled = table[table["count"] > 0]
        errors = {
            "array": filled["accuracy_high"] - filled["accuracy"],
            "arrayminus": filled["accuracy"] - filled["accuracy_low"],
        }
        figure.add_scatter(
            x=filled["confidence"],
            y=filled["accuracy"],
            error_y={"type": "data", **errors, "thickness": 1, "width": 2},
            customdata=filled["count"],
            mode="lines+markers+text" if number == len(tables) - 1 else "lines+markers",
            text=[f"n={count:,}" for count in filled["count"]],
            textposition=["bottom right"] * (len(filled) - 1) + ["bottom left"],
            textfont={"size": 10},
            line={"color": colour},
            name=name,
            hovertemplate="Confidence %{x:.1%}: accuracy %{y:.1%} (n=%{customdata:,})<extra></extra>",
        )
    _plain(figure, "Confidence", "Accuracy", height=380)
    figure.update_xaxes(tickformat=".0%", range=[0, 1.02])
    figure.update_yaxes(tickformat=".0%", range=[0, 1.02])
    return figure


def slices_figure(table: pd.DataFrame, accuracy: float, titles: Mapping[str, str]) -> go.Figure:
    """Accuracy of slices with intervals, the lowest on top; red where significantly below the rest.

    Args:
        table: rows of `core.analysis.slices.slices`.
        accuracy: of all rows, drawn as a line.
        titles: facet name to what it is called.
    """
    shown = table.iloc[::-1]
    significant = shown["p_corrected"] < 0.05
    rows = shown.to_dict("records")
    figure = go.Figure(
        go.Scatter(
            x=shown["accuracy"],
            y=[escape(slice_name(row, titles)) for row in rows],
            error_x={
                "type": "data",
                "array": shown["high"] - shown["accuracy"],
                "arrayminus": shown["accuracy"] - shown["low"],
                "color": OTHER,
                "thickness": 1.5,
                "width": 3,
            },
            mode="markers",
            marker={"size": 9, "color": np.where(significant, BAD, GOOD)},
            text=[f"{row['n']:,} photos, {rate_words(row['accuracy'], row['low'], row['high'])}" for row in rows],
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    )
    figure.add_vline(x=accuracy, line={"color": OTHER, "dash": "dot"})
    _plain(figure, "Accuracy", "", height=26 * len(shown) + 90)
    figure.update_xaxes(tickformat=".0%", autorangeoptions=NO_MORE_THAN_ALL)
    return figure


def slice_name(row: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """A row of `core.analysis.slices.slices` by name, such as "Usage: Sports · Colour: Red"."""
    pairs = [(row["facet"], row["value"]), (row["facet_2"], row["value_2"])]
    return " · ".join(
        f"{titles.get(facet, facet)}: {group_name(value) if facet == GROUP else value}"
        for facet, value in pairs
        if facet
    )


def map_figure(places: pd.DataFrame, colours: Mapping[str, str]) -> go.Figure:
    """Photos in two dimensions, one colour a value; a point's customdata is its row of the predictions.

    Args:
        places: columns x, y, row, value and words (shown on hover).
        colours: value to colour, in the order of the legend.
    """
    figure = go.Figure()
    for value, colour in colours.items():
        of = places[places["value"] == value]
        figure.add_scattergl(
            x=of["x"],
            y=of["y"],
            customdata=of["row"].tolist(),
            text=of["words"].map(escape).tolist(),  # pyright: ignore[reportAttributeAccessIssue]
            mode="markers",
            marker={"color": colour, "size": 5, "opacity": 0.75},
            unselected={"marker": {"opacity": 0.15}},
            name=escape(value),
            hovertemplate="%{text}<extra></extra>",
        )
    axis = {"visible": False, "fixedrange": True}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis, scaleanchor="x")
    figure.update_layout(
        height=560,
        margin={"l": 0, "r": 0, "t": 10, "b": 10},
        dragmode="lasso",
        hovermode="closest",
        legend={"itemsizing": "constant"},
    )
    return figure


def coarse_figure(
    counts: np.ndarray, rows: Sequence[str], columns: Sequence[str], allowed: np.ndarray, theme: str
) -> go.Figure:
    """Photos with coarse labels: share of each label's photos by prediction. Framed cells are those that the label allows.

    Args:
        counts: int (n_labels, n_columns).
        rows: what the labels are called.
        columns: what the predictions are called.
        allowed: bool (n_labels, n_columns).
        theme: `light` or `dark`.
    """
    totals = counts.sum(axis=1, keepdims=True)
    rate = counts / np.maximum(totals, 1)
    text = [[short_percent(value) for value in row] for row in rate]
    words = [
        [f"{n:,} of {total:,} {name}<br>predicted as {escape(column)}" for n, column in zip(row, columns, strict=True)]
        for row, total, name in zip(counts, totals[:, 0], map(escape, rows), strict=True)
    ]
    cells = go.Heatmap(
        z=_root_scaled(np.where(counts > 0, rate, np.nan)),
        customdata=words,
        text=text,
        texttemplate="%{text}",
        textfont={"size": 12, "color": INK[theme]},
        colorscale=_fading(FULL[theme]),
        zmin=0,
        zmax=1,
        xgap=1,
        ygap=1,
        showscale=False,
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure = go.Figure(cells)
    for row, column in np.argwhere(allowed).tolist():
        figure.add_shape(_frame(column, row, column + 1, row + 1, GOOD, 2))
    axis = {"showgrid": False, "zeroline": False, "fixedrange": True, "ticks": "", "tickfont": {"color": INK[theme]}}
    figure.update_xaxes(
        **axis,  # pyright: ignore[reportArgumentType]
        tickvals=list(range(len(columns))),
        ticktext=list(map(escape, columns)),
        side="top",
        tickangle=-60,
    )
    names = [f"{escape(name)} (n={total:,})" for name, total in zip(rows, totals[:, 0], strict=True)]
    figure.update_yaxes(
        **axis,  # pyright: ignore[reportArgumentType]
        tickvals=list(range(len(rows))),
        ticktext=names,
        automargin=True,
        range=[len(rows) - 0.5, -0.5],
    )
    figure.update_layout(
        height=30 * len(rows) + TOP + 20,
        margin={"l": 10, "r": RIGHT, "t": TOP, "b": 10},
        dragmode=False,
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure
