"""The trainer's commands: usage, `status` in each state of a run, and `download` with and without Kaggle's tools."""

import json
import os
import re
import stat
import sys
import time
import types

import pandas as pd
import pytest

from core.artifacts import training
from core.artifacts.run import sha256_of
from core.artifacts.training import COLUMNS
from train import download as module
from train.__main__ import main
from train.folder import Progress, write_csv, write_json

ROW = dict(zip(COLUMNS, [1, 1, "head", 30735, 1e-3, 1.5, 0.5, 1.25, 0.625, 0.375, 64, 2.0, 32.0, "cpu"], strict=True))
LINE = (
    "epoch  1/8  stage 1 (head)  lr 0.001  train loss 1.500 accuracy 50.0%  "
    "validation loss 1.250 accuracy 62.5% macro-F1 37.5%  32 images/s"
)
TRAINING = {
    **{"stage": 2, "stage_name": "+ layer4", "epoch": 3, "step": 20, "steps": 176, "train_loss": 0.75},
    **{"train_accuracy": 0.8, "images_per_second": 41.0, "seconds_left": 1800.0},
}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "20260101-120000-default"
    folder.mkdir()
    write_json(folder / "resume.json", {})
    write_json(folder / "config.json", {"resolved": {"stages": [{"epochs": 3}, {"epochs": 5}]}})
    write_csv(folder / "history.csv", pd.DataFrame([ROW]))
    return folder


def status(folder, capsys) -> str:
    assert main(["status", str(folder)]) == 0
    return capsys.readouterr().out


def test_without_data_the_usage_says_what_is_needed(capsys):
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "--data is needed: the Kaggle zip or its extracted folder (or --smoke)" in capsys.readouterr().err


def test_help_shows_the_commands(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for part in ["python -m train status RUN", "python -m train download", "--resume", "torchrun --nproc-per-node 2"]:
        assert part in shown


def test_smoke_ends_by_saying_that_little_accuracy_is_expected_of_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("train.pipeline.start", lambda *_: None)
    assert main(["--smoke", "--cache", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("so expect an accuracy near chance.\n")


def test_cuda_is_refused_where_there_is_none(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["--data", str(tmp_path), "--recipe", "smoke", "--device", "cuda"]) == 1
    assert "torch finds no CUDA device here" in capsys.readouterr().err


def test_a_running_training_shows_epoch_loss_accuracy_speed_and_time_left(run, capsys):
    Progress(run, stages=4, epochs=8).update(**TRAINING)
    first, second, last = status(run, capsys).splitlines()
    assert first == f"{run.name}: training, epoch 3 of 8, step 20 of 176, stage 2 of 4 (+ layer4)"
    assert re.fullmatch(r"loss 0\.750, accuracy 80\.0%, 41 images/s, 30 min left; last heartbeat \d+ s ago", second)
    assert last == LINE


def test_a_training_that_only_began_says_so(run, capsys):
    assert status(run, capsys).startswith(
        f"{run.name}: starting, or killed before its first heartbeat\n"
        f"To begin again if it was: `python -m train --resume {run}`\n"
    )
    Progress(run, stages=4, epochs=8).update(now=True)
    assert status(run, capsys).startswith(f"{run.name}: starting\n")


def test_a_run_past_training_shows_its_phase(run, capsys):
    Progress(run, stages=4, epochs=8).update(now=True, state="evaluating", **TRAINING)
    assert status(run, capsys).startswith(f"{run.name}: evaluating\n")


def test_a_killed_training_says_how_to_resume_and_is_dead_for_the_history_page_too(run, capsys):
    """The heartbeat of a process that is gone, which the page and the command must not judge by rules of their own."""
    Progress(run, stages=4, epochs=8).update(**TRAINING)
    pid = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(pid, 0)
    path = run / "progress.json"
    write_json(path, json.loads(path.read_text()) | {"pid": pid})
    assert training.status(training.read_training(run)) == "trainer died"
    assert status(run, capsys).splitlines() == [
        f"{run.name}: trainer died",
        f"To resume: `python -m train --resume {run}`",
        LINE,
    ]


def test_a_stopped_training_says_why(run, capsys):
    Progress(run, stages=4, epochs=8).update(now=True, state="stopped", message="No space left on device")
    assert status(run, capsys).startswith(f"{run.name}: stopped: No space left on device\nTo resume:")


def test_a_finished_run_shows_its_result(run, capsys):
    write_json(run / "metrics.json", {"test": {"accuracy": {"value": 0.9125}, "photos": 1400}})
    (run / "model.safetensors").write_bytes(b"weights")
    files = {
        name: sha256_of(run / name) for name in ("metrics.json", "history.csv", "config.json", "model.safetensors")
    }
    manifest = {
        "schema": 1,
        "run_id": run.name,
        "name": "x",
        "origin": "measured",
        "created": "2026-01-01T00:00:00+00:00",
    }
    write_json(run / "manifest.json", manifest | {"groups": {}, "best_epoch": 7, "files": files})
    assert status(run, capsys).splitlines() == [
        f"{run.name}: finished; best epoch 7, test accuracy 91.2% of 1400 photos",
        LINE,
    ]


def test_a_published_run_has_no_training_to_show(run, capsys):
    manifest = {
        "schema": 1,
        "run_id": run.name,
        "name": "x",
        "origin": "published",
        "created": "2026-01-01T00:00:00+00:00",
    }
    write_json(run / "manifest.json", manifest | {"groups": {}, "files": {}})
    assert status(run, capsys) == f"{run.name}: published; it carries no network\n"


def test_what_is_no_run_has_no_status(tmp_path, capsys):
    assert main(["status", str(tmp_path / "nowhere")]) == 1
    assert "nowhere is not a run folder" in capsys.readouterr().err


def test_the_status_of_a_run_leaves_it_as_it_was(run, capsys):
    Progress(run, stages=4, epochs=8).update(**TRAINING)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    status(run, capsys)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.fixture
def no_tools(monkeypatch, tmp_path):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


BY_HAND = [
    "https://www.kaggle.com/datasets/paramaggarwal/fashion-product-images-small",
    "python -m train --data PATH/archive.zip",
    "pip install kagglehub",
]


def assert_says_by_hand(capsys, reason):
    message = capsys.readouterr().err
    for part in [reason, *BY_HAND]:
        assert part in message


def test_without_kaggles_tools_download_says_what_to_do_by_hand(no_tools, capsys):
    assert main(["download"]) == 1
    assert_says_by_hand(capsys, "Neither kagglehub nor the Kaggle command line is installed.")


def pretend_kagglehub(monkeypatch, fetch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: object())
    kagglehub = types.ModuleType("kagglehub")
    kagglehub.dataset_download = fetch
    monkeypatch.setitem(sys.modules, "kagglehub", kagglehub)


def test_kagglehub_fetches_into_the_folder_and_the_command_to_train_follows(tmp_path, capsys, monkeypatch):
    asked = []
    pretend_kagglehub(monkeypatch, lambda handle, output_dir: asked.append((handle, output_dir)) or f"{output_dir}/set")
    assert main(["download", "--to", str(tmp_path)]) == 0
    assert asked == [("paramaggarwal/fashion-product-images-small", str(tmp_path))]
    assert f"python -m train --data {tmp_path}/set" in capsys.readouterr().out


def test_kagglehub_without_network_or_credentials_says_what_to_do_by_hand(capsys, monkeypatch):
    def offline(handle, output_dir):
        raise RuntimeError("Name or service not known")

    pretend_kagglehub(monkeypatch, offline)
    assert main(["download"]) == 1
    assert_says_by_hand(capsys, "kagglehub could not fetch the data set (Name or service not known).")


def pretend_command_line(folder, script):
    path = folder / "kaggle"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_the_kaggle_command_line_fetches_the_zip(no_tools, capsys):
    pretend_command_line(no_tools, 'echo "$@" > "$6/asked"')
    assert main(["download", "--to", str(no_tools)]) == 0
    assert (no_tools / "asked").read_text().split()[:4] == [
        *("datasets", "download", "-d", "paramaggarwal/fashion-product-images-small")
    ]
    assert f"--data {no_tools}/fashion-product-images-small.zip" in capsys.readouterr().out


def test_a_failing_command_line_says_what_to_do_by_hand(no_tools, capsys):
    pretend_command_line(no_tools, "echo 401 - Unauthorized >&2; exit 1")
    assert main(["download"]) == 1
    assert_says_by_hand(capsys, "could not fetch the data set (401 - Unauthorized).")


def test_a_heartbeat_long_ago_is_told(run, capsys, monkeypatch):
    Progress(run, stages=4, epochs=8).update(**TRAINING)
    path = run / "progress.json"
    write_json(path, json.loads(path.read_text()) | {"updated": time.time() - 600})
    assert "last heartbeat 10 min ago" in status(run, capsys)
