"""A run's index of similar products covers its training photos of the classes, by the features that the product serves."""

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from core.inference.engine import Activations
from tests.train_cases import settings, small_rows, write_catalogue
from train import neighbours
from train.config import parse_recipe
from train.dataset import build_index
from train.neighbours import write_index
from train.splits import SplitData, split

RECIPE = parse_recipe(settings(), "test")


class StandInEngine:
    """Gives features that are known: the photo's own pixels, at two places."""

    height, width = 16, 12

    def run(self, pixels: np.ndarray) -> Activations:
        flat = pixels.reshape(len(pixels), -1).astype(np.float32)
        return Activations(flat[:, :15], np.stack([flat + 1, flat - 1], axis=-1)[:, :, None])  # (B, 576, 1, 2)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> SplitData:
    folder = tmp_path_factory.mktemp("catalogue")
    index = build_index([write_catalogue(folder / "data", small_rows())], RECIPE.class_list(), folder / "cache")
    return SplitData(index, split(index, RECIPE), folder / "cache")


def written(folder) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    return load_file(folder / "neighbours.safetensors"), pd.read_csv(folder / "neighbours.csv")


def test_the_index_holds_the_training_photos_of_the_classes(data, tmp_path):
    write_index(tmp_path, data, StandInEngine())
    index, table = written(tmp_path)
    expected = data.index.photos.iloc[data.known_rows("train")]
    assert table["id"].tolist() == index["ids"].tolist() == expected["id"].tolist()
    assert table["label"].tolist() == expected["articleType"].tolist()
    assert table["product"].tolist() == expected["productDisplayName"].tolist()
    assert "Watches" not in set(table["label"])
    assert index["features"].dtype == np.int8 and np.abs(index["features"].astype(int)).max(axis=1).min() == 127


def test_what_is_written_is_what_was_computed(data, tmp_path):
    """safetensors would write a transposed array's memory as it lies, without a word."""
    write_index(tmp_path, data, StandInEngine())
    rows = data.known_rows("train")
    expected = neighbours.compressed(data.pixels(16, 12)[rows].reshape(len(rows), -1).astype(np.float32))
    for name, values in expected.items():
        np.testing.assert_array_equal(written(tmp_path)[0][name], values)


def test_the_features_are_averaged_over_the_photo(data, tmp_path):
    write_index(tmp_path, data, StandInEngine())
    rows = data.known_rows("train")
    np.testing.assert_allclose(
        written(tmp_path)[0]["mean"], data.pixels(16, 12)[rows].reshape(len(rows), -1).mean(axis=0), rtol=1e-5
    )


def test_of_very_many_photos_some_of_each_class_are_taken(data, tmp_path, monkeypatch):
    monkeypatch.setattr(neighbours, "MOST_PHOTOS", 40)
    write_index(tmp_path, data, StandInEngine())
    index, table = written(tmp_path)
    assert len(table) == len(index["features"]) == 40 == table["id"].nunique()
    assert table["label"].nunique() == 15


def test_the_same_data_give_the_same_files(data, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_index(tmp_path / name, data, StandInEngine())
    for file in ("neighbours.safetensors", "neighbours.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
