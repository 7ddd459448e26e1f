"""Charts of trainings hold what their tables hold, and nothing that is not known."""

import numpy as np
import pytest

from core.analysis import history
from core.artifacts.data_report import DataReport
from core.artifacts.measures import Metrics
from core.artifacts.run import Run
from core.artifacts.training import Training, finished, read_training
from core.plots.history import (
    AXES,
    BLOCKS,
    CURVES,
    blocks_figure,
    curves_figure,
    gap_figure,
    is_known,
    stage_bands,
    stages_figure,
)
from core.settings import RUNS_FOLDER
from tests.run_factory import history_table, write_live_run, write_run

ALL = list(CURVES)
KNOWN = ["Accuracy", "Loss", "Macro-F1", "Learning rate", "Images per second", "Seconds"]  # of a run from `write_run`


@pytest.fixture(scope="module")
def published() -> Training:
    return finished(Run.load(RUNS_FOLDER / "published-reference"))


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Training:
    return finished(write_run(tmp_path_factory.mktemp("runs"), "measured"))


def drawn(figure) -> dict:
    """Traces with values, by name."""
    return {trace.name: trace for trace in figure.data if len(trace.x) > 1}


def test_curves_hold_what_the_table_holds(measured):
    traces = drawn(curves_figure([measured], KNOWN, "Epoch", 0.0, False))
    columns = {
        "Accuracy, training": "train_accuracy",
        "Accuracy, validation": "val_accuracy",
        "Loss, training": "train_loss",
        "Loss, validation": "val_loss",
        "Macro-F1": "val_macro_f1",
        "Learning rate": "lr",
        "Images per second": "images_per_second",
        "Seconds": "seconds",
    }
    assert set(traces) == set(columns)
    for name, column in columns.items():
        np.testing.assert_array_equal(traces[name].y, measured.epochs[column])
        np.testing.assert_array_equal(traces[name].x, measured.epochs["epoch"])


@pytest.mark.parametrize("axis", list(AXES))
def test_every_axis_holds_its_column(measured, axis):
    traces = drawn(curves_figure([measured], ["Loss"], axis, 0.0, False))
    np.testing.assert_array_equal(traces["Loss, validation"].x, measured.epochs[AXES[axis]])


def test_an_unknown_epoch_is_a_gap(published):
    trace = drawn(curves_figure([published], ["Accuracy"], "Epoch", 0.0, False))["Accuracy, validation"]
    assert np.isnan(trace.y[3]) and trace.x[3] == 4 and trace.connectgaps is False


def test_zoom_and_hover_go_through_all_charts(measured):
    figure = curves_figure([measured], KNOWN, "Epoch", 0.0, False)
    assert {trace.xaxis for trace in figure.data} == {None}  # all on the one x axis
    assert figure.layout.hoversubplots == "axis" and figure.layout.hovermode == "x unified"
    domains = [figure.layout[f"yaxis{row if row > 1 else ''}"].domain for row in range(1, len(KNOWN) + 1)]
    assert all(lower[1] < upper[0] for upper, lower in zip(domains, domains[1:], strict=False))


def test_the_learning_rate_is_never_smoothed(measured):
    traces = drawn(curves_figure([measured], ["Learning rate"], "Epoch", 0.9, False))
    assert list(traces) == ["Learning rate"]
    np.testing.assert_array_equal(traces["Learning rate"].y, measured.epochs["lr"])


def test_smoothed_curves_keep_their_raw_values_behind(measured):
    traces = [trace for trace in curves_figure([measured], ["Macro-F1"], "Epoch", 0.5, False).data if len(trace.x) > 1]
    assert [trace.mode for trace in traces] == ["markers", "lines+markers"]
    np.testing.assert_array_equal(traces[0].y, measured.epochs["val_macro_f1"])
    np.testing.assert_array_equal(traces[1].y, history.smoothed(measured.column("val_macro_f1"), 0.5))
    assert "(smoothed)" in traces[1].hovertemplate


def test_smoothing_comes_before_thinning(tmp_path):
    training = finished(write_run(tmp_path, "long", history=history_table((500, 500, 500, 500))))
    trace = [t for t in curves_figure([training], ["Macro-F1"], "Epoch", 0.5, False).data if len(t.x) > 1][-1]
    smooth = history.smoothed(training.column("val_macro_f1"), 0.5)
    assert len(trace.y) < 700
    np.testing.assert_array_equal(trace.y, smooth[np.asarray(trace.x) - 1])


def test_log_scale_is_for_losses_and_learning_rates_alone(measured):
    layout = curves_figure([measured], KNOWN, "Epoch", 0.0, True).layout
    types = {title: layout[f"yaxis{row if row > 1 else ''}"].type for row, title in enumerate(KNOWN, 1)}
    assert {title for title, kind in types.items() if kind == "log"} == {"Loss", "Learning rate"}


def test_two_runs_are_overlaid_in_a_colour_each_with_one_entry_of_the_legend(measured, published):
    figure = curves_figure([measured, published], ["Accuracy"], "Epoch", 0.0, False)
    colours = {}
    for trace in drawn(figure).values():
        colours.setdefault(trace.legendgroup, set()).add(trace.line.color)
    assert len(colours) == 2 and all(len(found) == 1 for found in colours.values())
    assert len(set.union(*colours.values())) == 2
    entries = [trace.name for trace in figure.data if trace.showlegend is not False]
    assert entries == ["Run measured", "published reference", "training", "validation"]


def test_the_best_epoch_is_starred(published):
    figure = curves_figure([published], ["Accuracy"], "Epoch", 0.0, False)
    (star,) = [trace for trace in figure.data if trace.marker.symbol == "star"]
    assert (star.x[0], star.y[0], star.name) == (9, 0.9145, "best epoch: 9")


def test_stages_are_bands_without_holes(published):
    bands = stage_bands(published.epochs, "epoch")
    assert bands == [("head", 0.5, 2.5), ("+ layer4", 2.5, 4.5), ("+ layer3", 4.5, 7.5), ("everything", 7.5, 12.5)]


def test_bands_on_a_running_axis_start_at_zero_and_end_where_the_training_ends(measured):
    bands = stage_bands(measured.epochs, "hours")
    assert bands[0][1] == 0 and bands[-1][2] == measured.epochs["hours"].iloc[-1]
    assert [start for _, start, _ in bands[1:]] == [end for _, _, end in bands[:-1]]


def test_stages_are_not_placed_where_that_is_unknown(published):
    assert stage_bands(published.epochs, "hours") == [] == stage_bands(published.epochs.iloc[:0], "epoch")


def test_bands_are_drawn_over_several_runs_only_where_they_share_them(measured, published, tmp_path):
    def rectangles(*trainings):
        shapes = curves_figure(list(trainings), ["Accuracy"], "Epoch", 0.0, False).layout.shapes
        return sum(shape.type == "rect" for shape in shapes)

    twin = finished(write_run(tmp_path, "twin"))
    assert rectangles(measured) == rectangles(measured, twin) == 4
    assert rectangles(measured, published) == 0


def test_what_is_known_is_told(measured, published):
    assert [curve for curve in ALL if is_known([published], curve)] == ["Accuracy", "Images per second", "Seconds"]
    assert is_known([published, measured], "Loss") and not is_known([measured], "Phone and worn")


def test_a_run_without_epochs_is_drawn_empty(measured):
    empty = Training(measured.folder, "empty", measured.epochs.iloc[:0], {}, DataReport(), None, Metrics())
    assert drawn(curves_figure([empty], ["Accuracy"], "Epoch", 0.5, True)) == {}
    assert len(gap_figure([empty]).data[0].x) == 0


def test_the_gap_is_in_points(published):
    np.testing.assert_allclose(gap_figure([published]).data[0].y, 100 * history.gap(published.epochs))


def test_the_gap_shows_both_zones(published):
    figure = gap_figure([published])
    low, high = figure.layout.yaxis.range
    assert low < 48.95 - 79.90 and high > 5
    assert [shape.y0 for shape in figure.layout.shapes][0] == 5
    assert [text.text for text in figure.layout.annotations] == ["overfitting", "underfitting"]


def test_a_stage_whose_training_is_unknown_has_no_dot_for_it(published):
    dots = drawn(stages_figure({"published": history.stage_table(published)}))
    assert list(dots["final training"].y) == ["1: head", "3: + layer3", "4: everything"]
    assert list(dots["final training"].customdata) == pytest.approx([0.5994, 0.9175, 0.9492])
    assert list(dots["best validation"].x) == pytest.approx([0.8268, 0.8275, 0.8977, 0.9145])


def test_the_block_picture_tells_what_is_unfrozen_what_trains_and_what_is_frozen():
    texts = [text.text for text in blocks_figure(["head", "layer4"], ["layer4"]).layout.annotations]
    words = {"head": "trains", "layer4": "unfrozen"}
    assert [text for text in texts if text != "›"] == [f"<b>{b}</b><br>{words.get(b, 'frozen')}" for b in BLOCKS]


def test_names_are_shown_as_text(tmp_path):
    hostile = finished(write_run(tmp_path, "h", name="<b>bold</b>"))
    twin = finished(write_run(tmp_path, "t"))
    for figure in (curves_figure([hostile, twin], ALL, "Epoch", 0.0, False), gap_figure([hostile, twin])):
        assert "<b>bold" not in str([[trace.name, trace.hovertemplate, trace.legendgroup] for trace in figure.data])


def test_the_axis_of_the_stages_shows_the_differences_of_validation_and_marks_training_beyond_it(tmp_path):
    table = history_table().assign(train_accuracy=0.3, val_accuracy=[0.88, 0.89, 0.9, 0.9, 0.91, 0.91, 0.92, 0.92])
    figure = stages_figure({"run": history.stage_table(finished(write_run(tmp_path, "run", history=table)))})
    low, high = figure.layout.xaxis.range
    assert 0.86 < low < 0.88 and 0.92 < high < 0.94
    training = drawn(figure)["final training"]
    assert set(training.x) == {low} and set(training.customdata) == {0.3}
    assert set(training.marker.symbol) == {"triangle-left-open"}


def test_the_stages_of_several_runs_stand_side_by_side(measured, published):
    tables = {training.name: history.stage_table(training) for training in (measured, published)}
    figure = stages_figure(tables)
    dots = drawn(figure)
    assert list(dots) == ["Run measured", "published reference"]
    assert [len(trace.x) for trace in dots.values()] == [4, 4]
    assert len({trace.marker.color for trace in dots.values()}) == 2


def test_phone_photos_and_worn_garments_are_drawn_beside_accuracy_of_a_single_run(tmp_path, measured):
    table = history_table().assign(val_phone_accuracy=0.7, val_worn_accuracy=0.5)
    training = finished(write_run(tmp_path, "run", history=table))
    traces = drawn(curves_figure([training], ["Accuracy"], "Epoch", 0.0, False))
    assert list(traces) == [f"Accuracy, {part}" for part in ("training", "validation", "phone photos", "worn garments")]
    assert list(traces["Accuracy, worn garments"].y) == [0.5] * 8
    assert len(drawn(curves_figure([training, measured], ["Accuracy"], "Epoch", 0.0, False))) == 4
    assert len(drawn(curves_figure([training, measured], ["Phone and worn"], "Epoch", 0.0, False))) == 2


@pytest.mark.parametrize("smoothing", [0.0, 0.6])
def test_a_loss_that_is_not_finite_is_drawn_as_such(tmp_path, smoothing):
    table = history_table().assign(val_loss=[1.0, 0.9, np.inf, 0.8, 0.7, 0.7, 0.6, 0.6])
    training = finished(write_run(tmp_path, "run", history=table))
    figure = curves_figure([training], ["Loss"], "Epoch", smoothing, False)
    (mark,) = [trace for trace in figure.data if trace.marker.symbol == "x"]
    assert list(mark.x) == [3] and "not finite" in mark.hovertemplate
    assert not any(np.isinf(np.asarray(trace.y, float)).any() for trace in figure.data if trace.y[0] is not None)


def test_repeats_are_drawn_as_their_mean_and_range(tmp_path):
    tables = [history_table().assign(val_accuracy=value) for value in (0.80, 0.84)]
    pair = [finished(write_run(tmp_path, str(i), history=t, settings={"seed": i})) for i, t in enumerate(tables)]
    figure = curves_figure(pair, ["Accuracy"], "Epoch", 0.0, False, grouped=True)
    mean = next(trace for trace in figure.data if trace.name == "Accuracy, validation" and trace.customdata is not None)
    assert list(mean.y) == pytest.approx([0.82] * 8) and mean.customdata[0].tolist() == pytest.approx([0.80, 0.84])
    apart = curves_figure(pair, ["Accuracy"], "Epoch", 0.0, False)
    assert not any(trace.fill for trace in apart.data) and any(trace.fill for trace in figure.data)


def test_the_epoch_in_progress_is_drawn_in_points(tmp_path):
    folder = write_live_run(tmp_path, "live", 3, points=[[2, 1.5, 0.4], [5, 1.25, 0.5]])
    figure = curves_figure([read_training(folder)], ["Loss", "Accuracy"], "Epoch", 0.0, False)
    points = [trace for trace in figure.data if trace.name and trace.name.endswith("epoch in progress")]
    assert [list(trace.x) for trace in points] == [[3.2, 3.5]] * 2
    assert [list(trace.y) for trace in points] == [[1.5, 1.25], [0.4, 0.5]]
    assert tuple(figure.layout.xaxis.range) == (0.5, 4.5)


def test_a_lineage_is_drawn_on_one_axis_with_a_band_for_each_stage_and_the_runs_named(tmp_path):
    first = finished(write_run(tmp_path, "first"))
    second = finished(write_run(tmp_path, "second", initial_weights="first"))
    whole = history.joined(history.lineage(second, [second, first]))
    figure = curves_figure([whole], ["Accuracy"], "Epoch", 0.0, False)
    trace = drawn(figure)["Accuracy, validation"]
    assert list(trace.x) == list(range(1, 17))
    np.testing.assert_array_equal(trace.y, [*first.column("val_accuracy"), *second.column("val_accuracy")])
    alone = stage_bands(first.epochs, "epoch")
    assert stage_bands(whole.epochs, "epoch") == [*alone, *((name, a + 8, b + 8) for name, a, b in alone)]
    runs = {note.text: note.x for note in figure.layout.annotations if note.text.startswith("<i>")}
    assert runs == {"<i>Run first</i>": 0.5, "<i>Run second</i>": 8.5}
