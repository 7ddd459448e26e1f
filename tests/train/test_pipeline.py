"""From data to a whole run folder: everything at once, killed at random moments, and every way it can end early."""

import errno
import json
import math
import os
import random
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.metrics import roc_auc_score

from core.artifacts.run import Run, current_run, find_runs
from core.feedback import Correction, store
from core.images.region import Region
from core.inference import model, providers
from core.inference.engine import Engine
from core.inference.model import BLOCKS, IMAGENET_MEAN, IMAGENET_STD
from core.inference.onnx_graph import QUANTISATION, head_of
from core.inference.postprocess import softmax
from core.inference.providers import CPU, CUDA
from tests.train_cases import (
    CLASSES,
    ROOT,
    SmallNet,
    differences,
    epochs_done,
    kill_small,
    photo,
    recipe_file,
    run_until,
    settings,
    small_rows,
    stage,
    use_small_network,
    write_catalogue,
    write_phone_photos,
    write_street_photos,
)
from train import export, head, initial_weights, pipeline, quantise
from train.__main__ import main
from train.config import parse_recipe
from train.dataset import build_index
from train.folder import only_trainer
from train.loop import State, Trainer
from train.quantise import Quality
from train.ship import choose_first
from train.splits import split

ALWAYS = {
    *("manifest.json", "config.json", "history.csv", "data.json", "metrics.json", "predictions.csv", "splits.csv"),
    *("model.safetensors", "neighbours.safetensors", "neighbours.csv", "embedding.csv"),
    *("attributes.json", "attributes.safetensors", "predictions_validation.csv", "scope_scores.csv"),
}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return write_catalogue(tmp_path_factory.mktemp("catalogue") / "data", small_rows())


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def small_network():
    with pytest.MonkeyPatch.context() as patched:
        use_small_network(patched)
        yield


def command(catalogue: Path, cache: Path, runs: Path, **changes) -> list[str]:
    runs.mkdir(exist_ok=True)
    recipe = recipe_file(runs.parent / "small.toml", **changes)
    return [
        *("--data", str(catalogue), "--recipe", str(recipe), "--init", "none"),
        *("--cache", str(cache), "--runs", str(runs), "--device", "cpu"),
    ]


def only_run(runs: Path) -> Path:
    (folder,) = (path for path in runs.iterdir() if path.is_dir())
    return folder


def contract(folder: Path, stages: int, stage_weights: bool = True) -> set[str]:
    """Files that a whole run has; the ranges for 8-bit integers only where those were accepted."""
    in_integers = {QUANTISATION} if Run.load(folder).manifest["quantisation"]["accepted"] else set()
    by_stage = ("validation_stage{}.csv", "network_stage{}.safetensors")[: 1 + stage_weights]
    return ALWAYS | in_integers | {name.format(k) for name in by_stage for k in range(1, stages + 1)}


QUICK = {"stages": [stage(["head"], epochs=2)], "frozen": [block for block in BLOCKS if block != "head"]}


@pytest.fixture(scope="module")
def undisturbed(catalogue, cache, tmp_path_factory):
    """A whole run of the small recipe, never interrupted."""
    runs = tmp_path_factory.mktemp("undisturbed") / "runs"
    assert main(command(catalogue, cache, runs)) == 0
    return only_run(runs)


def test_a_run_is_whole_and_holds_exactly_the_files_of_the_contract(undisturbed):
    found = {path.name for path in undisturbed.iterdir()}
    assert found == contract(undisturbed, stages=3)
    run = Run.load(undisturbed)
    assert set(run.manifest["files"]) == found - {"manifest.json"}
    for name in run.manifest["files"]:
        run.path(name)  # proven by its SHA-256
    assert [r.run_id for r in find_runs(undisturbed.parent)[0]] == [undisturbed.name]


def test_the_weights_kept_of_two_stages_differ_exactly_where_the_second_trained(undisturbed):
    run = Run.load(undisturbed)
    first, second = (load_file(run.after_stage(number).path(f"network_stage{number}.safetensors")) for number in (1, 2))
    changed = {name for name in first if not torch.equal(first[name], second[name])}
    assert {model.block_of(name) for name in changed} == {"head", "layer4"}
    assert Engine(run.after_stage(1)).run(np.zeros((1, 40, 32, 3), np.uint8)).logits.shape == (1, len(CLASSES))
    assert run.after_stage(4) is None


def test_the_manifest_describes_the_run(undisturbed):
    manifest = Run.load(undisturbed).manifest
    history = pd.read_csv(undisturbed / "history.csv")
    best = history.loc[history["val_accuracy"].idxmax()]
    assert manifest["best_epoch"] == best["epoch"]
    expected = {
        "origin": "measured",
        "architecture": "resnet50",
        "recipe": "small",
        "initial_weights": "none",
        "schema": 1,
    }
    assert manifest.items() >= expected.items()
    assert [name for names in manifest["groups"].values() for name in names] == CLASSES
    assert [s["unfrozen"] for s in manifest["stages"]] == [["head"], ["layer4"], ["layer3", "layer2", "layer1", "stem"]]
    assert re.fullmatch(r"[0-9a-f]{40}", manifest["git_commit"])
    assert re.fullmatch(r"[0-9a-f]{64}", manifest["data_fingerprint"])
    assert manifest["temperature"] > 0


@pytest.mark.parametrize(("epoch", "size"), [(1, (40, 32)), (4, (40, 32)), (5, (48, 36)), (6, (48, 36))])
def test_weights_are_shipped_with_the_input_size_that_they_were_chosen_at(epoch, size):
    """Stages may differ in size: the best epoch of an earlier one is served at its own."""
    shipped = export._best_stage(parse_recipe(settings(), "test"), State(best={"epoch": epoch, "val_accuracy": 0.9}))
    assert (shipped.height, shipped.width) == size


def test_auroc_and_validation_accuracy_can_be_computed_again_from_the_runs_files(undisturbed):
    run = Run.load(undisturbed)
    scores, predictions = run.read_csv("scope_scores.csv"), run.read_csv("predictions_validation.csv")
    of_classes = scores["kind"] == "of the classes"
    measured = run.metrics.test.in_scope
    assert (~of_classes).sum() == measured.other_products > 0
    assert roc_auc_score(of_classes, scores["in_scope_score"]) == pytest.approx(measured.auroc, abs=1e-4)
    correct = predictions[CLASSES].idxmax(axis=1) == predictions["label"]
    assert correct.mean() == pytest.approx(run.metrics.validation.accuracy.value)


def test_the_manifest_names_that_size(undisturbed):
    manifest = Run.load(undisturbed).manifest
    expected = (48, 36) if manifest["best_epoch"] > 4 else (40, 32)
    assert (manifest["input"]["height"], manifest["input"]["width"]) == expected


def test_the_exported_engine_is_proven_equal_on_real_photos(undisturbed):
    export = Run.load(undisturbed).manifest["export"]
    assert export["photos"] >= 8
    assert 0 <= export["max_probability_difference"] < 1e-4


@pytest.mark.parametrize(
    ("int8", "lost"),
    [
        (Quality(0.8981, 0.05, 0.9), []),
        (Quality(0.8979, 0.05, 0.9), ["accuracy"]),
        (Quality(0.95, 0.01, 0.95), []),
        (Quality(0.9, 0.0601, 0.9), ["calibration_error"]),
        (Quality(0.9, 0.05, 0.8949), ["auroc"]),
        (Quality(0.8, 0.2, 0.5), ["accuracy", "calibration_error", "auroc"]),
    ],
)
def test_integers_may_cost_next_to_nothing_in_accuracy_calibration_and_scope(int8, lost):
    assert quantise.losses(Quality(0.9, 0.05, 0.9), int8) == lost


def test_without_other_products_accuracy_and_calibration_decide():
    unknown = Quality(0.9, 0.05, math.nan)
    assert quantise.losses(unknown, unknown) == []


class OnGpu:
    """A session that says it is on a GPU, and computes what the one on the processor does."""

    def __init__(self, session):
        self.run = session.run

    def get_providers(self):
        return [CUDA]


@pytest.fixture
def gpu_machine(monkeypatch):
    """A machine on which ONNX Runtime finds a GPU."""

    def way(given, options, _):
        return {CUDA: lambda: OnGpu(onnxruntime.InferenceSession(given(CUDA), options, providers=[CPU]))}

    monkeypatch.setattr(providers, "_on_gpu", way)


@pytest.mark.parametrize("destroyed", [False, True])
def test_on_a_machine_with_a_gpu_integers_are_still_measured_on_the_processor(
    undisturbed, catalogue, cache, tmp_path, monkeypatch, capsys, gpu_machine, destroyed
):
    folder = Path(shutil.copytree(undisturbed, tmp_path / undisturbed.name))
    assert Engine(Run.load(folder)).provider == CUDA
    engines, measure, calibrate = [], quantise.measured, quantise.calibrate
    monkeypatch.setattr(quantise, "measured", lambda engine, data: engines.append(engine) or measure(engine, data))
    if destroyed:
        worthless = lambda *_: (was := calibrate(*_))._replace(ranges=dict.fromkeys(was.ranges, (-1e-6, 1e-6)))  # noqa: E731
        monkeypatch.setattr(quantise, "calibrate", worthless)
    assert main(["--data", str(catalogue), "--cache", str(cache), "evaluate", str(folder)]) == 0
    assert [(engine.quantised, engine.provider) for engine in engines] == [(False, CPU), (True, CPU)]
    run, said = Run.load(folder), capsys.readouterr().out
    found = run.manifest["quantisation"]
    accepted = found["accepted"]
    if destroyed:  # which shows only where the integers are what is measured
        assert found["auroc"]["int8"] != found["auroc"]["float32"]
    assert ("is served in 8-bit integers" in said) == accepted
    assert found["photos"] == run.read_json("data.json")["splits"]["train"]  # fewer than are asked for
    assert set(found["calibration_error"]) == set(found["auroc"]) == {"float32", "int8"}
    assert {path.name for path in folder.iterdir()} == contract(folder, stages=3)
    assert set(run.manifest["files"]) == contract(folder, stages=3) - {"manifest.json"}
    assert Engine(run, processor=True).quantised == accepted


def test_ranges_reach_as_far_as_the_values_do_and_means_are_of_what_the_convolutions_see(undisturbed):
    run, pixels = Run.load(undisturbed), np.random.default_rng(0).integers(0, 256, (70, 48, 36, 3), dtype=np.uint8)
    ranges, means = quantise.calibrate(run, pixels)
    features = Engine(run, quantised=False).run(pixels).features
    low, high = ranges["layer4.0.sum.relu"]
    assert low == 0 and high == pytest.approx(features.max(), rel=1e-5)
    assert ranges["layer4.0.conv3"][0] < 0 < ranges["layer4.0.conv3"][1]
    colours = pixels.mean(axis=(0, 1, 2)) / 255
    assert means["conv1"] == pytest.approx((colours - IMAGENET_MEAN) / IMAGENET_STD, abs=1e-4)
    assert means["layer2.0.conv1"] == means["layer2.0.downsample.0"]


def test_another_data_set_than_the_run_was_trained_on_cannot_evaluate_it(undisturbed, cache, tmp_path, capsys):
    other = write_catalogue(tmp_path / "other", small_rows()[:-5])
    before = {path.name: path.read_bytes() for path in undisturbed.iterdir()}
    assert main(["--data", str(other), "--cache", str(cache), "evaluate", str(undisturbed)]) == 1
    assert "The data set is not what this run began with" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in undisturbed.iterdir()} == before


def test_predictions_are_one_row_a_test_photo_with_probabilities_that_sum_to_one(undisturbed):
    splits = pd.read_csv(undisturbed / "splits.csv").set_index("id")["split"]
    for name, part in [("predictions.csv", "test"), ("validation_stage2.csv", "val")]:
        table = pd.read_csv(undisturbed / name)
        assert set(table["id"]) == set(splits[splits == part].index)
        assert list(table.columns) == [
            "id",
            "label",
            "product",
            "group",
            "colour",
            "usage",
            "duplicate_group",
            *CLASSES,
        ]
        assert table[CLASSES].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-4)


def test_the_metrics_are_those_of_the_predictions(undisturbed):
    metrics = json.loads((undisturbed / "metrics.json").read_text())["test"]
    table = pd.read_csv(undisturbed / "predictions.csv")
    correct = table[CLASSES].to_numpy().argmax(axis=1) == [CLASSES.index(label) for label in table["label"]]
    assert metrics["photos"] == len(table)
    assert metrics["accuracy"]["value"] == pytest.approx(correct.mean())
    assert metrics["accuracy"]["low"] < correct.mean() < metrics["accuracy"]["high"]
    assert {"before", "after"} <= set(metrics["calibration_error"])
    assert [row["class"] for row in metrics["classes"]] == CLASSES
    assert 0 <= metrics["top3_accuracy"]["value"] <= 1


def test_the_data_report_tells_of_the_custom_photos(undisturbed):
    data = json.loads((undisturbed / "data.json").read_text())
    assert data["custom"] == {"ids_from": 60001, "appended": 3, "loaded": 3, "failed": [], "split": "train"}
    splits = pd.read_csv(undisturbed / "splits.csv")
    assert set(splits.loc[splits["id"] >= 60001, "split"]) == {"train"}


def test_other_products_and_phone_photos_train_and_are_measured_apart(catalogue, cache, tmp_path):
    labels = ["t-shirt", "pants", "dress", "hat"] * 24
    phone = write_phone_photos(tmp_path / "phone", labels)
    street = write_street_photos(tmp_path / "street", [("jeans", "bag")] * 100)
    shares = {"photos": 64, "products": 0.4, "other_products": 0.2, "phone": 0.2, "worn": 0.2}
    changes = QUICK | {"shares": shares, "background_photos": 3, "output_stride": 16}
    sources = ["--data", str(phone), "--data", str(street)]
    assert main([*command(catalogue, cache, tmp_path / "runs", **changes), *sources]) == 0
    run = Run.load(only_run(tmp_path / "runs"))
    assert run.manifest["background"] == ["Watches"]
    assert head_of(run.path("model.safetensors"))[0].shape[0] == 16
    assert run.manifest["export"]["max_probability_difference"] < 0.01
    measured = json.loads(run.path("metrics.json").read_text())
    assert {row["label"] for row in measured["phone"]["test"]["labels"]} >= {"t-shirt", "pants"}
    held_out = pd.read_csv(run.path("splits.csv")).groupby(["kind", "split"]).size()
    for kind in ("phone", "worn"):
        for part, name in (("val", "validation"), ("test", "test")):
            assert measured[kind][name]["photos"] == held_out[kind, part]
    assert measured["test"]["in_scope"]["kinds"]["apparel"]["other_products"] == 0
    in_box = run.metrics.heat_maps.pointing.box  # whose garments fill their boxes, but for the rows that a bag covers
    assert (in_box.served.n, in_box.served.value) == (measured["worn"]["test"]["allowed_set"]["n"], 1.0)
    history = pd.read_csv(run.path("history.csv"))
    assert history["images"].tolist() == [64, 64]
    assert history[["val_phone_accuracy", "val_worn_accuracy"]].notna().to_numpy().all()
    assert run.manifest["output_stride"] == 16
    facts = json.loads(run.path("data.json").read_text())
    assert {name: sum(row.values()) for name, row in facts["phone"].items()} == dict.fromkeys(labels, 24)
    before = pd.read_csv(only_run(tmp_path / "runs") / "splits.csv").set_index("id")["split"]
    bare = build_index([catalogue], parse_recipe(settings(), "test").class_list(), cache)
    alone = split(bare, parse_recipe(settings(), "test"))["split"][bare.in_scope]
    assert (
        before.loc[bare.photos["id"][bare.in_scope]].tolist() == alone.tolist()
    )  # the catalogue's split has not moved


def test_a_recipe_trains_on_what_there_is_and_says_which_photos_it_lacks(catalogue, cache, tmp_path, capsys):
    shares = {"photos": 64, "products": 0.4, "other_products": 0.2, "phone": 0.2, "worn": 0.2}
    assert main(command(catalogue, cache, tmp_path / "runs", **QUICK | {"shares": shares, "background_photos": 3})) == 0
    said = capsys.readouterr().out
    assert "The data has no phone photos and no worn garments to train on, so the recipe's other shares grow." in said


def test_weights_that_are_not_there_are_told_before_any_photo_is_read(catalogue, tmp_path, capsys):
    arguments = command(catalogue, tmp_path / "cache", tmp_path / "runs", **QUICK)
    arguments[arguments.index("none")] = str(tmp_path / "gone.safetensors")
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert "There are no initial weights at" in told and "reading" not in told and not (tmp_path / "cache").exists()


def test_data_that_are_not_there_are_told_before_weights_are_downloaded(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(initial_weights, "_imagenet", lambda: pytest.fail("a download"))
    arguments = command(tmp_path / "gone.zip", tmp_path / "cache", tmp_path / "runs", **QUICK)
    arguments[arguments.index("none")] = "imagenet"
    assert main(arguments) == 1
    assert "There is no data set at" in capsys.readouterr().err


def test_settings_are_kept_as_given_and_as_resolved(undisturbed):
    config = json.loads((undisturbed / "config.json").read_text())
    assert config["given"] == {"recipe": "small", "data": ["data"], "init": "none"}
    assert config["resolved"]["label_smoothing"] == 0.05  # a default
    assert config["resolved"]["stages"][2]["warmup_steps"] == 2


def test_killed_at_random_moments_and_resumed_it_ends_bit_for_bit_the_same(undisturbed, catalogue, cache, tmp_path):
    """SIGKILL before the first checkpoint, in each stage, and while the run is exported and evaluated."""
    runs = tmp_path / "runs"
    arguments = command(catalogue, cache, runs)
    moments = [
        lambda: any(runs.glob("*/splits.csv")),
        *(lambda n=n: epochs_done(only_run(runs)) >= n for n in (2, 5)),
        lambda: (only_run(runs) / "model.safetensors").exists(),
    ]
    killed = []
    for reached in moments:
        delay = random.uniform(0, 0.4)
        if kill_small(arguments, reached, delay) == -signal.SIGKILL:
            killed.append((delay, epochs_done(only_run(runs))))
        arguments = ["--resume", str(only_run(runs)), "--device", "cpu"]
    assert len(killed) >= 3
    if not (only_run(runs) / "manifest.json").exists():
        assert main(arguments) == 0
    assert differences(only_run(runs), undisturbed) == [], killed


def test_every_file_may_fail_to_be_written_once_and_the_run_ends_the_same(
    undisturbed, catalogue, cache, tmp_path, monkeypatch, capsys
):
    """A disk that is full at any write: the message names the resume command, nothing half-written stays."""
    replace, failed = Path.replace, []

    def full_at_first(self, target):
        if "runs" in self.parts and self.name not in failed:
            failed.append(self.name)
            raise OSError(28, "No space left on device", str(self))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full_at_first)
    arguments = command(catalogue, cache, tmp_path / "runs")
    for name in ("config.json", "resume.json"):  # a folder that cannot be opened is not left behind
        assert main(arguments) == 1
        assert failed[-1] == f".{name}.part"
        assert list((tmp_path / "runs").iterdir()) == []
    while main(arguments):
        folder = only_run(tmp_path / "runs")
        message = capsys.readouterr().err
        assert "No space left on device" in message
        arguments = shlex.split(re.search(r"`python -m train (.*)`", message)[1])
        assert arguments == ["--resume", str(folder)]
        assert list(folder.glob(".*.part")) == []
    assert len(failed) >= 14 and ".current.json.part" in failed  # a complete run is not lost for it
    assert differences(folder, undisturbed) == []


def test_a_runs_folder_on_a_read_only_disk_is_named(catalogue, cache, tmp_path, monkeypatch, capsys):
    arguments, mkdir = command(catalogue, cache, tmp_path / "runs"), Path.mkdir

    def read_only(self, *mode, **options):
        if "runs" in self.parts:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))
        return mkdir(self, *mode, **options)

    monkeypatch.setattr(Path, "mkdir", read_only)
    assert main(arguments) == 1
    message = capsys.readouterr().err
    assert "Stopped: " in message and "Read-only file system" in message and str(tmp_path / "runs") in message


@pytest.fixture
def listening_to_ctrl_c():
    """Python's own answer to Ctrl-C, also where the tests run in the background and the shell had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening_to_ctrl_c")
def test_ctrl_c_ends_with_the_exact_command_that_resumes(undisturbed, catalogue, cache, tmp_path, monkeypatch, capsys):
    step, calls = Trainer._step, []

    def press_at_the_ninth(self, *arguments):
        calls.append(1)
        if len(calls) == 9:
            signal.raise_signal(signal.SIGINT)
        return step(self, *arguments)

    monkeypatch.setattr(Trainer, "_step", press_at_the_ninth)
    assert main(command(catalogue, cache, tmp_path / "runs")) == 130
    message, folder = capsys.readouterr().err, only_run(tmp_path / "runs")
    assert f"Interrupted; the last whole epoch is kept. Continue with `python -m train --resume {folder}`." in message
    progress = json.loads((folder / "progress.json").read_text())
    assert (progress["state"], progress["message"]) == ("stopped", "interrupted")
    assert main(shlex.split(re.search(r"`python -m train (.*)`", message)[1])) == 0
    assert differences(folder, undisturbed) == []


def test_a_second_trainer_on_the_folder_is_turned_away(catalogue, cache, tmp_path, capsys, monkeypatch):
    interrupt_at_epoch(monkeypatch, 2)
    assert main(command(catalogue, cache, tmp_path / "runs", **QUICK)) == 130
    folder = only_run(tmp_path / "runs")
    before = (folder / "progress.json").read_bytes()
    with only_trainer(folder):
        assert main(["--resume", str(folder)]) == 1
    assert f"Another trainer is working on {folder}" in capsys.readouterr().err
    assert (folder / "progress.json").read_bytes() == before


def interrupt_at_epoch(monkeypatch, epoch):
    train = Trainer._train

    def interrupted(self, position, active):
        if position.epoch == epoch:
            raise KeyboardInterrupt
        return train(self, position, active)

    monkeypatch.setattr(Trainer, "_train", interrupted)


def test_a_photo_that_vanishes_while_a_run_waits_is_named_and_put_back_the_run_goes_on(
    cache, tmp_path, capsys, monkeypatch
):
    data = write_catalogue(tmp_path / "data", small_rows())
    with monkeypatch.context() as patched:
        interrupt_at_epoch(patched, 2)
        assert main(command(data, cache, tmp_path / "runs", **QUICK)) == 130
    folder = only_run(tmp_path / "runs")
    (data / "images" / "1004.jpg").rename(tmp_path / "1004.jpg")
    assert main(["--resume", str(folder)]) == 1
    assert re.search(
        r"The data set is not what this run began with: \d+ photos came, went or changed their split",
        capsys.readouterr().err,
    )
    (tmp_path / "1004.jpg").rename(data / "images" / "1004.jpg")
    assert main(["--resume", str(folder)]) == 0


def test_a_run_resumes_from_another_folder_though_its_data_were_given_relatively(
    catalogue, cache, tmp_path, monkeypatch
):
    monkeypatch.chdir(catalogue.parent)
    arguments = command(Path(catalogue.name), Path(os.path.relpath(cache)), tmp_path / "runs", **QUICK)
    with monkeypatch.context() as patched:
        interrupt_at_epoch(patched, 2)
        assert main(arguments) == 130
    monkeypatch.chdir(tmp_path)
    assert main(["--resume", str(only_run(tmp_path / "runs"))]) == 0


def test_a_resumed_run_continues_on_the_device_it_was_started_for_unless_another_is_named(
    catalogue, cache, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patched:
        interrupt_at_epoch(patched, 2)
        assert main(command(catalogue, cache, tmp_path / "runs", **QUICK)) == 130
    folder = only_run(tmp_path / "runs")
    job = json.loads((folder / "resume.json").read_text())
    (folder / "resume.json").write_text(json.dumps(job | {"device": "cuda"}))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["--resume", str(folder)]) == 1
    assert "torch finds no CUDA device here. Check the driver, or train with `--device cpu`" in capsys.readouterr().err
    assert main(["--resume", str(folder), "--device", "cpu"]) == 0


def test_a_resumed_run_does_not_ask_for_its_initial_weights_again(catalogue, cache, tmp_path, monkeypatch):
    weights = tmp_path / "weights.safetensors"
    model.save_weights(SmallNet(15).state_dict(), weights)
    arguments = [
        str(weights) if word == "none" else word for word in command(catalogue, cache, tmp_path / "runs", **QUICK)
    ]
    with monkeypatch.context() as patched:
        interrupt_at_epoch(patched, 2)
        assert main(arguments) == 130
    weights.unlink()
    assert main(["--resume", str(only_run(tmp_path / "runs"))]) == 0
    assert Run.load(only_run(tmp_path / "runs")).manifest["initial_weights"] == "weights.safetensors"


def test_an_unfinished_run_is_initial_weights_for_another(catalogue, cache, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        interrupt_at_epoch(patched, 2)
        assert main(command(catalogue, cache, tmp_path / "runs", **QUICK)) == 130
    first = only_run(tmp_path / "runs")
    again = [str(first) if word == "none" else word for word in command(catalogue, cache, tmp_path / "runs", **QUICK)]
    assert main([*again[:-4], "--runs", str(tmp_path / "more")]) == 0
    assert "starting fresh: nothing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--data", "nowhere.zip"], "There is no data set at"),
        (["--init", "nowhere.safetensors"], "There are no initial weights at"),
        (["--recipe", "nowhere.toml"], "There is no recipe at nowhere.toml"),
    ],
)
def test_a_mistake_in_a_path_leaves_no_run_folder_behind(catalogue, cache, tmp_path, capsys, wrong, message):
    arguments = command(catalogue, cache, tmp_path / "runs")
    at = arguments.index(wrong[0])
    assert main([*arguments[:at], *wrong, *arguments[at + 2 :]]) == 1
    assert message in capsys.readouterr().err
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_folder_of_runs_that_is_a_file_is_named_before_any_photo_is_read(catalogue, tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    arguments = [*command(catalogue, tmp_path / "cache", tmp_path / "runs", **QUICK)]
    arguments[arguments.index("--runs") + 1] = str(tmp_path / "file" / "runs")
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert f"Runs cannot be kept in {tmp_path / 'file' / 'runs'}: {tmp_path / 'file'} is a file." in told
    assert "reading" not in told and not (tmp_path / "cache").exists()


def test_weights_that_do_not_fit_are_told_before_any_photo_is_read(catalogue, tmp_path, capsys):
    save_file({"layer1.0.conv1.weight": torch.zeros(3, 3)}, tmp_path / "w.safetensors")
    arguments = command(catalogue, tmp_path / "cache", tmp_path / "runs", **QUICK)
    arguments[arguments.index("none")] = str(tmp_path / "w.safetensors")
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert "does not fit ResNet50: wrong shape of layer1.0.conv1.weight" in told
    assert "reading" not in told and not (tmp_path / "cache").exists()


def test_a_warm_up_longer_than_its_stage_leaves_no_run_folder_behind(catalogue, cache, tmp_path, capsys):
    changes = QUICK | {"stages": [stage(["head"], warmup_steps=500)]}
    assert main(command(catalogue, cache, tmp_path / "runs", **changes)) == 1
    assert "warms up for 500 steps, and has" in capsys.readouterr().err
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_run_that_continues_from_another_holds_out_no_photo_that_trained_it(
    undisturbed, catalogue, cache, tmp_path, capsys
):
    arguments = command(catalogue, cache, tmp_path / "runs", **QUICK | {"seed": 41})
    arguments[arguments.index("none")] = str(undisturbed)
    with pytest.MonkeyPatch.context() as patched:
        interrupt_at_epoch(patched, 2)
        assert main(arguments) == 130
    folder = only_run(tmp_path / "runs")
    said = capsys.readouterr().out
    assert re.search(rf"{undisturbed.name} was trained on some of these photos: \d+ keep the split", said)
    assert main(["--resume", str(folder)]) == 0
    before, after = (pd.read_csv(run / "splits.csv").set_index("id")["split"] for run in (undisturbed, folder))
    assert after.to_dict() == before.to_dict()
    recipe = parse_recipe(settings(seed=41), "test")
    drawn = split(build_index([catalogue], recipe.class_list(), cache), recipe)["split"]
    assert drawn.tolist() != after.tolist()  # with its own draw it would have been otherwise


def test_the_first_run_of_a_folder_classifies_and_a_later_one_does_not_replace_it(undisturbed, catalogue, cache):
    assert current_run(undisturbed.parent).run_id == undisturbed.name
    assert choose_first(Run(Path("other"), {"run_id": "other"}), undisturbed.parent) is None
    assert current_run(undisturbed.parent).run_id == undisturbed.name


def test_a_whole_run_is_not_resumed_but_tidied(undisturbed, capsys):
    (undisturbed / "checkpoint.safetensors").write_bytes(b"left by a kill after the manifest")
    assert main(["--resume", str(undisturbed)]) == 1
    assert "is complete already; there is nothing to resume" in capsys.readouterr().err
    assert not (undisturbed / "checkpoint.safetensors").exists()


def test_what_is_no_run_cannot_be_resumed(tmp_path, capsys):
    assert main(["--resume", str(tmp_path)]) == 1
    assert f"{tmp_path} holds no run that can be resumed" in capsys.readouterr().err


JOB = {"data": ["nowhere"], "init": "none", "cache": "cache", "device": "cpu"}


@pytest.mark.parametrize(
    ("resume", "config", "said"),
    [
        ("{", {"resolved": {}}, "holds no run that can be resumed"),
        ([], {"resolved": {}}, "holds no run that can be resumed"),
        (JOB | {"data": 5}, {"resolved": {}}, "Expected `array`, got `int` - at `$.data`"),
        ({"data": []}, {"resolved": {}}, "missing required field `init`"),
        (JOB, {}, "missing required field `resolved`"),
        (JOB, {"resolved": []}, "Expected `object`, got `array` - at `$.resolved`"),
        (JOB, {"resolved": {"name": 3}}, "name: Input should be a valid string (got 3)"),
    ],
)
def test_edited_files_of_an_unfinished_run_are_told(tmp_path, capsys, resume, config, said):
    for name, content in (("resume.json", resume), ("config.json", config)):
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    assert main(["--resume", str(tmp_path)]) == 1
    assert said in capsys.readouterr().err


def test_weights_too_large_for_half_precision_are_not_exported(catalogue, cache, tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    initialise = pipeline.initialise

    def huge(network, *init):
        network.fc.bias.data.fill_(1e6)
        return initialise(network, *init)

    monkeypatch.setattr(pipeline, "initialise", huge)
    assert main(command(catalogue, cache, tmp_path / "runs", **QUICK)) == 1
    message = capsys.readouterr().err
    assert "cannot be exported: not finite in half precision: fc.bias" in message
    assert not (only_run(tmp_path / "runs") / "model.safetensors").exists()


@pytest.mark.slow
def test_smoke_trains_the_real_network_from_drawn_garments_to_a_whole_run(tmp_path):
    """The README's command, in a fresh process: no data, no weights, every stage, a run that the product can serve."""
    runs = tmp_path / "runs"
    all_cores = ["env", "-u", "OMP_NUM_THREADS"]  # the tests' other networks are too small to be shared among them
    smoke = [
        *all_cores,
        sys.executable,
        "-m",
        "train",
        "--smoke",
        "--cache",
        str(tmp_path / "cache"),
        "--runs",
        str(runs),
    ]
    assert run_until(smoke, lambda: False) == 0
    folder = only_run(runs)
    assert {path.name for path in folder.iterdir()} == contract(folder, stages=4, stage_weights=False)
    run = Run.load(folder)
    assert run.manifest["export"]["max_probability_difference"] < 1e-4
    assert run.read_csv("history.csv")["stage"].tolist() == [1, 2, 3, 4]
    assert run.read_json("data.json")["custom"]["failed"] == [60002]
    assert run.path("model.safetensors").stat().st_size < 50_000_000
    assert np.isfinite(run.read_csv("predictions.csv")[CLASSES].to_numpy()).all()
    assert (ROOT / "artifacts").exists()


def decisions_file(path: Path, rows: dict[int, str]) -> Path:
    path.write_text("id,label\n" + "".join(f"{photo},{label}\n" for photo, label in rows.items()))
    return path


def of_part(run: Path, part: str) -> list[int]:
    table = pd.read_csv(run / "splits.csv")
    return table.loc[table["split"] == part, "id"].tolist()


def test_a_head_fitted_again_on_corrections_is_a_run_of_its_own(
    undisturbed, catalogue, cache, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("GARMENTS_FEEDBACK", str(tmp_path / "feedback.sqlite3"))
    monkeypatch.setattr(head, "MOST_LOST", 1.0)
    said = Correction("Tops", "a" * 64, (40, 40), Region(0, 0, 20, 40), "run", "Jeans", 0.5)
    store(tmp_path / "feedback.sqlite3", said, photo(1, (40, 40)))
    train, (tested, *_) = of_part(undisturbed, "train"), of_part(undisturbed, "test")
    rows = {train[0]: "Skirts", train[1]: "", 500_000_001: "Skirts", tested: "Blazers", 999_999: "Tops"}
    arguments = ["--data", str(catalogue), "--cache", str(cache), "--runs", str(tmp_path / "runs"), "head"]
    before = {path.name: path.read_bytes() for path in undisturbed.iterdir() if path.is_file()}
    assert main([*arguments, "--feedback", str(decisions_file(tmp_path / "d.csv", rows)), str(undisturbed)]) == 0
    told = capsys.readouterr().out
    assert "Learned: 1 reported photos and 1 training photos. 1 decisions are about validation or test photos" in told
    assert (
        "1 decisions are about photos that are not there." in told and "Test accuracy with the corrected labels" in told
    )

    old, new = Run.load(undisturbed), Run.load(only_run(tmp_path / "runs"))
    assert new.metrics.test.photos == old.metrics.test.photos and new.facts.notes[-1].startswith(
        f"The head of {old.run_id}"
    )
    assert (
        new.facts.data_fingerprint == old.facts.data_fingerprint and not (tmp_path / "runs" / "current.json").exists()
    )
    tensors = [load_file(run.path("model.safetensors")) for run in (old, new)]
    assert {name for name in tensors[0] if not torch.equal(tensors[0][name], tensors[1][name])} == {
        "fc.weight",
        "fc.bias",
    }
    table = new.read_csv("predictions.csv")
    assert table["label"].tolist() == old.read_csv("predictions.csv")["label"].tolist()
    recipe, data = pipeline.trained_on(new, [str(catalogue)], cache)
    engine = Engine(new, processor=True)
    served = softmax(
        engine.run(data.pixels(engine.height, engine.width)[data.known_rows("test")]).logits, new.temperature
    )
    np.testing.assert_allclose(table[list(new.labels.names)].to_numpy(), served, atol=2e-3)
    assert before == {
        path.name: path.read_bytes() for path in undisturbed.iterdir() if path.is_file() and path.name in before
    }


def test_corrections_of_test_photos_alone_teach_nothing(undisturbed, catalogue, cache, tmp_path, capsys):
    (tested, *_) = of_part(undisturbed, "test")
    file = decisions_file(tmp_path / "d.csv", {tested: "Blazers"})
    arguments = ["--data", str(catalogue), "--cache", str(cache), "--runs", str(tmp_path / "runs")]
    assert main([*arguments, "head", "--feedback", str(file), str(undisturbed)]) == 1
    assert "Nothing to learn." in capsys.readouterr().err and not list((tmp_path / "runs").glob("*"))
