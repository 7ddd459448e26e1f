"""Which photos an epoch sees: sampling frequencies, seeded order, and shards that together are the batch of one process."""

import numpy as np
import pytest
import torch

from core.errors import InvalidConfig
from tests.train_cases import settings
from train.batches import (
    Batches,
    PixelDataset,
    check_shares,
    epoch_batches,
    epoch_size,
    kinds_without_photos,
    sampling_weights,
    shared_weights,
)
from train.config import Shares, parse_recipe
from train.distributed import World

TARGETS = np.repeat([0, 1, 2], [300, 90, 10])
CPU = torch.device("cpu")
ALONE = World(0, 1, CPU)


def recipe(**changes):
    return parse_recipe(settings(**changes), "test")


def test_natural_sampling_sees_each_photo_at_most_once_and_leaves_out_only_an_incomplete_batch():
    batches = epoch_batches(TARGETS, recipe(sampler="natural", batch_size=32), 1, ALONE)
    seen = sum(batches, [])
    assert [len(batch) for batch in batches] == [32] * (400 // 32)
    assert len(set(seen)) == len(seen) == 384


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [("inverse", [1 / 3, 1 / 3, 1 / 3]), ("square_root", [np.sqrt(300), np.sqrt(90), np.sqrt(10)])],
)
def test_weighted_sampling_draws_classes_as_often_as_it_says(sampler, expected):
    drawn = sum((sum(epoch_batches(TARGETS, recipe(sampler=sampler), epoch, ALONE), []) for epoch in range(100)), [])
    shares = np.bincount(TARGETS[drawn]) / len(drawn)
    assert shares == pytest.approx(np.array(expected) / np.sum(expected), abs=0.01)


def test_within_a_class_weighted_sampling_draws_every_photo_alike():
    weights = sampling_weights(TARGETS, "inverse")
    assert weights.sum() == pytest.approx(1)
    assert all(np.ptp(weights[target == TARGETS]) == 0 for target in range(3))


@pytest.mark.parametrize("sampler", ["natural", "inverse"])
@pytest.mark.parametrize("size", [2, 4])
def test_the_shards_of_several_processes_are_together_the_batches_of_one(sampler, size):
    one = epoch_batches(TARGETS, recipe(sampler=sampler), 3, ALONE)
    shards = [epoch_batches(TARGETS, recipe(sampler=sampler), 3, World(rank, size, CPU)) for rank in range(size)]
    for batch, *parts in zip(one, *shards, strict=True):
        assert [len(part) for part in parts] == [16 // size] * size
        assert sorted(sum(parts, [])) == sorted(batch)


def test_an_epochs_order_depends_on_seed_and_epoch_alone():
    first = epoch_batches(TARGETS, recipe(), 1, ALONE)
    assert epoch_batches(TARGETS, recipe(), 1, ALONE) == first
    assert epoch_batches(TARGETS, recipe(), 2, ALONE) != first
    assert epoch_batches(TARGETS, recipe(seed=8), 1, ALONE) != first


def test_fewer_photos_than_a_batch_make_one_smaller_batch():
    assert [len(batch) for batch in epoch_batches(TARGETS[:7], recipe(), 1, ALONE)] == [7]
    assert [len(batch) for batch in epoch_batches(TARGETS[:7], recipe(), 1, World(1, 2, CPU))] == [3]


@pytest.mark.parametrize(("size", "accumulation"), [(3, 1), (2, 16), (32, 1)])
def test_a_batch_that_does_not_divide_evenly_is_refused(size, accumulation):
    with pytest.raises(InvalidConfig, match=f"batch_size 16 is not a multiple of {size} processes times accumulation"):
        check_shares(recipe(accumulation=accumulation), World(0, size, CPU))


def test_batches_carry_the_right_pixels_and_targets(tmp_path):
    np.save(tmp_path / "pixels.npy", np.arange(20, dtype=np.uint8).repeat(2 * 2 * 3).reshape(20, 2, 2, 3))
    rows = np.array([3, 5, 8, 13])
    dataset = PixelDataset(np.load(tmp_path / "pixels.npy", mmap_mode="r"), rows, np.array([0, 1, 2, 3]))
    (first, first_targets), (second, second_targets) = Batches(dataset, [[2, 0], [3, 3]], CPU)
    assert first.dtype == torch.uint8
    assert first[:, 1, 1, 2].tolist() == [8, 3]
    assert first_targets.tolist() == [2, 0]
    assert second[:, 0, 0, 0].tolist() == [13, 13]
    assert second_targets.tolist() == [3, 3]


def test_photos_kept_on_a_device_give_the_same_batches_and_hold_only_what_the_split_has(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 2, 2, 3), dtype=np.uint8)
    dataset = PixelDataset(pixels, np.array([3, 41, 8, 3]), np.array([0, 1, 2, 3]))
    kept = dataset.kept_on(CPU)
    assert isinstance(kept.pixels, torch.Tensor) and len(kept.pixels) == 3
    order = [[0, 1], [3, 2], [1, 1]]
    for (one, targets), (other, same) in zip(Batches(dataset, order, CPU), Batches(kept, order, CPU), strict=True):
        assert torch.equal(one, other) and torch.equal(targets, same)


@pytest.mark.parametrize(("free", "expected"), [(2 * 3 * 12, "kept"), (2 * 3 * 12 - 1, "left")])
def test_photos_go_to_a_gpu_if_they_take_half_of_its_free_memory_at_most(monkeypatch, free, expected):
    dataset = PixelDataset(np.zeros((50, 2, 2, 3), np.uint8), np.array([3, 41, 8, 3]), np.arange(4))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 10**12))
    monkeypatch.setattr(PixelDataset, "kept_on", lambda *_: "kept")
    near = dataset.near(torch.device("cuda"))
    assert (near if near == "kept" else "left") == expected
    assert dataset.near(CPU) is dataset


def test_for_a_gpu_photos_that_are_not_on_it_are_pinned(monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor.dtype) or tensor)
    dataset = PixelDataset(np.zeros((4, 2, 2, 3), np.uint8), np.arange(4), np.arange(4))
    assert len(list(Batches(dataset, [[0, 1], [2, 3]], torch.device("cuda")))) == 2
    assert pinned == [torch.uint8, torch.int64] * 2
    list(Batches(dataset, [[0, 1]], CPU))
    assert len(pinned) == 4


def test_each_kind_has_its_share_whatever_its_number():
    kinds = np.repeat([0, 1, 2, 3], [310, 70, 10, 10])
    shares = Shares(photos=100, products=3.0, other_products=0.5, phone=1.0, worn=0.5)
    weights = shared_weights(TARGETS, kinds, "square_root", shares)
    assert [weights[kinds == kind].sum() for kind in range(4)] == pytest.approx([0.6, 0.1, 0.2, 0.1])
    inside = weights[:300].sum() / weights[300:310].sum()
    assert inside == pytest.approx(np.sqrt(300) / np.sqrt(10))


def test_kinds_with_a_share_and_no_photo_are_named_and_the_others_divide_it():
    kinds = np.repeat([0, 2], [300, 100])
    shares = Shares(photos=100, products=0.4, other_products=0.2, phone=0.2, worn=0.2)
    assert kinds_without_photos(kinds, shares) == ["other products", "worn garments"]
    assert kinds_without_photos(kinds, Shares(photos=100, products=0.5, phone=0.5)) == []
    weights = shared_weights(TARGETS, kinds, "square_root", shares)
    assert [weights[kinds == kind].sum() for kind in (0, 2)] == pytest.approx([2 / 3, 1 / 3])


def test_shares_set_the_length_of_an_epoch():
    shares = {"photos": 640, "products": 1.0}
    batches = epoch_batches(TARGETS, recipe(shares=shares), 1, ALONE, np.zeros(400, int))
    assert sum(map(len, batches)) == 640 == epoch_size(400, recipe(shares=shares))
    assert epoch_size(400, recipe()) == 400
