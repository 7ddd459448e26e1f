"""The sentences on a training say what its numbers say."""

import numpy as np
import pandas as pd
import pytest

from core.analysis import history
from core.analysis import text as words
from core.artifacts.run import Run
from core.artifacts.training import COLUMNS, Training, finished, read_training
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
            "At epoch 1 training accuracy is 5.1 points above validation: the network has begun to learn",
        ),
        ([0.94], [0.90], "4.0 points above validation: neither"),
        (
            [0.90, 0.92],
            [0.90, 0.89],
            "Since epoch 1 training has gained 2.0 points and validation none: a first sign of overfitting, though",
        ),
        ([0.90, 0.905], [0.90, 0.89], "1.5 points above validation: neither"),
        ([0.85], [0.879], "2.9 points below validation: training photos are made harder"),
        ([0.87], [0.88], "1.0 points below validation: neither"),
        ([0.9, np.nan], [0.9, 0.95], "At epoch 1 training accuracy is 0.0 points above"),
        ([np.nan], [0.9], "Neither over- nor underfitting can be told"),
    ],
)
def test_the_gap_is_put_into_words(train, val, expected):
    assert expected in words.gap_in_words(accuracies(train, val))


def test_the_published_run_begins_to_overfit_after_its_best_epoch(published):
    assert "Since epoch 9 training has gained 2.6 points and validation none" in words.gap_in_words(published.epochs)


def test_the_headline_is_the_story_of_unfreezing(published):
    assert words.headline(published) == (
        "91.45% of the validation photos named right, at epoch 9 of 12, up from 82.68% in stage 1 (head)."
    )
    assert words.circumstances(published) == (
        "Published, 4 stages, 81 min of training, 29.8 images/s, on cuda (RTX 3080)."
    )


def test_a_run_in_training_speaks_of_so_far(tmp_path):
    begun = read_training(write_live_run(tmp_path, "begun", 3))
    assert "of 3, up from" in words.headline(begun) and words.headline(begun).endswith(", so far.")
    empty = read_training(write_live_run(tmp_path, "empty"))
    assert words.headline(empty) == "No epoch has been validated yet."
    assert words.circumstances(empty) == "In training."


def test_a_single_stage_gains_nothing_by_unfreezing(tmp_path):
    table = history_table()[:1]
    training = finished(write_run(tmp_path, "one", history=table))
    assert "up from" not in words.headline(training) and ", 1 stage, " in words.circumstances(training)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(89.4, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (float("nan"), "not known")],
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
    assert said.startswith("Best of 2: Run second with") and said.endswith("1.00 points over Run first.")


def test_runs_on_other_photos_are_compared_with_a_warning(tmp_path):
    assert "not validated on the same photos" in compared(tmp_path, data_fingerprint="xyz")


def test_runs_of_unknown_photos_are_compared_with_a_warning(tmp_path):
    assert "not validated on the same photos" in compared(tmp_path, data_fingerprint=None)


def test_one_known_run_is_not_compared(tmp_path, published):
    empty = read_training(write_live_run(tmp_path, "empty"))
    assert words.comparison([published, empty]) == ""


def test_data_is_put_into_words():
    said = " ".join(words.data_in_words(data_report()))
    assert "250 photos, 210 of them of these classes, from catalogue.zip." in said
    assert (
        "3 of 5 custom photos (ids from 60001) were loaded; all of them only train. Failed: ids 60002, 60004." in said
    )
    assert "9 photos are near-duplicates, in 4 groups" in said


def test_custom_photos_of_the_published_run_are_as_published(published):
    assert "43 of 55 custom photos (ids from 60001) were loaded" in " ".join(words.data_in_words(published.data))


def test_no_custom_photos_are_said_to_be_none():
    data = {"custom": {"ids_from": 60001, "appended": 0, "loaded": 0}}
    assert words.data_in_words(data) == ["No custom photos (ids from 60001) were appended to the catalogue."]


def test_every_column_of_a_shown_table_has_a_heading(published):
    shown = [*history.runs_table([published]), *history.stage_table(published), *COLUMNS]
    assert set(shown) <= set(words.HEADINGS)


def test_a_run_that_went_on_from_another_names_it_with_what_that_reached(tmp_path):
    before, after = (
        finished(write_run(tmp_path, name, **more))
        for name, more in (("before", {}), ("after", {"initial_weights": "before"}))
    )
    said = words.went_on_from(after, [before, after])
    assert said.startswith(
        f"It went on from Run before (best validation {before.best_accuracy:.2%}), so stage 1 starts high"
    )
    assert words.went_on_from(before, [before, after]) == "" == words.went_on_from(after, [after])


def test_the_loss_of_training_is_explained_by_the_settings_that_raise_it(tmp_path):
    harder = history_table().assign(train_loss=lambda table: table["val_loss"] + 0.4)
    settings = {"label_smoothing": 0.05, "dropout": 0.0, "augmentation": {"mixup": 0.2, "flip": 0.5}}
    training = finished(write_run(tmp_path, "harder", history=harder, settings=settings))
    assert words.losses_in_words(training) == (
        "Training loss lies above validation loss because only training has label smoothing 0.05, mixup 0.2 and augmentation."
    )
    unknown = finished(write_run(tmp_path, "unknown", history=harder))
    easier = finished(write_run(tmp_path, "easier", history=harder.assign(train_loss=0.0), settings=settings))
    assert words.losses_in_words(unknown) == "" == words.losses_in_words(easier)


def test_validation_figures_are_told_apart_from_those_of_the_served_network(tmp_path):
    served = {"float32": 0.921, "int8": 0.923, "photos": 256, "accepted": True}
    training = finished(write_run(tmp_path, "served", quantisation=served))
    said = words.which_validation(training)
    assert "as measured after each epoch" in said
    assert "92.1% right in floating point and 92.3% as served on a processor, in 8 bits" in said
    plain = finished(write_run(tmp_path, "plain", quantisation=served | {"accepted": False}))
    assert "8 bits" not in words.which_validation(plain)


def test_an_unfinished_run_says_how_it_stands_and_how_to_go_on(tmp_path):
    live, dead, stopped = (
        read_training(write_live_run(tmp_path, name, 1, **told))
        for name, told in (("live", {}), ("dead", {"updated": 0.0}), ("stopped", {"state": "stopped"}))
    )
    assert words.unfinished(live) == "still in training, stage 2 of 4."
    assert words.unfinished(dead).startswith("trainer died before the end. Go on with `python -m train --resume ")
    assert words.unfinished(stopped).startswith("stopped before the end. Go on with `python -m train --resume ")
