"""The model card says what the run's files say, and nothing that they do not."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from core.analysis import model_card as cards
from core.analysis.metrics import wilson_interval
from core.analysis.model_card import accuracy_by, model_card
from core.analysis.text import duration
from core.artifacts.run import Run, current_run, sha256_of
from core.errors import BrokenRun
from tests.conftest import ROOT
from tests.run_factory import write_run
from train.evaluate import Coarse, coarse_metrics
from train.targets import ClassList


def with_metrics(run: Run, **metrics) -> Run:
    """The same run with further keys in its metrics."""
    path = run.folder / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | metrics))
    manifest = run.manifest | {"files": run.manifest["files"] | {"metrics.json": sha256_of(path)}}
    return Run(run.folder, manifest)


def test_the_card_in_docs_is_that_of_the_shipped_run():
    written = (ROOT / "docs" / "model-card.md").read_text(encoding="utf-8")
    assert written == model_card(current_run()), "run `python -m core card > docs/model-card.md`"


def test_the_command_prints_the_card():
    done = subprocess.run([sys.executable, "-m", "core", "card"], cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout == model_card(current_run())


def test_the_command_says_what_is_wrong_with_a_run(tmp_path):
    command = [sys.executable, "-m", "core", "card", "--run", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "manifest.json is missing" in done.stderr and "Traceback" not in done.stderr


def test_it_shows_accuracy_intervals_and_every_class():
    run = current_run()
    card, test = model_card(run), run.metrics.test
    accuracy = test.accuracy
    assert f"{accuracy.value:.1%} ({accuracy.low:.1%} to {accuracy.high:.1%})" in card
    for row in test.classes:
        assert f"| {row.name} | {row.support:,} |" in card


def test_sections_without_figures_are_left_out(tmp_path):
    card = model_card(write_run(tmp_path, "plain", weights=b"weights"))
    assert "## Results" in card and "## Energy" in card
    for title in ("By class", "Photos out of scope", "Calibration", "Speed", "Phone photos", "Worn garments"):
        assert f"## {title}" not in card
    assert "Not measured on phone photos." in card


def test_phone_measures_appear_as_soon_as_they_are_measured(tmp_path):
    classes = ClassList.load("garments15")
    labels = np.array(["t-shirt"] * 5 + ["pants"] * 4 + ["shoes"] * 3)
    logits = np.zeros((12, len(classes.labels)), np.float32)
    logits[:, classes.labels.index("Tshirts")] = 5
    allowed = np.array([np.isin(classes.labels.names, classes.classes_of(label)) for label in labels])
    photos = Coarse("phone photos", np.arange(12), logits, labels, allowed)
    measured = coarse_metrics(photos, classes, 1.0, 0.0)
    card = model_card(with_metrics(write_run(tmp_path, "phone", weights=b"weights"), phone={"test": measured}))
    assert "12 photos taken with phones" in card
    assert "| the class, where the label allows only one | 5 | 100.0% (56.6% to 100.0%) |" in card
    assert "| pants: Jeans, Trousers, Track Pants, Leggings | 4 | 0.0% (0.0% to 49.0%) |" in card
    assert "Not measured on phone photos." not in card


def test_heat_maps_appear_beside_plain_grad_cam(tmp_path):
    area, share = {"value": 0.25, "low": 0.2, "high": 0.3}, {"n": 40, "value": 0.75, "low": 0.6, "high": 0.9}
    ways = {
        "deletion": {"probabilities": [0.9, 0.0], "area": area},
        "insertion": {"probabilities": [0, 1], "area": area},
    }
    game = {"served": share, "plain": share, "middle": share, "covered": 0.5}
    measured = {
        **{"photos": 300, "shares": [0, 1], "served": ways, "plain": ways, "percentiles": [0.1] * 101},
        "difference": {"deletion": area, "insertion": area},
    }
    run = write_run(tmp_path, "maps", weights=b"weights")
    card = model_card(with_metrics(run, heat_maps=measured | {"pointing": {"box": game, "photo": game}}))
    assert "| deletion, smaller is better | 0.250 (0.200 to 0.300) |" in card
    assert "| the garment's box | 75.0% (60.0% to 90.0%) |" in card
    assert "Pointing game" not in model_card(with_metrics(run, heat_maps=measured))


def test_other_products_appear_by_kind(tmp_path):
    shoes = {"auroc": 0.99, "other_products": 200, "true_positive_rate": 0.95, "false_positive_rate": 0.05}
    run = write_run(tmp_path, "scope", weights=b"weights", in_scope={"threshold": 3.0, "true_positive_rate": 0.95})
    run = with_metrics(
        run, test=run.read_json("metrics.json")["test"] | {"in_scope": shoes | {"kinds": {"shoes": shoes}}}
    )
    card = model_card(run)
    assert "| shoes | 200 | 0.990 | 5.0% (2.7% to 9.0%) |" in card


def test_a_published_run_has_no_card():
    with pytest.raises(BrokenRun, match="has no network, so there is no model to describe"):
        model_card(Run.load(ROOT / "artifacts" / "runs" / "published-reference"))


def test_energy_is_estimated_for_processors_only(tmp_path):
    hours = 2.0
    history = pd.read_csv(write_run(tmp_path, "first").folder / "history.csv")
    history["seconds"] = 3600 * hours / len(history)
    on_cpu = model_card(write_run(tmp_path, "cpu", history=history, weights=b"weights"))
    on_gpu = model_card(write_run(tmp_path, "gpu", history=history.assign(device="cuda (H100)"), weights=b"weights"))
    assert f"that is {hours * cards.CPU_WATTS / 1000:.2f} kWh" in on_cpu
    assert f"Training took {duration(3600 * hours)} on `cuda (H100)`" in on_gpu and "kWh" not in on_gpu


def test_each_colour_belongs_to_one_group():
    colours = [colour for group in cards.COLOUR_GROUPS.values() for colour in group]
    assert len(colours) == len(set(colours))


def test_accuracy_by_slice_counts_every_photo_once():
    random = np.random.default_rng(0)
    slices, correct = random.choice(["a", "b", "c"], 200, p=[0.6, 0.3, 0.1]), random.random(200) < 0.8
    table = accuracy_by(slices, correct)
    assert list(table["slice"]) == ["a", "b", "c"] and table["photos"].sum() == 200
    for row in table.itertuples():
        right, photos = correct[slices == row.slice].sum(), (slices == row.slice).sum()
        assert row.accuracy == right / photos
        assert (row.low, row.high) == wilson_interval(right, photos)


def test_a_slice_that_is_worse_beyond_chance_is_named(tmp_path):
    slices, correct = np.repeat(["common", "worse", "alike"], [200, 100, 50]), np.ones(350, bool)
    correct[200:230] = False
    assert cards._difference(accuracy_by(slices, correct)) == "Significantly less accurate than common: worse."
    assert cards._difference(accuracy_by(slices, np.ones(350, bool))) == ""
