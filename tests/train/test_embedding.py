"""The map of the test photos: who is on it, that it keeps neighbours together, and that it is always the same."""

import numpy as np
import pandas as pd
import pytest

from tests.train_cases import CLASSES
from train import embedding
from train.catalogue import PHONE, PRODUCT, WORN
from train.dataset import OUT_OF_SCOPE, Index
from train.embedding import EMBEDDING_FILE, in_two_dimensions, write_embedding
from train.splits import SplitData


def three_heaps(each: int = 40) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(10 * heap, 1, (each, 200)) for heap in range(3)]).astype(np.float32)


def test_photos_that_the_network_sees_alike_are_neighbours_on_the_map():
    places = in_two_dimensions(three_heaps())
    centres = places.reshape(3, 40, 2).mean(axis=1)
    distances = np.linalg.norm(places[:, None] - centres, axis=2)
    assert (distances.argmin(axis=1) == np.repeat([0, 1, 2], 40)).all()


def test_the_same_features_always_give_the_same_map():
    assert np.array_equal(in_two_dimensions(three_heaps()), in_two_dimensions(three_heaps()))


@pytest.mark.parametrize("photos", [1, 2, 3, 4, 5, 12])
def test_a_few_photos_get_places_too(photos):
    places = in_two_dimensions(three_heaps()[:photos])
    assert places.shape == (photos, 2)
    assert np.isfinite(places).all()


def test_photos_in_which_the_network_sees_nothing_get_places_too():
    assert np.isfinite(in_two_dimensions(np.zeros((40, 200), np.float32))).all()


class Pooling:
    """An engine whose features are the number in the pixels."""

    height, width = 4, 3

    def run(self, pixels):
        features = np.ones((1, 8, 2, 2)) * pixels[:, 0, 0, 0][:, None, None, None]
        return type("Activations", (), {"features": features})


@pytest.fixture
def data(tmp_path):
    """Eight photos, all for the test, the last but one of another product, and the last for training."""
    photos = pd.DataFrame(
        {
            "id": np.arange(100, 108),
            "articleType": [*CLASSES[:3], "pants", "worn coat", "dress", "Watches", CLASSES[3]],
            "kind": [PRODUCT] * 3 + [PHONE, WORN, PHONE, PRODUCT, PRODUCT],
            "main": True,
            "target": [0, 1, 2, *[OUT_OF_SCOPE] * 4, 3],
        }
    )
    splits = pd.DataFrame({"split": ["test"] * 7 + ["train"], "duplicate_group": np.arange(8)})
    np.save(tmp_path / "0123456789abcdef-4x3.npy", np.arange(8, dtype=np.uint8).repeat(36).reshape(8, 4, 3, 3))
    return SplitData(Index(photos, [], [], "0123456789abcdef", []), splits, tmp_path)


def test_the_map_shows_the_test_photos_of_classes_from_phones_and_worn(tmp_path, data):
    write_embedding(tmp_path, data, Pooling())
    table = pd.read_csv(tmp_path / EMBEDDING_FILE)
    assert list(table) == ["id", "x", "y"]
    assert table["id"].tolist() == [100, 101, 102, 103, 105, 104]


def test_of_too_many_photos_evenly_spaced_ones_are_shown(tmp_path, data, monkeypatch):
    monkeypatch.setattr(embedding, "MOST_PHOTOS", 3)
    write_embedding(tmp_path, data, Pooling())
    assert pd.read_csv(tmp_path / EMBEDDING_FILE)["id"].tolist() == [100, 102, 104]
