"""The training history page as a script: selection, overlay, live, missing and broken runs, and its numbers against the files."""

import csv
import io
import json
import os
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from scipy.stats import binomtest
from streamlit.testing.v1 import AppTest

from core.artifacts import training
from core.artifacts.run import sha256_of
from core.settings import RUNS_FOLDER
from core.ui.history import runs as chooser
from tests.conftest import ROOT
from tests.run_factory import history_table, write_live_run, write_run


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder of runs with the published one in it."""
    shutil.copytree(RUNS_FOLDER / "published-reference", tmp_path / "published-reference")
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path))
    return tmp_path


def opened(**address: str | list[str]) -> AppTest:
    page = AppTest.from_file(str(ROOT / "pages" / "2_Training_history.py"), default_timeout=300)
    for name, value in address.items():
        page.query_params[name] = value
    return page.run()


def metrics(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def table_with(page: AppTest, column: str):
    """The first table of the page with a column."""
    return next(frame.value for frame in page.dataframe if column in frame.value.columns)


def texts(page: AppTest) -> str:
    kinds = (page.subheader, page.markdown, page.caption, page.info, page.warning, page.error)
    return " ".join(element.value.replace("\\", "") for kind in kinds for element in kind)


def quiet(page: AppTest) -> bool:
    return not page.exception and not page.error


def test_the_published_run_shows_its_own_figures(runs):
    page = opened()
    assert metrics(page) == {
        "Best validation": "91.45%",
        "Test accuracy": "≈ 90–91%",
        "Gain by unfreezing": "+8.77 pts",
        "Training time": "81 min",
    }
    assert quiet(page) and "nothing here was measured by this project" in texts(page)
    assert "the 11 epochs with a known time sum to 4,584.8 s, and epoch 4 is unknown" in texts(page)


def test_the_numbers_are_those_of_the_files(runs):
    write_run(runs, "ours")
    page = opened(runs="ours")
    with (runs / "ours" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    validation = [float(row["val_accuracy"]) for row in rows]
    first = max(float(row["val_accuracy"]) for row in rows if row["stage"] == "1")
    seconds = sum(float(row["seconds"]) for row in rows)
    test = json.loads((runs / "ours" / "metrics.json").read_text())["test"]["accuracy"]["value"]
    assert metrics(page) == {
        "Best validation": f"{100 * max(validation):.2f}%",
        "Test accuracy": f"{100 * test:.2f}%",
        "Gain by unfreezing": f"{100 * (max(validation) - first):+.2f} pts",
        "Training time": f"{seconds / 60:.0f} min",
    }
    stages = table_with(page, "peak_lr")
    assert stages["epochs"].tolist() == [1, 2, 1, 4]
    assert stages["final_train"].iloc[-1] == pytest.approx(100 * float(rows[-1]["train_accuracy"]))
    assert stages["best_validation"].max() == pytest.approx(100 * max(validation))
    epochs = table_with(page, "images_seen")
    assert epochs["val_accuracy"].tolist() == pytest.approx([100 * value for value in validation])
    assert epochs["seconds"].sum() == pytest.approx(seconds)
    row = table_with(page, "initial_weights").set_index("run_id").loc["ours"]
    assert row["best_epoch"] == 1 + validation.index(max(validation)) and row["hours"] == pytest.approx(seconds / 3600)


def test_a_curve_nobody_knows_is_not_offered(runs):
    write_run(runs, "ours")
    assert opened(runs="published-reference").button_group("curves").options == [
        "Accuracy",
        "Images per second",
        "Seconds",
    ]
    assert "Loss" in opened(runs=["published-reference", "ours"]).button_group("curves").options


def test_an_axis_that_cannot_be_counted_is_named(runs):
    assert "Hours cannot be counted beyond an unknown epoch" in texts(opened(axis="Hours"))


def test_no_run_at_all_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path))
    page = opened()
    assert "python -m train --smoke" in page.info[0].value and quiet(page)


def test_a_folder_of_runs_that_is_not_there_says_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path / "nowhere"))
    assert "python -m train --smoke" in opened().info[0].value


def test_no_run_chosen_asks_for_one(runs):
    page = opened()
    page.multiselect("runs").set_value([]).run()
    assert "Choose a run" in page.info[0].value and quiet(page)


def address(page: AppTest) -> list[str]:
    ids = page.query_params["runs"]
    return [ids] if isinstance(ids, str) else ids


def test_the_address_carries_the_ids_of_what_is_chosen_even_of_the_default(runs):
    write_run(runs, "ours")
    page = opened()
    assert page.multiselect("runs").value == address(page) == ["ours"]
    page.multiselect("runs").set_value(["published-reference", "ours"]).run()
    assert address(page) == ["published-reference", "ours"]


def test_a_link_shows_its_run_after_another_one_has_become_the_default(runs):
    write_run(runs, "ours")
    link = address(opened())
    write_run(runs, "newer", created="2027-01-01T00:00:00+00:00")
    assert opened(runs=link).multiselect("runs").value == ["ours"] and opened().multiselect("runs").value == ["newer"]


def test_ids_that_are_not_here_are_named_and_stay_in_the_address_until_another_choice(runs):
    write_run(runs, "ours")
    page = opened(runs=["ours", "gone"])
    assert page.multiselect("runs").value == ["ours"] and address(page) == ["ours", "gone"]
    assert "These runs are not here: gone." in texts(page)
    page.run()
    assert "These runs are not here: gone." in texts(page) and address(page) == ["ours", "gone"]
    page.multiselect("runs").set_value(["published-reference"]).run()
    assert "not here" not in texts(page) and address(page) == ["published-reference"]


def test_a_link_to_a_run_that_is_not_here_shows_no_other_in_its_place(runs):
    page = opened(runs="gone")
    assert page.multiselect("runs").value == [] and address(page) == ["gone"]
    assert "These runs are not here: gone." in texts(page) and not page.metric and quiet(page)


def test_a_finished_and_an_unfinished_run_are_both_kept(runs):
    write_run(runs, "ours")
    write_live_run(runs, "live", 2)
    page = opened(runs=["ours", "live"])
    assert page.multiselect("runs").value == address(page) == ["ours", "live"] and quiet(page)


def test_an_address_that_changes_while_the_page_is_open_is_followed(runs):
    """As by the browser's way back."""
    write_run(runs, "ours")
    page = opened(runs="ours")
    page.query_params["runs"] = ["published-reference"]
    page.run()
    assert page.multiselect("runs").value == address(page) == ["published-reference"]


def test_a_chosen_run_may_vanish(runs):
    write_run(runs, "ours")
    page = opened(runs="ours")
    shutil.rmtree(runs / "ours")
    page.run()
    assert quiet(page)


def test_several_runs_are_compared(runs):
    write_run(runs, "ours")
    page = opened(runs=["published-reference", "ours"])
    assert "Best of 2: published reference with 91.45%" in texts(page)
    assert table_with(page, "test_high")["run"].tolist() == ["published reference", "Run ours"]
    assert "published reference: At epoch 12" in texts(page).replace("*", "")
    assert "Run ours: At epoch 8" in texts(page).replace("*", "") and quiet(page)


def test_only_settings_that_differ_can_be_shown(runs):
    write_run(runs, "a")
    write_run(runs, "b", settings={"batch_size": 32})
    page = opened(runs=["a", "b"])
    assert len(table_with(page, "setting")) > 10
    page.toggle("differences").set_value(True).run()
    assert table_with(page, "setting")[["setting", "a", "b"]].values.tolist() == [["batch_size", "64", "32"]]


def test_a_broken_folder_is_named_and_the_rest_goes_on(runs):
    shutil.copytree(runs / "published-reference", runs / "broken")
    (runs / "broken" / "manifest.json").write_text("{")
    write_run(runs, "percent", history=history_table().assign(val_accuracy=90.0))
    page = opened()
    warnings = [warning.value.replace("\\", "") for warning in page.warning]
    assert any("broken" in warning and "cannot be read" in warning for warning in warnings)
    assert any("val_accuracy must lie between 0 and 1" in warning for warning in warnings)
    assert metrics(page)["Best validation"] == "91.45%" and quiet(page)


def test_only_broken_folders_are_still_named(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path))
    assert "empty: " in opened().warning[0].value


def test_a_run_in_training_shows_how_far_it_is_wherever_one_looks(runs):
    write_live_run(runs, "live", 2)
    assert [bar.value for bar in opened().get("progress")] == [int(100 * (2 + 5 / 10) / 8)]


def test_a_run_that_only_begins_can_be_chosen(runs):
    write_live_run(runs, "live")
    page = opened(runs="live")
    assert "No epoch has been validated yet." in texts(page) and "No epoch is finished yet." in texts(page)
    assert quiet(page)


def test_a_new_run_and_a_new_epoch_are_news(runs):
    def news():
        return chooser._news(training.find_trainings(runs)[0])

    before = news()
    folder = write_live_run(runs, "live", 1)
    begun = news()
    history_table()[:2].to_csv(folder / "history.csv", index=False)
    assert before != begun != news()
    progress = json.loads((folder / "progress.json").read_text())
    going_on = news()
    (folder / "progress.json").write_text(json.dumps(progress | {"step": 6, "updated": time.time()}))
    assert news() == going_on


def test_a_dead_trainer_is_called_dead_with_the_way_to_go_on(runs):
    folder = write_live_run(runs, "live", 2, updated=time.time() - 3600)
    page = opened(runs="live")
    assert "no heartbeat" in page.error[0].value
    assert f"python -m train --resume {folder}" in page.error[0].value and not page.exception


def test_a_dead_trainer_of_another_run_is_no_alarm(runs):
    write_live_run(runs, "live", 2, updated=time.time() - 3600)
    assert quiet(opened()) and "trainer died" in table_with(opened(), "initial_weights")["status"].tolist()


def test_a_trainer_that_stopped_says_why(runs):
    write_live_run(runs, "live", state="stopped", message="The disk is full.")
    assert "The disk is full." in opened(runs="live").error[0].value


def test_names_are_shown_as_text(runs):
    write_run(runs, "ours", name="*x* $a$ <b>", notes=["[click](http://a.b)"])
    page = opened(runs=["ours", "published-reference"])
    shown = [element.value for kind in (page.markdown, page.caption) for element in kind]
    assert not [text for text in shown if "[click](" in text or "*x*" in text.replace("\\*", "") or " $a$" in text]


def test_the_selector_names_runs_as_the_tables_do_and_old_addresses_by_name_still_open_them(runs):
    write_run(runs, "a", name="twin")
    write_run(runs, "b", name="twin")
    page = opened(runs=["b", "published-reference"])
    assert page.multiselect("runs").value == ["b", "published-reference"]
    assert set(page.multiselect("runs").options) == {"twin (a)", "twin (b)", "published reference"}
    every_run = [frame.value for frame in page.dataframe if "initial_weights" in frame.value.columns][-1]
    assert set(every_run["run"]) == {"twin (a)", "twin (b)", "published reference"}
    page.run()
    assert page.multiselect("runs").value == ["b", "published-reference"] and quiet(page)
    page = opened(runs="twin (a)")  # as older versions wrote addresses
    assert page.multiselect("runs").value == address(page) == ["a"]


def test_a_training_that_is_looked_at_stays_chosen_when_it_is_finished_and_gets_its_name(runs):
    page = opened(runs=write_live_run(runs, "live", 2).name)
    page.multiselect("runs").set_value(["live"]).run()
    shutil.rmtree(runs / "live")
    write_run(runs, "live", name="smoke recipe")
    page.run()
    assert page.multiselect("runs").value == ["live"] and "smoke recipe" in page.multiselect("runs").options


def test_following_a_training_logs_no_warning(runs, set_twice):
    write_live_run(runs, "live", 2)
    page = opened()
    page.button("follow_live").click().run()
    assert page.multiselect("runs").value == ["live"]
    page.run()
    assert page.multiselect("runs").value == ["live"] and quiet(page)
    assert not set_twice


def test_a_run_that_continued_from_another_is_shown_with_it_on_one_axis(runs):
    write_run(runs, "before")
    write_run(runs, "after", initial_weights="before", settings={"batch_size": 32})
    page = opened(runs="after")
    assert "Continued from Run before (best validation" in texts(page)
    stages = table_with(page, "peak_lr")
    assert stages["run"].tolist() == ["Run before"] * 4 + ["Run after"] * 4
    assert stages["stage"].tolist() == list(range(1, 9))
    changed = table_with(page, "setting")
    assert changed.values.tolist() == [["batch_size", "64", "32"]]
    assert "Run before → Run after: of 300 test photos 0 became correct and 0 incorrect" in texts(page)
    page.toggle("lineage").set_value(False).run()
    assert table_with(page, "peak_lr")["stage"].tolist() == [1, 2, 3, 4] and quiet(page)


def test_a_stage_names_the_photos_it_taught_with_a_paired_test(runs):
    write_run(runs, "ours")
    page = opened(runs="ours")
    page.button_group("stage-ours").set_value("2: + layer4").run()
    before, after = (pd.read_csv(runs / "ours" / f"validation_stage{stage}.csv").set_index("id") for stage in (1, 2))
    classes = list(before.columns[before.columns.get_loc("duplicate_group") + 1 :])
    right = [table[classes].idxmax(axis=1) == table["label"] for table in (before, after)]
    better = (~right[0] & right[1].reindex(right[0].index)).sum()
    worse = (right[0] & ~right[1].reindex(right[0].index)).sum()
    assert f"{better} became correct, {worse} incorrect" in texts(page)
    p = binomtest(int(better), int(better + worse)).pvalue
    row = table_with(page, "peak_lr").set_index("stage").loc[2]
    assert row[["became_correct", "became_incorrect"]].tolist() == [better, worse]
    assert row["p"] == (f"{p:.3f}" if p >= 0.001 else "< 0.001")
    photos = table_with(page, "probability")
    assert len(photos) == better and len(photos["probability"].iloc[0]) == 4 and quiet(page)


def heat_maps_of(folder: str, photo: bytes) -> None:
    """A page of nothing but a photo's heat maps before and after the second stage."""
    from core.artifacts.run import Run
    from core.ui.history.stages import _heat_maps

    run = Run.load(folder)
    _heat_maps(photo, (run.after_stage(1), run.after_stage(2)), ("Tops", "Tshirts"))


@pytest.mark.parametrize("kept", [("1", "2"), ("2",)])
def test_a_photo_has_heat_maps_before_and_after_a_stage_where_the_weights_of_both_were_kept(random_run, tmp_path, kept):
    weights, files = random_run.path("model.safetensors"), {}
    for number in kept:
        copy = tmp_path / f"network_stage{number}.safetensors"
        copy.write_bytes(weights.read_bytes())
        files[copy.name] = sha256_of(copy)
    (tmp_path / "manifest.json").write_text(json.dumps(random_run.manifest | {"files": files}))
    photo = io.BytesIO()
    Image.new("RGB", (60, 80), "teal").save(photo, "JPEG")
    page = AppTest.from_function(heat_maps_of, args=(str(tmp_path), photo.getvalue()), default_timeout=60).run()
    said = ["Before: predicted as Tops", "After: predicted as T-shirts"] if len(kept) == 2 else []
    assert [caption.value.replace("\\", "") for caption in page.caption] == said and not page.exception
    assert len(page.get("imgs") or page.get("image")) == len(said)


def test_repeats_of_a_recipe_are_offered_and_shown_as_a_group(runs):
    for seed in range(3):
        write_run(runs, f"seed{seed}", history=history_table(seed=seed), settings={"seed": seed})
    page = opened(runs="seed0")
    assert "3 trainings of this recipe" in texts(page)
    next(button for button in page.button if button.label == "Show all 3 runs of this recipe").click().run()
    assert page.multiselect("runs").value == address(page) == ["seed0", "seed1", "seed2"]
    assert page.toggle("grouped").value and quiet(page)


def test_trouble_of_a_training_is_an_alarm(runs):
    table = history_table()
    table.loc[4:, "val_accuracy"] = [0.9, 0.8, 0.7, 0.6]
    write_run(runs, "falls", history=table)
    assert any("fallen for 3 epochs" in warning.value for warning in opened(runs="falls").warning)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("curves", ["Loss", "Seconds", "Learning rate"]),
        ("axis", "Step"),
        ("smoothing", "0.5"),
        ("log", "true"),
        ("picture", "PNG"),
        ("tab", "Data"),
    ],
)
def test_every_control_can_be_set_by_the_address(runs, key, value):
    write_run(runs, "ours")
    page = opened(runs="ours", **{key: value})
    assert quiet(page) and len(page.metric) == 4
    shown = page.session_state[key]
    assert shown == {"smoothing": 0.5, "log": True}.get(key, value)


def test_no_curve_chosen_asks_for_one(runs):
    assert "Choose at least one curve." in texts(opened(curves=""))


def test_the_blocks_follow_the_chosen_stage(runs):
    page = opened()
    page.button_group("stage-published-reference").set_value("2: + layer4").run()
    alts = [chart.proto.alt for chart in page.get("plotly_chart")]
    assert "Blocks of ResNet50 that train in stage 2: head, layer4" in alts


def test_a_finished_run_is_read_once_and_again_when_a_file_changes(runs, monkeypatch):
    read = []
    original = chooser.read_training
    monkeypatch.setattr(chooser, "read_training", lambda folder: read.append(folder.name) or original(folder))
    opened()
    opened()
    assert read.count("published-reference") <= 1
    manifest = Path(runs / "published-reference" / "manifest.json")
    os.utime(manifest, (time.time() + 10, time.time() + 10))
    read.clear()
    opened()
    assert read == ["published-reference"]
