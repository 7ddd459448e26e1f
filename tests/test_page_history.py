"""The training history page as a script: selection, overlay, live, missing and broken runs."""

import json
import shutil
import time

import pytest
from streamlit.testing.v1 import AppTest

from core.runs import RUNS_FOLDER
from tests.conftest import ROOT


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder of runs with the published one in it."""
    shutil.copytree(RUNS_FOLDER / "published-reference", tmp_path / "published-reference")
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path))
    return tmp_path


def opened() -> AppTest:
    return AppTest.from_file(str(ROOT / "pages" / "2_Training_history.py"), default_timeout=60).run()


def metrics(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def test_the_published_run_shows_its_own_figures(runs):
    page = opened()
    assert metrics(page)["Best validation accuracy"] == "91.45%"
    assert metrics(page)["Test accuracy"] == "about 90-91%"
    assert metrics(page)["Gain of the last stage"] == "+1.68 points"
    assert not page.exception and not page.error


def test_a_curve_nobody_knows_is_named_instead_of_drawn_empty(runs):
    assert any(caption.value == "Not known of these runs: Loss." for caption in opened().caption)


def test_no_run_at_all_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path))
    page = opened()
    assert "python -m train --smoke" in page.info[0].value and not page.exception


def test_no_run_chosen_asks_for_one(runs):
    page = opened()
    page.multiselect("runs").set_value([]).run()
    assert "Choose a run" in page.info[0].value


def test_a_broken_folder_is_named_and_the_rest_goes_on(runs):
    shutil.copytree(runs / "published-reference", runs / "broken")
    (runs / "broken" / "manifest.json").write_text("{")
    page = opened()
    assert any("broken" in warning.value and "cannot be read" in warning.value for warning in page.warning)
    assert metrics(page)["Best validation accuracy"] == "91.45%"


def progress(runs, updated: float, **told) -> None:
    live = runs / "live"
    live.mkdir()
    fields = {
        "run_id": "live", "state": "training", "stage": 2, "stages": 4, "epoch": 3, "epochs": 8, "step": 5, "steps": 10,
        "images_per_second": 29.0, "seconds_left": 600.0, "message": "", "updated": updated,
    }  # fmt: skip
    (live / "progress.json").write_text(json.dumps(fields | told))
    (live / "config.json").write_text('{"resolved": {"name": "default"}}')


def test_a_dead_trainer_is_called_dead_with_the_way_to_go_on(runs):
    progress(runs, updated=time.time() - 3600)
    page = opened()
    page.multiselect("runs").set_value(["live"]).run()
    assert (
        "no sign of life" in page.error[0].value
        and "python -m train --resume artifacts/runs/live" in page.error[0].value
    )


def test_a_trainer_that_stopped_says_why(runs):
    progress(runs, updated=time.time(), state="stopped", message="The disk is full.")
    page = opened()
    page.multiselect("runs").set_value(["live"]).run()
    assert "The disk is full." in page.error[0].value


@pytest.mark.parametrize("key", ["curves", "axis", "smoothing", "log"])
def test_every_control_of_the_curves_answers(runs, key):
    page = opened()
    if key == "curves":
        page.button_group("curves").set_value([]).run() if hasattr(page, "button_group") else page.pills(
            "curves"
        ).set_value([]).run()
        assert any("at least one curve" in info.value for info in page.info)
    elif key == "axis":
        page.segmented_control("axis").set_value("Hours").run()
    elif key == "smoothing":
        page.slider("smoothing").set_value(0.5).run()
    else:
        page.toggle("log").set_value(True).run()
    assert not page.exception and not page.error
