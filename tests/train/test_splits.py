"""Splits: near-duplicates stay together, custom photos only train, and the same data give the same split."""

import zipfile
from itertools import combinations

import numpy as np
import pytest

from core.errors import InvalidData
from tests.train_cases import photo, settings, small_rows, write_catalogue
from train.config import parse_recipe
from train.dataset import build_index
from train.splits import NEAR_DUPLICATE_BITS, SplitData, near_duplicate_groups, report, split, summary

RECIPE = parse_recipe(settings(), "test")
CLASSES = RECIPE.class_list()
LABELS = CLASSES.labels


@pytest.fixture
def catalogue(tmp_path):
    return write_catalogue(tmp_path / "data", small_rows())


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def test_near_duplicate_groups_are_the_chains_of_near_hashes():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (600, 256), dtype=np.uint8)
    for child in range(300, 600):  # planted relatives, at, under and over the limit
        parent, distance = rng.integers(0, child), rng.integers(1, 2 * NEAR_DUPLICATE_BITS)
        bits[child] = bits[parent]
        bits[child, rng.choice(256, distance, replace=False)] ^= 1
    groups = near_duplicate_groups([np.packbits(row).tobytes() for row in bits])
    expected = list(range(len(bits)))
    for i, j in combinations(range(len(bits)), 2):
        if (bits[i] != bits[j]).sum() <= NEAR_DUPLICATE_BITS:
            expected = [expected[i] if group == expected[j] else group for group in expected]
    pairs = set(zip(groups, expected, strict=True))
    assert len(pairs) == len(set(groups)) == len(set(expected)) < len(bits)


@pytest.fixture
def twins(tmp_path, cache):
    """A catalogue in which each class has a family of near-duplicates, one of them with a custom photo."""
    folder = write_catalogue(tmp_path / "data", small_rows(per_class=20, others=50))
    for first in range(1000, 1300, 20):
        for photo_id in range(first, first + 4):
            changed = photo(first)
            changed.putpixel((3, 3), (photo_id % 256, 0, 0))
            changed.save(folder / "images" / f"{photo_id}.jpg", quality=95)
    photo(1040).save(folder / "images" / "60002.jpg", quality=95)
    return folder, build_index([folder], CLASSES, cache)


def test_near_duplicates_never_straddle_two_splits(twins):
    splits = split(twins[1], RECIPE)
    known = splits[twins[1].in_scope]
    assert (known.groupby("duplicate_group")["split"].nunique() == 1).all()
    families = known["duplicate_group"].value_counts()
    assert (families >= 4).sum() == 15
    assert set(known.loc[known["duplicate_group"].isin(families[families >= 4].index), "split"]) == {
        "train",
        "val",
        "test",
    }


def test_custom_photos_only_train_and_so_do_their_near_duplicates(twins):
    _, index = twins
    splits = split(index, RECIPE)
    assert set(splits["split"][index.photos["id"] >= 60001]) == {"train"}
    assert set(splits["split"][index.photos["id"].isin([1040, 1041, 1042, 1043])]) == {"train"}


def test_splits_have_the_asked_sizes_in_every_class(twins):
    _, index = twins
    splits = split(index, RECIPE)
    for target in range(len(LABELS)):
        counts = splits["split"][index.photos["target"] == target].value_counts()
        assert 1 <= counts["val"] <= 8
        assert 1 <= counts["test"] <= 8
    for part in ("val", "test"):
        assert (splits["split"][index.in_scope] == part).mean() == pytest.approx(0.2, abs=0.05)
        assert (splits["split"][~index.in_scope] == part).any()


def test_the_same_data_and_seed_give_the_same_split_from_folder_and_zip(twins, tmp_path):
    folder, index = twins
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder))
    from_zip = build_index([tmp_path / "data.zip"], CLASSES, tmp_path / "cache")
    splits = split(index, RECIPE)
    assert split(from_zip, RECIPE).equals(splits)
    assert not split(index, parse_recipe(settings(seed=8), "test")).equals(splits)


def test_too_few_photos_to_hold_any_out_say_so(tmp_path, cache):
    folder = write_catalogue(tmp_path / "data", [(i, "Jeans") for i in range(3)])
    with pytest.raises(InvalidData, match="3 photos are too few to hold 20% of them out"):
        split(build_index([folder], CLASSES, cache), RECIPE)


def test_the_report_counts_every_photo_and_tells_what_became_of_the_custom_ones(catalogue, cache):
    (catalogue / "images" / "60002.jpg").unlink()
    (catalogue / "images" / "1000.jpg").unlink()
    index = build_index([catalogue], CLASSES, cache)
    splits = split(index, RECIPE)
    facts = report(SplitData(index, splits, cache), LABELS, RECIPE)
    assert facts["custom"] == {"ids_from": 60001, "appended": 3, "loaded": 2, "failed": [60002], "split": "train"}
    assert (facts["photos"], facts["in_scope"]) == (101, 91)
    for part, count in facts["splits"].items():
        assert count == sum(row[part] for row in facts["classes"].values())
    assert sum(facts["splits"].values()) + sum(facts["out_of_scope_splits"].values()) == facts["photos"]
    assert list(facts["classes"]) == list(LABELS.names)
    assert facts["problems"] == index.problems
    assert "Custom photos: 2 of 3 loaded; they only train." in summary(facts)
    assert "data: images/1000.jpg: the file is missing" in summary(facts)


def test_the_setting_for_custom_ids_is_heeded(catalogue, cache):
    index = build_index([catalogue], CLASSES, cache)
    recipe = parse_recipe(settings(custom_ids_from=60003), "test")
    assert report(SplitData(index, split(index, recipe), cache), LABELS, recipe)["custom"]["appended"] == 1
