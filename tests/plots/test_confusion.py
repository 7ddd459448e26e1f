"""The charts of the confusion page hold what their tables hold, in the place where a click and a look expect it."""

import numpy as np
import pandas as pd
import pytest

from core.analysis import confusion, metrics, slices
from core.artifacts.labels import LabelSet
from core.artifacts.predictions import predictions_from_table
from core.inference.verdict import class_name
from core.plots import confusion as figures
from core.plots.confusion import View
from core.plots.palette import BAD, GOOD
from tests.prediction_tables import EMPTY, LABELS, NAMES, prediction_table

SHUFFLED = [4, 0, 5, 2, 1, 3]


@pytest.fixture(scope="module")
def predictions():
    return predictions_from_table(prediction_table(), "predictions.csv", LABELS)


@pytest.fixture(scope="module")
def everything(predictions):
    return np.ones(len(predictions), bool)


@pytest.fixture(scope="module")
def counts(predictions, everything):
    return confusion.counts_of(predictions, everything)


def cells(figure) -> dict[tuple[int, int], tuple[str, str]]:
    """(true, predicted) to the text drawn there and the words on hover, by the place of each clickable point."""
    heatmap, points = figure.data
    return {
        tuple(target): (heatmap.text[y][x], words)
        for x, y, target, words in zip(points.x, points.y, points.customdata, points.text, strict=True)
    }


@pytest.mark.parametrize("order", [list(range(6)), SHUFFLED])
def test_a_point_its_number_and_its_words_are_of_the_same_cell(counts, order):
    drawn = cells(figures.matrix_figure(counts, LABELS, View(order)))
    assert len(drawn) == 36
    for i, true in enumerate(NAMES):
        for j, called in enumerate(NAMES):
            number, words = drawn[i, j]
            if true == EMPTY:
                assert (number, words) == ("", f"No {true} (n = 0)")
                continue
            assert number == figures.short_percent(counts[i, j] / counts[i].sum())
            verb = "predicted correctly" if i == j else f"predicted as {class_name(called)}"
            assert words.startswith(f"{counts[i, j]} of {counts[i].sum()} {class_name(true)}<br>{verb} (")


def test_rows_and_columns_are_named_in_their_order(counts):
    layout = figures.matrix_figure(counts, LABELS, View(SHUFFLED)).layout
    names = [tick.rpartition("</span> ")[2] for tick in layout.xaxis.ticktext]
    assert names == [class_name(NAMES[i]) for i in SHUFFLED]
    assert layout.yaxis.range == (5.5, -0.5)  # the first row is on top


def test_rows_are_named_beside_the_matrix_with_their_sizes_level_with_its_rows(counts):
    html = figures.row_names(LABELS, SHUFFLED, counts.sum(axis=1))
    rows = html.split(f'<div style="height:{figures.CELL_HEIGHT}px')[1:]
    assert len(rows) == 6
    for row, i in zip(rows, SHUFFLED, strict=True):
        assert f"{class_name(NAMES[i])} <span" in row and f"n={counts[i].sum():,}<" in row
        assert ("gradient" in row) == (counts[i].sum() < figures.FEW)
    layout = figures.matrix_figure(counts, LABELS, View(SHUFFLED)).layout
    assert layout.height == figures.TOP + 6 * figures.CELL_HEIGHT + figures.BOTTOM and layout.margin.t == figures.TOP


def test_counts_are_shown_as_counts(counts):
    drawn = cells(figures.matrix_figure(counts, LABELS, View(list(range(6)), by="counts")))
    assert drawn[0, 0][0] == str(counts[0, 0])


def test_without_the_diagonal_mistakes_take_the_whole_scale(counts):
    with_it = figures.matrix_figure(counts, LABELS, View(list(range(6)))).data[0]
    without = figures.matrix_figure(counts, LABELS, View(list(range(6)), diagonal=False)).data[0]
    off_diagonal = ~np.eye(6, dtype=bool)
    assert np.nanmax(np.array(with_it.z)[off_diagonal]) < 0.9
    assert np.nanmax(np.array(without.z)[off_diagonal]) == 1
    assert [without.text[i][i] for i in range(6)] == [""] * 6


def frames(figure) -> set[tuple]:
    """Corners of the rectangles drawn over the cells, without the outermost."""
    found = {(shape.x0, shape.y0, shape.x1, shape.y1) for shape in figure.layout.shapes}
    return found - {(-0.5, -0.5, 5.5, 5.5)}


def test_groups_are_outlined_where_an_order_keeps_them_together(counts):
    blocks = {(-0.5, -0.5, 2.5, 2.5), (2.5, 2.5, 5.5, 5.5)}
    assert frames(figures.matrix_figure(counts, LABELS, View([2, 0, 1, 5, 4, 3]))) == blocks
    assert frames(figures.matrix_figure(counts, LABELS, View(SHUFFLED))) == set()


def test_the_chosen_cell_is_framed_where_it_is_drawn(counts):
    view = View(SHUFFLED, selected=(2, 5))
    row, column = SHUFFLED.index(2), SHUFFLED.index(5)
    assert frames(figures.matrix_figure(counts, LABELS, view)) == {(column - 0.5, row - 0.5, column + 0.5, row + 0.5)}


def test_a_matrix_of_nothing_and_of_one_class_can_be_drawn():
    assert len(figures.matrix_figure(np.zeros((6, 6), int), LABELS, View(list(range(6)))).data) == 2
    one = LabelSet({"All": ("only",)})
    assert cells(figures.matrix_figure(np.array([[3]]), one, View([0])))[0, 0][0] == "100"


def test_names_are_text_and_never_markup():
    labels = LabelSet({"All": ("<b>bold</b>", "b")})
    figure = figures.matrix_figure(np.eye(2, dtype=int), labels, View([0, 1]))
    assert "<b>" not in "".join(figure.data[1].text) + "".join(figure.layout.xaxis.ticktext)
    assert "<b>" not in figures.row_names(labels, [0, 1])


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (np.nan, ""), (0, ""), (0.0004, "<.1"), (0.0005, "0.1"), (0.0994, "9.9"), (0.0995, "10"), (0.994, "99"),
        (1, "100"),
    ],
)  # fmt: skip
def test_short_percent(share, text):
    assert figures.short_percent(share) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, ""),
        (7, "7"),
        (999, "999"),
        (1000, "1.0k"),
        (9949, "9.9k"),
        (9951, "10k"),
        (999_400, "999k"),
        (999_600, "1.0M"),
        (12e6, "12M"),
    ],
)
def test_short_count(count, text):
    assert figures.short_count(count) == text


@pytest.mark.parametrize(
    ("difference", "text"),
    [(np.nan, ""), (0, ""), (0.0004, ""), (-0.0004, ""), (0.032, "+3.2"), (-0.12, "-12"), (-1, "-100")],
)
def test_short_points(difference, text):
    assert figures.short_points(difference) == text


def test_a_difference_is_second_minus_first_and_positive_strength_where_the_second_is_better():
    labels = LabelSet({"All": ("a", "b")})
    first, second = np.array([[8, 2], [0, 10]]), np.array([[9, 1], [5, 5]])
    figure = figures.difference_figure(first, second, labels, View([0, 1]), ("old", "new"))
    drawn = cells(figure)
    assert {cell: text for cell, (text, _) in drawn.items()} == {
        (0, 0): "+10", (0, 1): "-10", (1, 0): "+50", (1, 1): "-50",
    }  # fmt: skip
    assert np.sign(np.array(figure.data[0].z)).tolist() == [[1, 1], [-1, -1]]
    assert drawn[0, 1][1] == "a<br>predicted as b: 20.0% in old, 10.0% in new (-10.0 points)"


def test_a_difference_names_the_side_that_has_no_samples():
    labels = LabelSet({"All": ("a", "b")})
    figure = figures.difference_figure(np.eye(2), np.array([[1, 0], [0, 0]]), labels, View([0, 1]), ("old", "new"))
    assert cells(figure)[1, 1] == ("", "b: n = 0 in new")


def test_the_risk_coverage_curve_is_its_table(predictions):
    curve = metrics.risk_coverage(predictions.confidence, predictions.correct)
    line, now = figures.risk_coverage_figure(curve, 0.5, 0.9).data
    assert list(line.x) == curve["coverage"].tolist() and list(line.y) == curve["accuracy"].tolist()
    assert (now.x, now.y) == ((0.5,), (0.9,))


@pytest.mark.parametrize("measure", ["recall", "precision", "f1"])
def test_class_bars_are_best_on_top_and_leave_out_what_is_unknown(counts, measure):
    table = metrics.classification_table_from_counts(counts, NAMES)
    bars = figures.class_bars_figure(table, measure, LABELS, "light").data[0]
    named = table.set_axis([f"{class_name(row['class'])} (n={row['support']})" for row in table.to_dict("records")])
    expected = named[measure].dropna().to_dict()
    assert dict(zip(bars.y, bars.x, strict=True)) == expected
    assert list(bars.x) == sorted(bars.x)  # Plotly draws the last one on top
    if measure != "f1":
        ends = dict(zip(bars.y, bars.x + bars.error_x.array, strict=True))
        assert ends == pytest.approx(named[f"{measure}_high"].loc[list(expected)].to_dict())


def test_classes_with_few_photos_are_hatched_and_last_whatever_their_rate():
    counts = np.diag([50, 40, 30, 20, 9, 1])
    counts[0, 1] = 10
    bars = figures.class_bars_figure(metrics.classification_table_from_counts(counts, NAMES), "recall", LABELS, "dark")
    few = [int(name.rpartition("n=")[2].rstrip(")")) < figures.FEW for name in bars.data[0].y]
    assert few == [True, True, False, False, False, False]  # the first is drawn at the bottom
    assert [shape == "/" for shape in bars.data[0].marker.pattern.shape] == few


def test_the_two_sides_of_a_class_go_left_and_right():
    table = pd.DataFrame({"class": ["Tops", "Jeans"], "taken_for": [3, 0], "mistaken_for": [1, 2]})
    left, right = figures.two_sided_figure(table, "Shirts").data
    assert dict(zip(left.y, left.x, strict=True)) == {"Tops": -3, "Jeans": 0}
    assert dict(zip(right.y, right.x, strict=True)) == {"Tops": 1, "Jeans": 2}
    assert dict(zip(left.y, left.text, strict=True)) == {"Tops": "3", "Jeans": ""}


def test_reliability_lines_are_the_filled_bins(predictions):
    table = metrics.reliability_table(predictions.confidence, predictions.correct)
    line = figures.reliability_figure({"calibrated": table}).data[1]
    filled = table[table["count"] > 0]
    assert line.name == "calibrated" and len(filled) < len(table)
    assert list(line.x) == filled["confidence"].tolist() and list(line.y) == filled["accuracy"].tolist()


def test_slices_are_lowest_on_top_and_red_where_significant(predictions):
    table = slices.slices(predictions.facets, predictions.correct).assign(p_corrected=1.0)
    table.loc[0, "p_corrected"] = 0.01
    points = figures.slices_figure(table, 0.9, {name: name.title() for name in predictions.facets}).data[0]
    assert list(points.x)[::-1] == table["accuracy"].tolist()
    assert list(points.marker.color)[::-1] == [BAD] + [GOOD] * (len(table) - 1)
    assert points.y[-1].startswith(f"{table['facet'][0].title()}: {table['value'][0]}")


def test_a_slice_of_two_values_names_both():
    row = {"facet": "usage", "value": "Sports", "facet_2": "colour", "value_2": "Red"}
    assert figures.slice_name(row, {"usage": "Usage"}) == "Usage: Sports · colour: Red"


def test_the_map_draws_every_photo_with_its_row_under_its_value():
    places = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": 0.0, "row": [4, 7, 9], "value": ["a", "b", "a"], "words": "<b>"})
    traces = {trace.name: list(trace.customdata) for trace in figures.map_figure(places, {"a": GOOD, "b": BAD}).data}
    assert traces == {"a": [4, 9], "b": [7]}
    assert "<b>" not in "".join(figures.map_figure(places, {"a": GOOD}).data[0].text)


def test_a_coarse_matrix_shows_shares_of_its_rows_and_frames_what_a_label_allows():
    counts = np.array([[3, 1], [0, 4]])
    figure = figures.coarse_figure(
        counts, ["pants", "dress"], ["Jeans", "Out of scope"], np.eye(2, dtype=bool), "light"
    )
    assert [list(row) for row in figure.data[0].text] == [["75", "25"], ["", "100"]]
    assert {(shape.x0, shape.y0) for shape in figure.layout.shapes} == {(-0.5, -0.5), (0.5, 0.5)}


def test_a_precision_recall_curve_is_its_table(predictions, everything):
    curve, _ = confusion.class_precision_recall(predictions, everything, 0)
    line = figures.precision_recall_figure(curve).data[0]
    assert list(line.x) == curve["recall"].tolist() and list(line.y) == curve["precision"].tolist()


def test_where_everything_is_right_the_axis_ends_at_all():
    curve = pd.DataFrame({"coverage": [0.5, 1.0], "accuracy": [1.0, 1.0], "threshold": [0.9, 0.5]})
    figure = figures.risk_coverage_figure(curve, 1.0, 1.0)
    assert 1 <= figure.layout.yaxis.autorangeoptions.maxallowed < 1.05
