"""Trainings as tables: every figure computed another way, unknown values kept unknown, damaged folders named."""

import csv
import json
import math
import os
import shutil
import socket
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.analysis import history
from core.artifacts.heartbeat import Heartbeat, state_of
from core.artifacts.measures import Rate
from core.artifacts.run import Run, find_runs, sha256_of
from core.artifacts.training import (
    COLUMNS,
    ELSEWHERE,
    OPTIONAL,
    Training,
    find_trainings,
    finished,
    flattened,
    read_training,
    resume_command,
)
from core.errors import BrokenRun
from core.settings import RUNS_FOLDER
from tests.conftest import ROOT
from tests.run_factory import BATCH, IMAGES, history_table, write_live_run, write_run
from train.loop import validation_score

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
def published() -> Training:
    return finished(Run.load(RUNS_FOLDER / "published-reference"))


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
    assert len(published.epochs) == 12


def test_totals_of_the_published_run_are_those_published_since_an_epoch_is_missing(published):
    assert published.seconds == 4858 and published.images_per_second == 29.8
    assert published.test_accuracy == Rate(low=0.9, high=0.91, as_published="about 90-91%")


def test_without_a_published_total_an_unknown_epoch_makes_it_unknown(tmp_path):
    table = history_table()
    table.loc[2, ["seconds", "images"]] = np.nan
    training = finished(write_run(tmp_path, "gap", history=table))
    assert math.isnan(training.seconds) and math.isnan(training.images_per_second)


def test_the_missing_epoch_stays_missing(published):
    missing = published.epochs.set_index("epoch").loc[4]
    assert math.isnan(missing["val_accuracy"]) and math.isnan(missing["train_accuracy"])
    assert math.isnan(history.gap(published.epochs).iloc[3])
    assert published.epochs["hours"].iloc[2] > 0 and published.epochs["hours"].iloc[3:].isna().all()
    unknown = published.epochs["val_accuracy"].isna().tolist()
    assert history.smoothed(published.column("val_accuracy"), 0.6).isna().tolist() == unknown


def test_the_stage_table_is_as_published(published):
    table = history.stage_table(published).set_index("stage")
    assert table["epochs"].tolist() == [2, 2, 3, 5]
    assert (100 * table["best_validation"]).tolist() == pytest.approx([82.68, 82.75, 89.77, 91.45])
    final = (100 * table["final_train"]).tolist()
    assert final[0] == pytest.approx(59.94) and math.isnan(final[1]) and final[2:] == pytest.approx([91.75, 94.92])
    assert (100 * table["gain"]).tolist()[1:] == pytest.approx([0.07, 7.02, 1.68])
    assert math.isnan(table["minutes"][2]) and table["minutes"][1] == pytest.approx((476.7 + 422.0) / 60)
    assert history.gain_by_unfreezing(published) == pytest.approx(0.9145 - 0.8268)


def test_stages_equal_those_computed_line_by_line_from_the_file(tmp_path):
    training = finished(write_run(tmp_path, "run"))
    rows = defaultdict(list)
    with (tmp_path / "run" / "history.csv").open() as file:
        for row in csv.DictReader(file):
            rows[int(row["stage"])].append(row)
    best_before = []
    for found in history.stage_table(training).to_dict("records"):
        stage = rows[found["stage"]]
        best = max(float(row["val_accuracy"]) for row in stage)
        assert found["best_validation"] == best
        assert found["minutes"] == pytest.approx(sum(float(row["seconds"]) for row in stage) / 60)
        assert found["final_train"] == float(stage[-1]["train_accuracy"])
        assert found["final_validation"] == float(stage[-1]["val_accuracy"])
        if best_before:
            assert found["gain"] == pytest.approx(best - max(best_before))
        best_before.append(best)


def test_the_learning_rate_of_a_stage_is_its_recipes_peak_and_unknown_where_unpublished(tmp_path, published):
    training = finished(write_run(tmp_path, "run"))
    assert history.stage_table(training)["peak_lr"].tolist() == [1e-3, 1e-3, 5e-4, 4e-4]
    assert history.stage_table(published)["peak_lr"].isna().all()


def test_axes_count_from_the_start(tmp_path):
    epochs = finished(write_run(tmp_path, "run")).epochs
    assert epochs["images_seen"].tolist() == [IMAGES * i for i in range(1, 9)]
    assert epochs["steps"].tolist() == [IMAGES // BATCH * i for i in range(1, 9)]
    assert epochs["hours"].iloc[-1] == pytest.approx(epochs["seconds"].sum() / 3600)


def test_trainable_parameters_are_those_of_the_architecture(published):
    from core.inference.model import GarmentNet
    from train.config import load_recipe
    from train.stages import freeze, trainable_blocks

    recipe, network = load_recipe("reference"), GarmentNet(15)
    expected = [freeze(network, trainable_blocks(recipe, stage)) for stage in range(4)]
    assert history.stage_table(published)["trainable_parameters"].tolist() == expected


def test_the_best_epoch_is_the_first_of_equals(published):
    assert published.best is not None and published.best["epoch"] == 9


def test_unfrozen_blocks_add_up_over_the_stages(published):
    assert history.unfrozen_blocks(published, 0) == []
    assert history.unfrozen_blocks(published, 1) == ["head"]
    assert set(history.unfrozen_blocks(published, 4)) == {"head", "layer4", "layer3", "layer2", "layer1", "stem"}


def test_blocks_of_a_run_in_training_come_from_its_settings(tmp_path):
    training = read_training(write_live_run(tmp_path, "live", 1))
    assert history.unfrozen_blocks(training, 2) == ["head", "layer4"]


def test_smoothing_is_an_exponential_moving_average():
    values = pd.Series([1.0, 3.0, 2.0, 5.0])
    weight, expected, norm, total = 0.5, [], 0.0, 0.0
    for value in values:
        total, norm = total * weight + value, norm * weight + 1
        expected.append(total / norm)
    np.testing.assert_allclose(history.smoothed(values, weight), expected)
    np.testing.assert_array_equal(history.smoothed(values, 0.0), values)


def test_settings_that_differ_come_first(tmp_path):
    runs = [write_run(tmp_path, "a"), write_run(tmp_path, "b", settings={"batch_size": 32})]
    table = history.settings_table([finished(run) for run in runs])
    assert table["setting"].iloc[0] == "batch_size" and table["differs"].tolist().count(True) == 1
    assert table.iloc[0][["a", "b"]].tolist() == ["64", "32"]


def test_nested_settings_are_flattened():
    assert flattened({"a": {"b": 1}, "stages": [{"lr": 2}, {"lr": 3}]}) == {
        "a.b": 1,
        "stages.1.lr": 2,
        "stages.2.lr": 3,
    }


def test_runs_of_the_same_name_are_told_apart(tmp_path):
    runs = [write_run(tmp_path, run_id, name=name) for run_id, name in (("a", "x"), ("b", "x"), ("c", "y"))]
    names = history.shown_names([finished(run) for run in runs])
    assert names == {"a": "x (a)", "b": "x (b)", "c": "y"}


def test_the_table_of_runs_holds_what_the_files_say(tmp_path):
    run = write_run(tmp_path, "a")
    row = history.runs_table([finished(run)]).iloc[0]
    with (tmp_path / "a" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    seconds = sum(float(line["seconds"]) for line in rows)
    best = max(rows, key=lambda line: float(line["val_accuracy"]))
    assert row["best_validation"] == float(best["val_accuracy"]) and row["best_epoch"] == int(best["epoch"])
    assert row["hours"] == pytest.approx(seconds / 3600)
    assert row["images_per_second"] == pytest.approx(sum(int(line["images"]) for line in rows) / seconds)
    assert row[["test_accuracy", "test_low", "test_high"]].tolist() == [0.9, 0.87, 0.92]
    assert row[["status", "made", "recipe", "input"]].tolist() == ["finished", "2026-01-01", "default", "96x72"]


def test_runs_being_made_come_first_then_the_newest(tmp_path, published):
    write_run(tmp_path, "old", created="2025-01-01T00:00:00+00:00")
    write_run(tmp_path, "new", created="2026-02-01T00:00:00+00:00")
    write_live_run(tmp_path, "dead", updated=1_750_000_000)  # in June 2025
    write_live_run(tmp_path, "live")
    found, _ = find_trainings(tmp_path)
    assert [training.run_id for training in found] == ["live", "new", "dead", "old"]


def test_a_run_is_found_before_its_first_epoch(tmp_path):
    write_live_run(tmp_path, "live")
    (training,), problems = find_trainings(tmp_path)
    assert training.best is None and math.isnan(training.best_accuracy) and math.isnan(training.seconds)
    assert not problems and history.stage_table(training).empty and len(history.runs_table([training])) == 1


def test_a_history_of_no_epoch_is_no_fault(tmp_path):
    folder = write_live_run(tmp_path, "live")
    (folder / "history.csv").write_text(",".join(COLUMNS) + "\n")
    assert read_training(folder).best is None


@pytest.mark.parametrize(
    ("age", "doing", "state"),
    [
        (29, "training", "in training"),
        (31, "training", "trainer died"),
        (5, "stopped", "stopped"),
        (29, "evaluating", "in training"),
    ],
)
def test_a_trainer_elsewhere_that_is_silent_for_half_a_minute_died(age, doing, state):
    told = Heartbeat(updated=1000.0, host="elsewhere", pid=1, state=doing)
    assert state_of(told, now=1000.0 + age) == state


def test_a_clock_that_jumped_back_makes_no_trainer_dead():
    assert state_of(Heartbeat(updated=10_000.0, host="elsewhere", pid=1), now=6_400.0) == "in training"


@pytest.mark.skipif(os.name != "posix", reason="asking for a process would end it there")
def test_a_trainer_here_lives_as_long_as_its_process(tmp_path):
    def here(pid):
        return Heartbeat(updated=1000.0, host=socket.gethostname(), pid=pid)

    pid = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(pid, 0)
    assert state_of(here(os.getpid()), now=1000.0 + 600) == "in training"
    assert state_of(here(os.getpid()), now=1000.0 + 7200) == "trainer died"
    assert state_of(here(pid), now=1000.0 + 1) == "trainer died"


def test_the_command_to_go_on_names_the_folder(tmp_path):
    training = read_training(write_live_run(tmp_path, "a run", 1))
    assert resume_command(training.folder) == f"python -m train --resume '{tmp_path}/a run'"
    assert resume_command(RUNS_FOLDER / "x") == "python -m train --resume artifacts/runs/x"


def test_a_folder_that_may_not_be_entered_is_listed_with_what_is_wrong(tmp_path, monkeypatch):
    """Simulated: whoever runs the tests as root may enter all."""
    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(Path, "is_file", lambda path: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    trainings, problems = find_trainings(tmp_path)
    assert not trainings and "closed cannot be read (Permission denied)" in problems["closed"]


def test_broken_folders_are_listed_with_what_is_wrong(tmp_path):
    shutil.copytree(RUNS_FOLDER / "published-reference", tmp_path / "damaged")
    (tmp_path / "damaged" / "history.csv").write_text("epoch\n1\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "current.json").write_text("{}")
    (write_live_run(tmp_path, "half") / "config.json").write_text("{")
    (write_live_run(tmp_path, "list") / "progress.json").write_text("[1]")
    trainings, problems = find_trainings(tmp_path)
    assert not trainings and set(problems) == {"damaged", "empty", "half", "list"}
    assert "history.csv is damaged" in problems["damaged"]
    assert "manifest.json is missing" in problems["empty"]
    assert "cannot be read" in problems["half"]
    assert "progress.json does not hold what it should" in problems["list"]


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"created": None},
            {"created": 5},
            {"created": "yesterday"},
            {"files": []},
            {"files": None},
            {"files": {"a": None}},
        ),
        *({"files": {"../a": "0"}}, {"name": {}}, {"run_id": None}, {"groups": []}, {"groups": {"Tops": None}}),
        *({"groups": {"Tops": [1]}}, {"notes": "a"}, {"stages": {}}, {"in_scope": 1}, {"input": []}),
    ],
    ids=str,
)
def test_a_manifest_that_holds_something_else_breaks_its_own_run_only(tmp_path, change):
    for name in ("good", "odd"):
        shutil.copytree(RUNS_FOLDER / "published-reference", tmp_path / name)
    path = tmp_path / "odd" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    runs, broken = find_runs(tmp_path)
    assert [run.folder.name for run in runs] == ["good"]
    assert "odd/manifest.json does not hold what it should: " in broken["odd"]


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("lr", ["fast"] * 8, "something other than numbers in lr"),
        ("epoch", [1, 2, 2, 3, 4, 5, 6, 7], "epochs must count up"),
        ("stage", [1, None, 2, 2, 3, 3, 4, 4], "epochs must count up, each with its stage"),
        ("val_accuracy", [90.0] * 8, "val_accuracy must lie between 0 and 1"),
    ],
)
def test_a_history_that_cannot_be_is_refused(tmp_path, column, values, message):
    run = write_run(tmp_path, "run", history=history_table().assign(**{column: values}))
    with pytest.raises(BrokenRun, match=message):
        finished(run)


def test_a_history_without_a_column_is_refused(tmp_path):
    run = write_run(tmp_path, "run", history=history_table().drop(columns=["lr", "seconds"]))
    with pytest.raises(BrokenRun, match=r"lacks the column\(s\) lr, seconds"):
        finished(run)


def test_few_values_are_all_drawn():
    assert history.kept_when_thinned(np.zeros(600)).tolist() == list(range(600))


def test_thinning_keeps_ends_peaks_and_gaps():
    values = np.sin(np.arange(5000.0))
    values[1234], values[2345], values[3456] = 9, -9, np.nan
    kept = history.kept_when_thinned(values, 600)
    assert len(kept) <= 602 and {0, 4999, 1234, 2345, 3456} <= set(kept) and (np.diff(kept) > 0).all()


def test_classes_are_counted_in_all(tmp_path):
    table = history.classes_table(finished(write_run(tmp_path, "run")))
    assert len(table) == 15 and table[["train", "val", "test", "photos"]].iloc[0].tolist() == [9, 2, 3, 14]


def test_every_column_of_the_history_is_in_the_contract():
    contract = (ROOT / "docs" / "architecture.md").read_text()
    assert ", ".join(COLUMNS) in contract
    assert all(f"`{column}`" in contract for column in OPTIONAL)


def test_columns_that_a_run_lacks_are_unknown(tmp_path):
    epochs = finished(write_run(tmp_path, "old", history=history_table()[list(COLUMNS)])).epochs
    assert epochs[list(OPTIONAL)].isna().all(axis=None)


def test_a_row_cut_off_in_mid_write_is_left_out_and_said_so(tmp_path):
    folder = write_live_run(tmp_path, "live", 3)
    path = folder / "history.csv"
    path.write_text(path.read_text().rstrip().rpartition(",")[0].rpartition(",")[0])
    training = read_training(folder)
    assert training.epochs["epoch"].tolist() == [1, 2]
    assert training.remarks == ("The last row of history.csv was cut off and is left out.",)


@pytest.mark.parametrize("loss", ["nan", "NaN", "inf"])
def test_a_loss_that_is_not_finite_is_infinite_and_an_empty_one_unknown(tmp_path, loss):
    table = history_table().astype({"train_loss": object})
    table.loc[2, "train_loss"], table.loc[3, "train_loss"] = loss, ""
    epochs = finished(write_run(tmp_path, "run", history=table)).epochs
    assert math.isinf(epochs["train_loss"][2]) and math.isnan(epochs["train_loss"][3])


ONE_EACH = (1, 1, 1, 1)  # epochs of each stage


def with_elsewhere(phone: list[float | None]) -> pd.DataFrame:
    table = history_table(ONE_EACH).assign(val_accuracy=[0.8, 0.9, 0.85, 0.7])
    return table.assign(val_phone_accuracy=phone, val_worn_accuracy=np.nan)


def test_a_history_without_photos_from_elsewhere_is_read_as_one_where_they_are_unknown(tmp_path):
    old = finished(write_run(tmp_path, "old", ONE_EACH, history=history_table(ONE_EACH)))
    new = finished(write_run(tmp_path, "new", ONE_EACH, history=with_elsewhere([0.5, 0.6, 0.9, 0.8])))
    assert old.epochs[list(ELSEWHERE)].isna().to_numpy().all()
    assert list(old.epochs) == list(new.epochs)
    assert new.epochs["val_phone_accuracy"].tolist() == [0.5, 0.6, 0.9, 0.8]


def test_the_best_epoch_is_best_over_products_and_photos_from_elsewhere_as_for_the_trainer(tmp_path):
    training = finished(write_run(tmp_path, "run", ONE_EACH, history=with_elsewhere([0.5, 0.6, 0.9, 0.8])))
    rows = training.epochs.replace({np.nan: None}).to_dict("records")
    assert training.best["epoch"] == 3 == max(rows, key=validation_score)["epoch"]
    assert training.best_accuracy == 0.85
    alone = finished(write_run(tmp_path, "alone", ONE_EACH, history=with_elsewhere([None] * 4)))
    assert alone.best["epoch"] == 2


def test_a_share_of_photos_from_elsewhere_that_cannot_be_is_refused(tmp_path):
    run = write_run(tmp_path, "run", ONE_EACH, history=with_elsewhere([0.5, 60.0, 0.9, 0.8]))
    with pytest.raises(BrokenRun, match="val_phone_accuracy must lie between 0 and 1"):
        finished(run)
