"""The most similar training photos are shown when asked for; without an index the prediction stands alone."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from streamlit.testing.v1 import AppTest

from core.artifacts.run import sha256_of
from tests.conftest import ROOT
from tests.ui.test_page_classify import headlines, photo, upload
from train.neighbours import compressed

FILES = ("neighbours.safetensors", "neighbours.csv")
IDS = list(range(2000, 2040))


@pytest.fixture
def run(random_run, tmp_path, monkeypatch):
    """The random network with an index over made-up products with hostile names; the shipped run."""
    folder = tmp_path / "runs" / "random"
    shutil.copytree(random_run.folder, folder)
    (folder.parent / "current.json").write_text('{"run_id": "random"}')
    index = compressed(np.random.default_rng(0).random((40, 2048), np.float32))
    tensors = {name: np.ascontiguousarray(values) for name, values in index.items()}
    save_file(tensors | {"ids": np.array(IDS)}, folder / FILES[0])
    names = ["<img src=x onerror=alert(1)>"] * 39 + [None]
    pd.DataFrame({"id": IDS, "label": "Track Pants", "product": names}).to_csv(folder / FILES[1], index=False)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] |= {name: sha256_of(folder / name) for name in FILES}
    manifest["notes"] = [str(tmp_path)]  # another manifest, so that the server does not take it for a run it has loaded
    (folder / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setenv("GARMENTS_RUNS", str(folder.parent))
    return folder


def answered() -> AppTest:
    page = AppTest.from_file(str(ROOT / "pages" / "1_Classify.py"), default_timeout=60).run()
    upload(page, ("shirt.png", photo()))
    page.pills("panel").set_value("Similar photos").run()
    assert len(headlines(page)) == 1 and not page.exception and not page.error
    return page


def products(page: AppTest) -> list[str]:
    """The strip's items, as HTML."""
    return [
        item
        for block in page.html
        for item in re.findall(r'<div role="listitem" class="neighbour".*?</div>', block.value)
    ]


def test_five_products_stand_with_label_id_and_a_name_that_stays_text(run):
    items = products(answered())
    assert len(items) == 5
    assert all("<b>Track Pants</b>" in item and re.search(r"id 20\d\d</span>", item) for item in items)
    assert "&lt;img src=x" in items[0] + items[1] and not any("<img" in item for item in items)


def test_photos_are_shown_where_the_data_set_is(run, tmp_path, monkeypatch):
    first = int(re.findall(r"id (20\d\d)</span>", products(answered())[0])[0])
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "data" / "images" / f"{first}.jpg").write_bytes(photo("Jeans", "JPEG"))
    monkeypatch.setenv("GARMENTS_DATA", str(tmp_path / "data"))
    items = products(answered())
    assert ["data:image/jpeg;base64," in item for item in items] == [True, False, False, False, False]


def test_a_wrong_data_setting_is_named_and_the_products_stand(run, monkeypatch):
    monkeypatch.setenv("GARMENTS_DATA", "/nowhere")
    page = answered()
    assert any(
        "GARMENTS_DATA is /nowhere, which does not exist" in caption.value.replace("\\", "") for caption in page.caption
    )
    assert len(products(page)) == 5


def test_a_damaged_index_is_named_and_the_answer_stands(run):
    (run / FILES[0]).write_bytes(b"x")
    page = answered()
    assert any("neighbours.safetensors is damaged or was replaced" in caption.value for caption in page.caption)
    assert not products(page)


def test_a_run_without_an_index_says_so_quietly(random_runs):
    page = answered()
    quiet = [caption.value for caption in page.caption if "similar" in caption.value]
    assert quiet == ["This run has no index of similar photos."] and not products(page)
