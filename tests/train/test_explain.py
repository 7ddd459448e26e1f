"""Measures of heat maps tell a map that shows what the network uses from one that does not."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from core.inference.engine import Activations
from train import explain
from train.explain import Case, curves

SIZE = (40, 30)  # (height, width)


class LooksLeft:
    """A network that says class 0 by how rough the left half is; its heat maps as served point there, plain ones to the right."""

    input_size = SIZE

    def passed(self, inputs):
        rough = np.array([np.abs(np.diff(seen.pixels[:, :15].astype(float), axis=0)).mean() for seen in inputs])
        return Activations(np.stack([rough / 4, np.ones(len(inputs))], axis=1), np.zeros((len(inputs), 1, 1, 1)))

    def heat(self, way, features, class_index, seen, size):
        ramp = np.tile(np.linspace(1, 0, size[0]), (size[1], 1))
        return ramp if way == explain.SERVED else ramp[:, ::-1]


def rough_photo() -> Image.Image:
    """A photo that is rough everywhere, so that no border of it is cut off."""
    pixels = np.random.default_rng(0).integers(0, 60, (*SIZE, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_a_map_of_what_the_network_uses_has_the_smaller_deletion_area_and_the_larger_insertion_area():
    found = curves(LooksLeft(), [rough_photo()] * 3, temperature=1.0)
    served, plain = found["served"], found["plain"]
    assert served["deletion"]["area"]["value"] < plain["deletion"]["area"]["value"] - 0.2
    assert served["insertion"]["area"]["value"] > plain["insertion"]["area"]["value"] + 0.1
    assert found["difference"]["deletion"]["value"] == pytest.approx(
        served["deletion"]["area"]["value"] - plain["deletion"]["area"]["value"]
    )
    assert served["deletion"]["probabilities"][0] == served["insertion"]["probabilities"][-1]
    assert len(found["percentiles"]) == 101 and found["photos"] == 3


@pytest.mark.parametrize(("tolerance", "hits"), [(0, [1, 0, 0]), (16, [1, 0, 1])])
def test_a_point_counts_if_it_lies_on_the_garment_or_within_the_tolerance(tolerance, hits):
    area = np.zeros(SIZE, bool)
    area[:, :5] = True
    case = Case(rough_photo(), (0, 0, 30, 40), area, np.array([True, False]))
    ((*found, covered),) = explain._pointed(LooksLeft(), [case], [case.box], tolerance)
    assert found == hits and covered == pytest.approx(5 / 30)


def test_photos_that_were_packed_have_no_masks_to_point_at():
    data = SimpleNamespace(
        index=SimpleNamespace(pack="photos.parquet", photos={"articleType": None}), rows=lambda *_: []
    )
    assert explain.pointing(LooksLeft(), data, None) is None
