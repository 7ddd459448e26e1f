"""`predict --ray`: what an actor answers, and a cluster of three machines, one of which is lost in the middle.

The cluster needs requirements-ray.txt and a minute or two: `python -m pytest -n0 -m ray tests/bulk/test_on_ray.py`.
"""

import os
import threading
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from core.__main__ import _address, main
from core.bulk.on_ray import _Network, _roots
from core.bulk.pipeline import Request
from core.samples import garments

PHOTOS, BAD = 300, 70


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    garment = garments.sample("Shirts", size=(90, 120))
    for number in range(PHOTOS):
        tint = Image.new("RGB", garment.size, (number % 256, 255 - number % 256, (7 * number) % 256))
        Image.blend(garment, tint, 0.3).save(folder / f"{number:03}.jpg")
    (folder / f"{BAD:03}.jpg").write_bytes(b"broken")
    return folder


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """The same rows, in any order; a pass of other photos beside it changes the last digits."""
    one, other = (
        rows.sort_values("file", ignore_index=True).drop(columns=["milliseconds", "top_k"]) for rows in (one, other)
    )
    pd.testing.assert_frame_equal(one, other, check_exact=False, rtol=1e-3, atol=1e-3)


def test_an_actor_answers_with_the_rows_that_one_machine_gives(random_run, tmp_path, monkeypatch):
    monkeypatch.setenv("GARMENTS_RUNS", str(random_run.folder.parent))
    monkeypatch.chdir(tmp_path)
    folder = Path("photos")
    folder.mkdir()
    for number in range(3):
        garments.sample("Shirts", number, (60, 80)).save(folder / f"{number}.jpg")
    (folder / "3.jpg").write_bytes(b"broken")
    (folder / "._4.jpg").write_bytes(b"of macOS")
    assert main(["predict", "photos", "--parquet", "alone.parquet"]) == 0
    actor = _Network(random_run.folder, Request(), _roots(["photos"]))
    read = {
        "path": [str(path.absolute()) for path in folder.iterdir()],
        "bytes": [path.read_bytes() for path in folder.iterdir()],
    }
    same(pd.read_parquet("alone.parquet"), actor(pa.table(read)).to_pandas())
    listed = actor(pa.table({"path": ["photos/0.jpg", "nothere.jpg"]})).to_pylist()
    assert listed[0]["label"] and "nothere.jpg cannot be read (No such file" in listed[1]["error"]


def test_the_address_of_an_object_store_is_kept():
    assert _address(Path("s3://bucket/folder")) == "s3://bucket/folder"
    assert _address(Path("/folder/a.jpg")) == "/folder/a.jpg" and _address(Path("a:/b")) == "a:/b"


@pytest.mark.ray
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_loses_a_machine_in_the_middle_gives_the_rows_that_one_machine_gives(
    folder, random_run, tmp_path, monkeypatch
):
    pytest.importorskip("ray", reason="requirements-ray.txt is not installed")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("GARMENTS_RUNS", str(random_run.folder.parent))
    monkeypatch.chdir(tmp_path)
    assert main(["predict", str(folder), "--parquet", "alone.parquet"]) == 0
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    lost = [cluster.add_node(num_cpus=1) for _ in range(2)][0]
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    target = tmp_path / "results"

    def lose() -> None:
        while not (target.exists() and any(target.iterdir())):
            time.sleep(0.05)
        cluster.remove_node(lost, allow_graceful=False)

    losing = threading.Thread(target=lose, daemon=True)
    losing.start()
    try:
        assert main(["predict", str(folder), "--parquet", str(target), "--ray"]) == 0
        losing.join(60)
        assert not losing.is_alive() and sum(node["Alive"] for node in pytest.importorskip("ray").nodes()) == 2
        same(pd.read_parquet("alone.parquet"), pd.read_parquet(target))
        names = pa.table({"path": [str(folder / "001.jpg"), str(folder / "nothere.jpg")]})
        pq.write_table(names, tmp_path / "list.parquet")
        assert main(["predict", "--list", "list.parquet", "--parquet", str(tmp_path / "listed"), "--ray"]) == 0
        first, missing = pd.read_parquet(tmp_path / "listed").sort_values("file").to_dict("records")
        assert first["label"] and "nothere.jpg cannot be read (No such file" in missing["error"]
        assert (
            main(["predict", str(folder), "--parquet", str(target), "--ray"]) == 1
        )  # a folder that is there is not touched
    finally:
        pytest.importorskip("ray").shutdown()
        cluster.shutdown()
        os.environ.pop("RAY_ADDRESS", None)
