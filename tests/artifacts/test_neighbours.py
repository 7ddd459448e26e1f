"""The index finds what an exhaustive search over the whole features finds, small as it is; damage is told."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from sklearn.neighbors import NearestNeighbors

from core.artifacts.neighbours import Neighbours
from core.artifacts.run import Run, sha256_of
from core.errors import BrokenRun
from train.neighbours import DIMENSIONS, compressed

RNG = np.random.default_rng(0)
# Like a network's features: not negative, and most of what varies lies in few directions.
POOLED = np.maximum(RNG.normal(size=(600, 30)) @ RNG.normal(size=(30, 2048)) + RNG.normal(size=(600, 2048)), 0)
POOLED = POOLED.astype(np.float32)
IDS = np.arange(1000, 1600)


def write_run(folder, index: dict, ids=IDS) -> Run:
    folder.mkdir(exist_ok=True)
    tensors = {name: np.ascontiguousarray(values) for name, values in (index | {"ids": IDS}).items()}
    save_file(tensors, folder / "neighbours.safetensors")
    pd.DataFrame({"id": ids, "label": "Jeans", "product": [f"Product {i}" for i in ids]}).to_csv(
        folder / "neighbours.csv", index=False
    )
    files = {path.name: sha256_of(path) for path in folder.glob("neighbours.*")}
    manifest = {
        "schema": 1,
        "run_id": "r",
        "name": "r",
        "origin": "measured",
        "created": "2026-11-27T10:00:00",
        "groups": {},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest | {"files": files}))
    return Run.load(folder)


@pytest.fixture
def run(tmp_path) -> Run:
    return write_run(tmp_path / "run", compressed(POOLED))


def test_a_training_photo_is_most_similar_to_itself(run):
    index = Neighbours.load(run)
    assert index
    for row in (0, 123, 599):
        nearest = index.nearest(POOLED[row], 3)
        assert nearest.columns.tolist() == ["id", "label", "product", "similarity"] and len(nearest) == 3
        first = nearest.iloc[0]
        assert (first["id"], first["product"]) == (IDS[row], f"Product {IDS[row]}")
        assert first["similarity"] == pytest.approx(1, abs=1e-3)
        assert nearest["similarity"].is_monotonic_decreasing and nearest["similarity"].max() <= 1 + 1e-6


def test_the_order_is_that_of_an_exhaustive_search_over_the_uncompressed_features(run):
    index = Neighbours.load(run)
    assert index
    queries = POOLED[:40] + RNG.normal(0, 0.3, (40, 2048)).astype(np.float32)
    centred = POOLED - POOLED.mean(axis=0)
    search = NearestNeighbors(n_neighbors=5, metric="cosine").fit(centred)
    expected = IDS[search.kneighbors(queries - POOLED.mean(axis=0), return_distance=False)]
    found = [index.nearest(query)["id"].tolist() for query in queries]
    shared = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(found, expected, strict=True)])
    assert shared > 0.85
    assert np.mean([a[0] == b[0] for a, b in zip(found, expected, strict=True)]) == 1


def test_the_index_takes_a_byte_a_dimension(run):
    size = (run.folder / "neighbours.safetensors").stat().st_size
    assert size < 600 * (DIMENSIONS + 8) + 2048 * (2 * DIMENSIONS + 4) + 1000


def test_a_photo_of_average_features_has_neighbours_too(run):
    index = Neighbours.load(run)
    assert index and len(index.nearest(index.mean)) == 5 and not index.nearest(index.mean)["similarity"].any()


def test_a_run_without_an_index_has_none(run):
    assert Neighbours.load(replace(run, manifest=run.manifest | {"files": {}})) is None


def test_an_altered_index_is_refused(run):
    with (run.folder / "neighbours.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BrokenRun, match=r"neighbours\.safetensors is damaged or was replaced: its SHA-256"):
        Neighbours.load(run)


def test_a_table_of_other_photos_is_refused(tmp_path):
    with pytest.raises(BrokenRun, match="neighbours.csv beside it do not belong together"):
        Neighbours.load(write_run(tmp_path / "run", compressed(POOLED), IDS[::-1]))


@pytest.mark.parametrize("missing", ["mean", "components", "features"])
def test_a_file_of_other_tensors_is_refused(tmp_path, missing):
    index = {name: values for name, values in compressed(POOLED).items() if name != missing}
    with pytest.raises(BrokenRun, match="is no index of similar photos"):
        Neighbours.load(write_run(tmp_path / "run", index))


def test_components_of_another_network_are_refused(tmp_path):
    index = compressed(POOLED)
    with pytest.raises(BrokenRun, match="do not belong together"):
        Neighbours.load(write_run(tmp_path / "run", index | {"components": index["components"][:5]}))


def test_a_table_without_a_column_is_refused(run):
    table = run.folder / "neighbours.csv"
    pd.read_csv(table).drop(columns="product").to_csv(table, index=False)
    files = run.manifest["files"] | {"neighbours.csv": sha256_of(table)}
    with pytest.raises(BrokenRun, match="is no index of similar photos.*product"):
        Neighbours.load(replace(run, manifest=run.manifest | {"files": files}))
