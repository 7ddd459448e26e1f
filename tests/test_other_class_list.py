"""A class list of another trade, with many classes and groups of its own, needs no change of code."""

import io
import json

import pytest
from streamlit.testing.v1 import AppTest

from core.artifacts.labels import LabelSet
from core.artifacts.run import sha256_of
from core.inference.model import GarmentNet, save_weights
from core.plots import palette
from core.samples import garments
from tests.conftest import ROOT
from tests.prediction_tables import prediction_table, write_run

GROUPS = {group: tuple(f"{group} {n}" for n in range(1, 14)) for group in ("Shoes", "Bags", "Watches", "Belts")}
GROUPS["Hats"] = ("Hats 1",)
LABELS = LabelSet(GROUPS)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, random_run):
    """A run of 53 classes, one of them alone in its group, with a network and predictions."""
    folder = tmp_path_factory.mktemp("runs")
    predictions = prediction_table(600, labels=LABELS, empty="Belts 13")
    write_run(folder / "other", {"predictions.csv": predictions}, LABELS)
    network = GarmentNet(len(LABELS))
    save_weights(network.state_dict(), folder / "other" / "model.safetensors")
    manifest = json.loads((folder / "other" / "manifest.json").read_text())
    for name in ("input", "temperature", "in_scope"):
        manifest[name] = random_run.manifest[name]
    manifest["files"]["model.safetensors"] = sha256_of(folder / "other" / "model.safetensors")
    (folder / "other" / "manifest.json").write_text(json.dumps(manifest))
    (folder / "current.json").write_text('{"run_id": "other"}')
    return folder


@pytest.fixture
def open_page(runs, monkeypatch):
    monkeypatch.setenv("GARMENTS_RUNS", str(runs))
    return lambda path: AppTest.from_file(str(ROOT / path), default_timeout=60).run()


def test_a_photo_is_classified_and_no_control_is_about_classes_that_are_not_there(open_page):
    page = open_page("pages/1_Classify.py")
    picture = io.BytesIO()
    garments.sample("Tshirts").save(picture, "PNG")
    page.file_uploader[0].set_value([("photo.png", picture.getvalue(), "image/png")]).run()
    assert not page.exception and not page.error
    assert "Upper-body bias" not in [toggle.label for toggle in page.toggle]
    assert page.slider(key="top_k").max == 53
    page.button_group("group").set_value("Bags").run()
    assert not page.exception and not page.error


def test_its_confusion_matrix_stands(open_page):
    page = open_page("pages/3_Confusion_matrix.py")
    assert not page.exception and not page.error
    assert len(page.selectbox(key="matrix_true").options) == 53


def test_each_group_has_a_colour_and_keeps_it():
    colours = [palette.group_colour(group) for group in GROUPS]
    assert len(set(colours)) > 1 and set(colours) <= set(palette.SERIES)
    assert colours == [palette.group_colour(group) for group in GROUPS]
