"""The run folder in the making: whole files only, one trainer at a time, a heartbeat that does not wear out the disk."""

import json
import time

import pandas as pd
import pytest

from core.artifacts import heartbeat
from core.errors import TrainingStopped
from train import folder as module
from train.folder import (
    Progress,
    history_command,
    only_trainer,
    reason_of,
    replaced,
    write_csv,
    write_json,
)


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with replaced(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_what_interrupts_a_write_leaves_the_old_file_alone(tmp_path, failure):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(type(failure)), replaced(path) as partial:
        partial.write_text("ne")
        raise failure
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_and_csv_are_written_as_they_read(tmp_path):
    write_json(tmp_path / "a.json", {"größe": [1, 0.1, None]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"größe": [1, 0.1, None]}
    write_csv(tmp_path / "a.csv", pd.DataFrame({"x": [1 / 3, None], "name": ["a,b", "ü"]}))
    assert (tmp_path / "a.csv").read_bytes().decode() == 'x,name\n0.333333,"a,b"\n,ü\n'


def test_a_second_trainer_is_turned_away_until_the_first_lets_go(tmp_path):
    another = pytest.raises(TrainingStopped, match=f"Another trainer is working on {tmp_path}")
    with only_trainer(tmp_path), another, only_trainer(tmp_path):
        pass
    with only_trainer(tmp_path):
        pass


def test_the_heartbeat_is_written_at_once_then_at_most_every_two_seconds(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    progress = Progress(tmp_path, stages=2, epochs=5)

    def on_disk():
        return json.loads((tmp_path / "progress.json").read_text())

    progress.update(step=1)
    assert (on_disk()["step"], on_disk()["epochs"]) == (1, 5)
    clock[0] = 101.9
    progress.update(step=2)
    assert on_disk()["step"] == 1
    clock[0] = 102.0
    progress.update(step=3)
    assert on_disk()["step"] == 3
    progress.update(now=True, state="exporting")
    assert (on_disk()["state"], on_disk()["step"]) == ("exporting", 3)


def test_the_heart_goes_on_beating_where_no_step_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.01)
    progress = Progress(tmp_path, stages=2, epochs=5)
    progress.update(now=True, state="exporting")

    def updated():
        return json.loads((tmp_path / "progress.json").read_text())["updated"]

    first, end = updated(), time.monotonic() + 10
    with progress.beating():
        while updated() == first and time.monotonic() < end:
            time.sleep(0.005)
    last = updated()
    assert last > first
    time.sleep(0.05)
    assert updated() == last, "it stopped with the block"


def test_a_full_disk_does_not_end_the_heartbeat_with_a_traceback(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(heartbeat, "INTERVAL", 0.01)
    monkeypatch.setattr(module, "write_json", full)
    with Progress(tmp_path, stages=2, epochs=5).beating():  # pytest makes an error of an exception in a thread
        time.sleep(0.1)


@pytest.mark.parametrize("leftover", [".history.csv.part", ".tmp0beVEO"])
def test_what_a_killed_writer_left_is_swept_out_before_anything_else(tmp_path, leftover):
    (tmp_path / leftover).write_text("half")
    (tmp_path / "history.csv").write_text("whole")
    with only_trainer(tmp_path):
        assert not (tmp_path / leftover).exists() and (tmp_path / "history.csv").read_text() == "whole"


def test_a_clock_that_jumps_back_silences_no_heartbeat(tmp_path, monkeypatch):
    clock = {"monotonic": 0.0, "time": 10_000.0}
    monkeypatch.setattr(module.time, "monotonic", lambda: clock["monotonic"])
    monkeypatch.setattr(module.time, "time", lambda: clock["time"])
    progress = Progress(tmp_path, stages=2, epochs=5)
    progress.update(epoch=1)
    clock.update(monotonic=3.0, time=6_400.0)
    progress.update(epoch=2)
    written = json.loads((tmp_path / "progress.json").read_text())
    assert (written["epoch"], written["updated"]) == (2, 6_400.0)


def test_a_run_that_lies_elsewhere_is_seen_with_the_folder_of_runs_named(tmp_path, monkeypatch):
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path / "runs"))
    assert history_command(tmp_path / "runs" / "run") == "python -m streamlit run Home.py"
    elsewhere = f"GARMENTS_RUNS='{tmp_path}/my runs' python -m streamlit run Home.py"
    assert history_command(tmp_path / "my runs" / "run") == elsewhere


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotADirectoryError(20, "Not a directory", "data/styles.csv/x"), "Not a directory: data/styles.csv/x"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("runs: the disk is full"), "runs: the disk is full"),
        (ValueError("a reason"), "a reason"),
    ],
)
def test_the_reason_of_an_error_has_no_number(error, words):
    assert reason_of(error) == words
