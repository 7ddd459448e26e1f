"""Trainings as tables: every figure computed another way, unknown values kept unknown, damaged folders named."""

import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest

from core import history
from core.figures_history import CURVES, blocks_figure, curves_figure, gap_figure, stages_figure
from core.runs import RUNS_FOLDER, Run, sha256_of
from tests.conftest import ROOT

# The published table, typed in once more: epoch, stage, training and validation accuracy in percent, seconds, images a second.
PUBLISHED = """
1 1 48.95 79.90 476.7 25.9
2 1 59.94 82.68 422.0 29.3
3 2 76.47 82.75 412.7 29.9
5 3 87.63 88.60 444.1 27.8
6 3 90.34 89.62 418.9 29.5
7 3 91.75 89.77 406.6 30.4
8 4 91.60 90.06 395.7 31.2
9 4 92.33 91.45 400.6 30.8
10 4 93.45 90.57 392.7 31.5
11 4 94.58 91.15 420.6 29.4
12 4 94.92 91.45 394.2 31.3
"""


@pytest.fixture(scope="module")
def published() -> history.Training:
    return history.finished(Run.load(RUNS_FOLDER / "published-reference"))


@pytest.mark.parametrize(
    "folder", [path.parent for path in sorted(RUNS_FOLDER.glob("*/manifest.json"))], ids=lambda path: path.name
)
def test_every_file_of_a_committed_run_is_the_one_its_manifest_names(folder):
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    there = {path.name for path in folder.iterdir()} - {"manifest.json"}
    assert there == set(listed)
    assert {name: sha256_of(folder / name) for name in listed} == listed


def test_the_published_run_is_as_published(published):
    rows = [line.split() for line in PUBLISHED.split("\n") if line]
    for epoch, stage, train, validation, seconds, rate in rows:
        row = published.epochs.set_index("epoch").loc[int(epoch)]
        assert row["stage"] == int(stage)
        found = 100 * row["train_accuracy"], 100 * row["val_accuracy"], row["seconds"], row["images_per_second"]
        assert found == pytest.approx([float(value) for value in (train, validation, seconds, rate)])
    assert len(published.epochs) == 12 and published.epochs["seconds"].sum() == pytest.approx(4585.5, abs=1)


def test_the_missing_epoch_stays_missing(published):
    missing = published.epochs.set_index("epoch").loc[4]
    assert math.isnan(missing["val_accuracy"]) and math.isnan(missing["train_accuracy"])
    assert math.isnan(history.gap(published.epochs).iloc[3])
    assert published.epochs["hours"].iloc[2] > 0 and published.epochs["hours"].iloc[3:].isna().all()
    assert (
        history.smoothed(published.epochs["val_accuracy"], 0.6).isna().tolist()
        == published.epochs["val_accuracy"].isna().tolist()
    )


def test_the_stage_table_is_as_published(published):
    table = history.stage_table(published).set_index("stage")
    assert table["epochs"].tolist() == [2, 2, 3, 5]
    assert (100 * table["best_validation"]).tolist() == pytest.approx([82.68, 82.75, 89.77, 91.45])
    final = (100 * table["final_train"]).tolist()
    assert final[0] == pytest.approx(59.94) and math.isnan(final[1]) and final[2:] == pytest.approx([91.75, 94.92])
    assert (100 * table["gain"]).tolist()[1:] == pytest.approx([0.07, 7.02, 1.68])


def test_the_learning_rate_of_a_stage_is_its_recipes_peak_and_unknown_where_unpublished(published):
    known = history.Training("x", "x", published.epochs, {"stages.1.lr": 1e-3, "stages.4.lr": 4e-4}, {}, {}, {}, {})
    rates = history.stage_table(known)["peak_lr"].tolist()
    assert rates[0] == 1e-3 and rates[3] == 4e-4 and math.isnan(rates[1])
    assert history.stage_table(published)["peak_lr"].isna().all()


def test_trainable_parameters_are_those_of_the_architecture(published):
    from core.model import GarmentNet
    from train.config import load_recipe
    from train.stages import freeze, trainable_blocks

    recipe, network = load_recipe("reference"), GarmentNet(15)
    expected = [freeze(network, trainable_blocks(recipe, stage)) for stage in range(4)]
    assert history.stage_table(published)["trainable_parameters"].tolist() == expected


def test_the_best_epoch_is_the_first_of_equals(published):
    assert published.best is not None and published.best["epoch"] == 9


def test_unfrozen_blocks_add_up_over_the_stages(published):
    assert history.unfrozen_blocks(published, 1) == ["head"]
    assert set(history.unfrozen_blocks(published, 4)) == {"head", "layer4", "layer3", "layer2", "layer1", "stem"}


def test_smoothing_is_an_exponential_moving_average():
    values = pd.Series([1.0, 3.0, 2.0, 5.0])
    weight, expected, norm, total = 0.5, [], 0.0, 0.0
    for value in values:
        total, norm = total * weight + value, norm * weight + 1
        expected.append(total / norm)
    np.testing.assert_allclose(history.smoothed(values, weight), expected)
    np.testing.assert_array_equal(history.smoothed(values, 0.0), values)


@pytest.mark.parametrize(
    ("train", "val", "word"), [(0.95, 0.85, "overfitting)"), (0.90, 0.88, "neither"), (0.80, 0.88, "underfitting")]
)
def test_the_gap_is_put_into_words(train, val, word):
    epochs = pd.DataFrame({"train_accuracy": [train], "val_accuracy": [val]})
    assert word in history.gap_in_words(epochs) and f"{100 * abs(train - val):.1f} points" in history.gap_in_words(
        epochs
    )


def test_settings_that_differ_come_first(published):
    other = history.Training("other", "other", published.epochs, published.config | {"batch_size": 32}, {}, {}, {}, {})
    table = history.settings_table([published, other])
    assert table["setting"].iloc[0] == "batch_size" and table["differs"].tolist().count(True) == 1


def test_nested_settings_are_flattened():
    assert history.flattened({"a": {"b": 1}, "stages": [{"lr": 2}, {"lr": 3}]}) == {
        "a.b": 1,
        "stages.1.lr": 2,
        "stages.2.lr": 3,
    }


def live_run(folder, updated: float, **told):
    folder.mkdir(parents=True)
    (folder / "progress.json").write_text(
        json.dumps({"run_id": folder.name, "state": "training", "updated": updated} | told)
    )
    (folder / "config.json").write_text('{"resolved": {"name": "default"}}')


def test_a_run_in_progress_is_found_before_its_first_epoch(tmp_path):
    live_run(tmp_path / "live", updated=1000)
    (training,), problems = history.find_trainings(tmp_path)
    assert training.run_id == "live" and training.best is None and not problems
    assert history.headline(training) == "No epoch has been validated yet."


@pytest.mark.parametrize(
    ("age", "told", "state"), [(5, {}, "training"), (60, {}, "lost"), (5, {"state": "stopped"}, "stopped")]
)
def test_a_trainer_that_is_silent_for_half_a_minute_is_lost(age, told, state):
    assert history.state_of({"updated": 1000.0} | told, now=1000.0 + age) == state


def test_broken_folders_are_listed_with_what_is_wrong(tmp_path):
    shutil.copytree(RUNS_FOLDER / "published-reference", tmp_path / "damaged")
    (tmp_path / "damaged" / "history.csv").write_text("epoch\n1\n")
    (tmp_path / "empty").mkdir()
    live_run(tmp_path / "half", updated=1000)
    (tmp_path / "half" / "config.json").write_text("{")
    trainings, problems = history.find_trainings(tmp_path)
    assert not trainings
    assert "history.csv is damaged" in problems["damaged"]
    assert "manifest.json is missing" in problems["empty"]
    assert "cannot be read" in problems["half"]


def test_thinning_keeps_the_ends():
    epochs = pd.DataFrame({"epoch": range(1, 5001)})
    thin = history.thinned(epochs, 500)
    assert len(thin) == 500 and thin["epoch"].iloc[0] == 1 and thin["epoch"].iloc[-1] == 5000


def test_the_curves_hold_what_the_table_holds(published):
    figure = curves_figure([published], list(CURVES), "Epoch", 0.0, False)
    drawn = {(trace.name, trace.yaxis): trace for trace in figure.data}
    accuracy = drawn["validation", "y"]
    np.testing.assert_array_equal(np.asarray(accuracy.y, float), published.epochs["val_accuracy"])
    assert accuracy.connectgaps is False
    assert sum(shape.type == "rect" for shape in figure.layout.shapes) == 4 * len(CURVES)


def test_the_learning_rate_is_never_smoothed():
    epochs = pd.DataFrame(
        {"epoch": range(6), "stage": 1, "stage_name": "head", "lr": [1, 5, 1, 5, 1, 5.0], "val_accuracy": np.nan}
    )
    training = history.Training("x", "x", epochs, {}, {}, {}, {}, {})
    (trace,) = curves_figure([training], ["Learning rate"], "Epoch", 0.9, False).data
    assert list(trace.y) == [1, 5, 1, 5, 1, 5]


def test_smoothed_curves_keep_their_raw_points_behind(published):
    figure = curves_figure([published], ["Accuracy"], "Epoch", 0.5, False)
    assert [trace.mode for trace in figure.data] == ["markers", "lines+markers"] * 2


def test_two_runs_are_overlaid_in_two_colours(published):
    other = history.Training("other", "other", published.epochs, {}, {}, {}, {}, {})
    figure = curves_figure([published, other], ["Accuracy"], "Epoch", 0.0, False)
    assert len({trace.line.color for trace in figure.data}) == 2 and len(figure.data) == 4


def test_gap_and_stage_charts_hold_their_tables(published):
    np.testing.assert_allclose(np.asarray(gap_figure(published).data[0].y, float), history.gap(published.epochs))
    bars = {trace.name: trace for trace in stages_figure(history.stage_table(published)).data}
    assert list(bars["final training"].text) == ["59.9%", "not known", "91.8%", "94.9%"]


def test_the_block_picture_tells_what_trains():
    texts = [annotation.text for annotation in blocks_figure(["head", "layer4"]).layout.annotations]
    assert [text for text in texts if "trains" in text] == ["<b>layer4</b><br>trains", "<b>head</b><br>trains"]


def test_columns_are_those_the_trainer_writes():
    from train.folder import HISTORY_COLUMNS

    assert list(history.COLUMNS) == list(HISTORY_COLUMNS)
    assert (ROOT / "docs" / "architecture.md").read_text().count("val_macro_f1") == 1
