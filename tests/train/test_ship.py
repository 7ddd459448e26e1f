"""Finished runs among those of the repository: only a better one ships, and what stays of the others is whole."""

import json

import pytest

from core.artifacts.run import Run, current_run, find_runs, sha256_of
from core.errors import BrokenRun, InvalidData
from tests.run_factory import write_run
from train import ship as module
from train.__main__ import main
from train.folder import write_json
from train.ship import RECORD, ship, validation_score


@pytest.fixture
def runs(tmp_path):
    """A folder of runs with one that ships."""
    runs = tmp_path / "runs"
    write_run(runs, "old", weights=b"old weights", validation=0.80)
    (runs / "current.json").write_text(json.dumps({"run_id": "old"}))
    return runs


def test_a_better_run_ships_whole_and_the_one_before_stays_as_a_record(runs, tmp_path):
    new = write_run(tmp_path / "elsewhere", "new", weights=b"new weights", validation=0.81)
    said = ship(new.folder, runs)
    assert "0.810" in said and "0.800" in said
    shipped = current_run(runs)
    assert shipped.run_id == "new" and shipped.has_network
    for name in new.manifest["files"]:
        assert shipped.path(name).read_bytes() == (new.folder / name).read_bytes()
    former = Run.load(runs / "old")
    assert not former.has_network
    assert {path.name for path in former.folder.iterdir()} == {"manifest.json", *RECORD}
    assert all(former.path(name) for name in former.manifest["files"])
    assert find_runs(runs)[1] == {}


def test_weights_of_single_stages_are_not_shipped(runs, tmp_path):
    new = write_run(tmp_path / "elsewhere", "new", weights=b"new weights", validation=0.81)
    stage = new.folder / "network_stage1.safetensors"
    stage.write_bytes(b"weights after a stage")
    files = new.manifest["files"] | {stage.name: sha256_of(stage)}
    (new.folder / "manifest.json").write_text(json.dumps(new.manifest | {"files": files}))
    ship(new.folder, runs)
    assert current_run(runs).has_network and not current_run(runs).has(stage.name)


def test_a_run_made_in_the_folder_of_runs_ships_where_it_is(runs):
    new = write_run(runs, "new", weights=b"new weights", validation=0.81)
    ship(new.folder, runs)
    assert current_run(runs).path("model.safetensors").read_bytes() == b"new weights"


@pytest.mark.parametrize("validation", [0.80, 0.79])
def test_a_run_that_is_no_better_does_not_ship(runs, tmp_path, validation):
    new = write_run(tmp_path / "elsewhere", "new", weights=b"new weights", validation=validation)
    with pytest.raises(InvalidData, match=rf"new is not shipped: .* {validation:.3f}, and old, .*, 0.800"):
        ship(new.folder, runs)
    assert current_run(runs).run_id == "old" and not (runs / "new").exists()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"groups": {"Tops": ["Tshirts"], "Bottoms": ["Jeans"]}}, "classes"),
        ({"data_fingerprint": "f" * 64}, "data"),
        ({"data_fingerprint": "f" * 64, "groups": {"Tops": ["Tshirts"], "Bottoms": ["Jeans"]}}, "classes and data"),
    ],
)
def test_runs_of_other_photos_or_classes_are_not_compared(runs, tmp_path, changes, named):
    new = write_run(tmp_path / "elsewhere", "new", weights=b"new weights", validation=0.99)
    write_json(new.folder / "manifest.json", new.manifest | changes)
    with pytest.raises(InvalidData, match=rf"cannot be compared with old, .* they differ in their {named}, so"):
        ship(new.folder, runs)
    assert current_run(runs).run_id == "old"


def test_runs_of_other_splits_are_not_compared(runs, tmp_path):
    new = write_run(tmp_path / "elsewhere", "new", weights=b"new weights", validation=0.99)
    (new.folder / "splits.csv").write_text("id,split\n1,test\n")
    files = new.manifest["files"] | {"splits.csv": sha256_of(new.folder / "splits.csv")}
    write_json(new.folder / "manifest.json", new.manifest | {"files": files})
    with pytest.raises(InvalidData, match="differ in their splits"):
        ship(new.folder, runs)


def test_the_run_that_ships_is_not_shipped_again(runs):
    with pytest.raises(InvalidData, match="old ships already"):
        ship(runs / "old", runs)
    assert current_run(runs).has_network


def test_in_a_fresh_folder_of_runs_the_first_one_ships_without_a_comparison(tmp_path):
    new = write_run(tmp_path / "elsewhere", "new", weights=b"new weights")
    assert "new ships now; no run of" in ship(new.folder, tmp_path / "fresh")
    assert current_run(tmp_path / "fresh").path("model.safetensors").read_bytes() == b"new weights"


def test_phone_photos_and_worn_garments_have_their_say_in_the_choice(tmp_path):
    run = write_run(tmp_path, "new", validation=0.8)
    metrics = run.folder / "metrics.json"
    measures = json.loads(metrics.read_text())
    labels = [{"label": "pants", "n": 6, "value": 0.8}, {"label": "shirt", "n": 3, "value": 0.0}]
    phone = {"photos": 9, "exact": {"n": 3, "value": 0.0}, "allowed_set": {"n": 9, "value": 0.6}, "labels": labels}
    nothing = {"n": 0, "value": None}
    measures["phone"] = {"validation": phone}
    measures["worn"] = {"validation": {"photos": 2, "exact": nothing, "allowed_set": nothing, "labels": []}}
    metrics.write_text(json.dumps(measures))
    run.manifest["files"]["metrics.json"] = sha256_of(metrics)
    assert validation_score(Run(run.folder, run.manifest)) == pytest.approx((0.8 + 0.8 + 0.6 + 0.4) / 4)


def test_one_photo_of_a_rare_class_does_not_choose_the_network(tmp_path):
    run = write_run(tmp_path, "new", validation=0.8)
    metrics = run.folder / "metrics.json"
    measures = json.loads(metrics.read_text())
    measures["validation"]["classes"] += [
        {"class": "Swimwear", "support": 1, "f1": 0.0},
        {"class": "Skirts", "support": 10, "f1": None},
    ]
    metrics.write_text(json.dumps(measures))
    files = run.facts.files | {"metrics.json": sha256_of(metrics)}
    run = Run(run.folder, run.manifest | {"files": files})
    assert validation_score(run) == pytest.approx((0.8 + 3 * 0.8 / 4) / 2)


def test_a_record_keeps_everything_but_weights_and_splits(runs, tmp_path, capsys):
    new = write_run(tmp_path / "elsewhere", "new", weights=b"new weights")
    assert main(["--runs", str(runs), "record", str(new.folder)]) == 0
    kept = Run.load(runs / "new")
    assert not kept.has_network and all(kept.path(name) for name in RECORD)
    assert "new is recorded" in capsys.readouterr().out
    assert main(["--runs", str(runs), "record", str(new.folder)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_run_made_in_the_folder_of_runs_becomes_a_record_where_it_is_unless_it_ships(runs, capsys):
    write_run(runs, "new", weights=b"new weights")
    assert main(["--runs", str(runs), "record", str(runs / "new")]) == 0
    assert not Run.load(runs / "new").has_network and {path.name for path in (runs / "new").iterdir()} == {
        "manifest.json",
        *RECORD,
    }
    assert main(["--runs", str(runs), "record", str(runs / "old")]) == 1
    assert "old ships now" in capsys.readouterr().err and current_run(runs).has_network


def test_a_damaged_run_leaves_nothing_behind(runs, tmp_path):
    new = write_run(tmp_path / "elsewhere", "new", weights=b"new weights", validation=0.9)
    (new.folder / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(BrokenRun, match="damaged or was replaced"):
        ship(new.folder, runs)
    assert {path.name for path in runs.iterdir()} == {"old", "current.json"}


def test_on_a_full_disk_the_run_before_goes_on_shipping(runs, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    new = write_run(tmp_path / "elsewhere", "new", weights=b"new weights", validation=0.9)
    monkeypatch.setattr(module.shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        ship(new.folder, runs)
    monkeypatch.undo()
    assert current_run(runs).path("model.safetensors").read_bytes() == b"old weights"
    assert {path.name for path in runs.iterdir()} == {"old", "current.json"}
