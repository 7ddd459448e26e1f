"""The sentences on a training say what its numbers say."""

import msgspec
import numpy as np
import pandas as pd
import pytest

from core.analysis import history
from core.analysis import text as words
from core.analysis.comparison import Comparison
from core.artifacts.data_report import CustomPhotos, DataReport
from core.artifacts.run import Run
from core.artifacts.training import HISTORY_COLUMNS, Training, finished, read_training
from core.settings import RUNS_FOLDER
from tests.run_factory import data_report, history_table, write_live_run, write_run


def accuracies(train: list[float], val: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"epoch": range(1, len(train) + 1), "train_accuracy": train, "val_accuracy": val})


@pytest.fixture(scope="module")
def published() -> Training:
    return finished(Run.load(RUNS_FOLDER / "published-reference"))


@pytest.mark.parametrize(
    ("train", "val", "expected"),
    [
        (
            [0.95],
            [0.899],
            "At epoch 1 training accuracy is 5.1 points above validation: overfitting.",
        ),
        ([0.94], [0.90], "4.0 points above validation: neither"),
        (
            [0.90, 0.92],
            [0.90, 0.89],
            "Since epoch 1 training gained 2.0 points and validation none: a first sign of overfitting, though",
        ),
        ([0.90, 0.905], [0.90, 0.89], "1.5 points above validation: neither"),
        ([0.85], [0.879], "2.9 points below validation: augmentation makes training photos harder"),
        ([0.87], [0.88], "1.0 points below validation: neither"),
        ([0.9, np.nan], [0.9, 0.95], "At epoch 1 training accuracy is 0.0 points above"),
        ([np.nan], [0.9], "Overfitting cannot be judged"),
    ],
)
def test_the_gap_is_put_into_words(train, val, expected):
    assert expected in words.gap_in_words(accuracies(train, val))


def test_the_published_run_begins_to_overfit_after_its_best_epoch(published):
    assert "Since epoch 9 training gained 2.6 points and validation none" in words.gap_in_words(published.epochs)


def test_the_headline_is_the_story_of_unfreezing(published):
    assert words.headline(published) == (
        "Best validation accuracy 91.45% (epoch 9 of 12), up from 82.68% in stage 1 (head)."
    )
    assert words.circumstances(published) == (
        "Published, 4 stages, 81 min of training, 29.8 images/s, on cuda (RTX 3080)."
    )


def test_a_run_in_training_speaks_of_so_far(tmp_path):
    begun = read_training(write_live_run(tmp_path, "begun", 3))
    assert "of 3), up from" in words.headline(begun) and words.headline(begun).endswith(", so far.")
    empty = read_training(write_live_run(tmp_path, "empty"))
    assert words.headline(empty) == "No epoch has been validated yet."
    assert words.circumstances(empty) == "In training."


def test_a_single_stage_gains_nothing_by_unfreezing(tmp_path):
    table = history_table()[:1]
    training = finished(write_run(tmp_path, "one", history=table))
    assert "up from" not in words.headline(training) and ", 1 stage, " in words.circumstances(training)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (7140, "119 min"), (7500, "2 h 05 min"), (float("nan"), "unknown")],
)
def test_durations_are_readable(seconds, expected):
    assert words.duration(seconds) == expected


def compared(tmp_path, **other) -> str:
    first = write_run(tmp_path, "first", data_fingerprint="abc")
    better = history_table().assign(val_accuracy=lambda table: table["val_accuracy"] + 0.01)
    second = write_run(tmp_path, "second", history=better, **({"data_fingerprint": "abc"} | other))
    settings = {"val_fraction": 0.1, "test_fraction": 0.1, "seed": 0}
    trainings = [finished(run) for run in (first, second)]
    for training in trainings:
        training.config.update(settings)
    return words.comparison(trainings)


def test_runs_on_the_same_photos_are_compared(tmp_path):
    said = compared(tmp_path)
    assert said.startswith("Best of 2: Run second with") and said.endswith("1.00 points above Run first.")


def test_runs_on_other_photos_are_compared_with_a_warning(tmp_path):
    assert "not validated on the same photos" in compared(tmp_path, data_fingerprint="xyz")


def test_runs_of_unknown_photos_are_compared_with_a_warning(tmp_path):
    assert "not validated on the same photos" in compared(tmp_path, data_fingerprint=None)


def test_one_known_run_is_not_compared(tmp_path, published):
    empty = read_training(write_live_run(tmp_path, "empty"))
    assert words.comparison([published, empty]) == ""


def test_data_is_put_into_words():
    said = " ".join(words.data_in_words(msgspec.convert(data_report(), DataReport)))
    assert "250 photos, 210 of them of these classes, from catalogue.zip." in said
    assert "3 of 5 custom photos (ids from 60001) were loaded, for training only. Failed: ids 60002, 60004." in said
    assert "9 photos are near-duplicates, in 4 groups" in said


def test_custom_photos_of_the_published_run_are_as_published(published):
    assert "43 of 55 custom photos (ids from 60001) were loaded" in " ".join(words.data_in_words(published.data))


def test_no_custom_photos_are_said_to_be_none():
    data = DataReport(custom=CustomPhotos(ids_from=60001, appended=0))
    assert words.data_in_words(data) == ["No custom photos (ids from 60001) were appended to the catalogue."]


def test_every_column_of_a_shown_table_has_a_heading(published):
    shown = [*history.runs_table([published]), *history.stage_table(published), *HISTORY_COLUMNS]
    assert set(shown) <= set(words.HEADINGS)


def test_a_run_that_continued_from_others_names_them_with_what_they_reached(tmp_path):
    first, second, third = (
        finished(write_run(tmp_path, name, initial_weights=begun_with))
        for name, begun_with in (("a", "imagenet"), ("b", "a-epoch6.safetensors"), ("c", "b"))
    )
    best = f"{first.best_accuracy:.2%}"
    assert words.continued_from(history.lineage(third, [third, first, second])) == (
        f"Continued from Run b (best validation {best}), which continued from Run a (best validation {best})."
    )
    assert words.continued_from([first]) == ""


def test_the_published_total_is_told_from_the_sum_of_the_known_epochs(published, tmp_path):
    assert words.total_in_words(published) == (
        "Training time is the published total of 4,858 s; the 11 epochs with a known time sum to 4,584.8 s, and epoch 4 is unknown."
    )
    assert words.total_in_words(finished(write_run(tmp_path, "whole"))) == ""


def test_validation_that_falls_three_epochs_in_a_row_and_a_loss_that_is_not_finite_are_alarms(tmp_path):
    table = history_table()
    table.loc[4:, "val_accuracy"] = [0.9, 0.8, 0.7, 0.6]
    falls = finished(write_run(tmp_path, "falls", history=table))
    assert words.alarms(falls) == [
        "Validation accuracy has fallen for 3 epochs in a row. Consider a lower learning rate."
    ]
    table.loc[7, ["val_accuracy", "val_loss"]] = [0.75, np.inf]
    bad = finished(write_run(tmp_path, "bad", history=table))
    assert words.alarms(bad) == ["The loss is not finite in epoch 8. Lower the learning rate and train again."]
    assert words.alarms(finished(write_run(tmp_path, "good"))) == []


def test_a_stage_is_judged_by_mcnemars_test():
    right = np.ones(100, bool)
    before = right.copy()
    before[:30] = False
    rows = np.arange(100)
    assert words.change_in_words(Comparison(rows, rows, before, right)) == (
        "30 of 100 validation photos changed: 30 became correct, 0 incorrect. That is a significant difference (McNemar p < 0.001)."
    )
    assert "no significant difference (McNemar p = 1.00)" in words.change_in_words(Comparison(rows, rows, right, right))


def test_repeats_say_what_the_seed_alone_changes(tmp_path):
    tables = [history_table().assign(val_accuracy=value) for value in (0.80, 0.82)]
    trainings = [finished(write_run(tmp_path, str(i), history=table)) for i, table in enumerate(tables)]
    assert words.repeats_in_words(trainings) == (
        "2 trainings of this recipe: best validation accuracy 81.00% on average, 80.00% to 82.00%. "
        "Differences below 2.00 points are within the noise of the seed."
    )


def test_the_comparison_with_the_published_run_names_its_test(published, tmp_path):
    said = words.against_published(finished(write_run(tmp_path, "ours")), published)
    assert "Test accuracy 90.00% of 300 photos against about 90-91% as published: no significant difference" in said
    assert "Fisher's exact test" in said and "published 91% of about 1,520 photos" in said
    assert words.against_published(published, published) == ""


def test_the_loss_of_training_is_explained_by_the_settings_that_raise_it(tmp_path):
    harder = history_table().assign(train_loss=lambda table: table["val_loss"] + 0.4)
    settings = {"label_smoothing": 0.05, "dropout": 0.0, "augmentation": {"mixup": 0.2, "flip": 0.5}}
    training = finished(write_run(tmp_path, "harder", history=harder, settings=settings))
    assert words.why_training_loss_is_higher(training) == (
        "Training loss is above validation loss because of label smoothing 0.05, mixup 0.2 and augmentation."
    )
    unknown = finished(write_run(tmp_path, "unknown", history=harder))
    easier = finished(write_run(tmp_path, "easier", history=harder.assign(train_loss=0.0), settings=settings))
    assert words.why_training_loss_is_higher(unknown) == "" == words.why_training_loss_is_higher(easier)


def test_validation_figures_are_told_apart_from_those_of_the_served_network(tmp_path):
    served = {"float32": 0.921, "int8": 0.923, "photos": 256, "accepted": True}
    training = finished(write_run(tmp_path, "served", quantisation=served))
    said = words.which_validation(training)
    assert "is measured after each epoch" in said
    assert "92.1% in floating point and 92.3% as served on a processor (8-bit integers)" in said
    plain = finished(write_run(tmp_path, "plain", quantisation=served | {"accepted": False}))
    assert "8-bit" not in words.which_validation(plain)


def test_an_unfinished_run_says_how_it_stands_and_how_to_go_on(tmp_path):
    live, dead, stopped = (
        read_training(write_live_run(tmp_path, name, 1, **told))
        for name, told in (("live", {}), ("dead", {"updated": 0.0}), ("stopped", {"state": "stopped"}))
    )
    assert words.unfinished(live) == "still in training, stage 2 of 4."
    assert words.unfinished(dead).startswith("trainer died before the end. Continue with `python -m train --resume ")
    assert words.unfinished(stopped).startswith("stopped before the end. Continue with `python -m train --resume ")


def test_a_stage_is_described_as_far_as_it_is_known(published, tmp_path):
    first = history.stage_table(published).iloc[0].to_dict()
    assert words.stage_in_words(first) == "2 epochs, 30,735 trainable parameters."
    ours = history.stage_table(finished(write_run(tmp_path, "run"))).iloc[0].to_dict()
    assert words.stage_in_words(ours) == "1 epoch, 30,735 trainable parameters, learning rate up to 0.001."


def test_p_values_fit_a_table():
    assert [words.p_value(p) for p in (0.3424, 0.0002, float("nan"))] == ["0.342", "< 0.001", ""]
