"""Several processes: two under torchrun with gloo train what one process trains, and only the leading one writes."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from core.artifacts.run import Run
from core.inference.model import BLOCKS
from tests.train_cases import CLASSES, ROOT, recipe_file, small_rows, stage, train_small, write_catalogue
from train.distributed import World, join_world

# Without dropout and augmentation, whose random numbers differ by process, and with BatchNorm frozen in the first stage.
EXACT = {"augmentation": {}, "dropout": 0.0, "sampler": "inverse", "accumulation": 2, "early_stopping": 3}
STAGES = [stage(["head"], epochs=3, lr=1e-2), stage([block for block in BLOCKS if block != "head"], epochs=1)]


def under_torchrun(arguments: list[str]) -> subprocess.CompletedProcess:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *torchrun, "-m", "tests.train_cases", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """The run folders of one process and of two, and what the two printed."""
    base = tmp_path_factory.mktemp("distributed")
    catalogue = write_catalogue(base / "data", small_rows())
    recipe = recipe_file(base / "exact.toml", **EXACT, stages=STAGES)
    arguments = ["--data", str(catalogue), "--recipe", str(recipe), "--init", "none", "--device", "cpu"]
    arguments += ["--cache", str(base / "cache"), "--runs"]
    assert train_small([*arguments, str(base / "one")]) == 0
    done = under_torchrun([*arguments, str(base / "two")])
    assert done.returncode == 0, done.stderr
    one, two = (next(path for path in (base / name).iterdir() if path.is_dir()) for name in ("one", "two"))
    return one, two, done.stdout


@pytest.mark.slow
def test_two_processes_train_the_weights_of_one_where_batch_norm_is_frozen(outcomes):
    """The logits after the head's stage tell its weights apart to the last photo."""
    one, two = (centred_logits(folder) for folder in outcomes[:2])
    np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-3)


def centred_logits(folder) -> np.ndarray:
    """Logits of the validation photos after stage 1, but for a constant a photo: what the calibrated probabilities hold."""
    probabilities = pd.read_csv(folder / "validation_stage1.csv")[CLASSES].to_numpy()
    logits = np.log(probabilities) * Run.load(folder).manifest["temperature"]
    return logits - logits.mean(axis=1, keepdims=True)


@pytest.mark.slow
def test_their_metrics_are_those_of_all_photos(outcomes):
    one, two = (pd.read_csv(folder / "history.csv") for folder in outcomes[:2])
    columns = [
        "epoch",
        "stage",
        "lr",
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "val_macro_f1",
        "images",
    ]
    pd.testing.assert_frame_equal(one[columns].iloc[:3], two[columns].iloc[:3], rtol=1e-4)
    assert set(two["device"]) == {"2 x cpu"}


@pytest.mark.slow
def test_only_the_leading_process_writes_and_prints(outcomes):
    one, two, printed = outcomes
    assert sorted(path.name for path in two.iterdir()) == sorted(path.name for path in one.iterdir())
    assert load_file(two / "model.safetensors").keys() == load_file(one / "model.safetensors").keys()
    assert printed.count("Initial weights") == printed.count("Done: ") == printed.count("epoch  1/4") == 1


def test_alone_there_is_nothing_to_exchange():
    with join_world("cpu") as world:
        assert (world.rank, world.size, world.leads, world.name) == (0, 1, True, "cpu")
        assert world.share("x") == "x"
        assert world.sum(torch.ones(2)).tolist() == [1, 1]
        world.wait()


def test_a_world_of_several_names_their_number():
    assert World(1, 4, torch.device("cpu")).name == "4 x cpu"
    assert not World(1, 4, torch.device("cpu")).leads
