"""Splits: drawn by name, so that no photo moves when others come or go; what belongs together stays together."""

import zipfile
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from core.errors import InvalidData
from tests.train_cases import (
    photo,
    settings,
    small_rows,
    write_catalogue,
    write_phone_photos,
    write_street_photos,
)
from train import splits as module
from train.config import parse_recipe
from train.dataset import Index, build_index
from train.splits import (
    HELD_OUT_ELSEWHERE,
    LEFT_OUT,
    NEAR_DUPLICATE_BITS,
    SplitData,
    earlier_splits,
    near_duplicate_groups,
    report,
    split,
    summary,
)

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
    known = splits[twins[1].in_scope & (splits["split"] != LEFT_OUT)]
    assert (known.groupby("duplicate_group")["split"].nunique() == 1).all()
    families = known["duplicate_group"].value_counts()
    assert (families >= 4).sum() == 15
    assert set(known.loc[known["duplicate_group"].isin(families[families >= 4].index), "split"]) == {
        "train",
        "val",
        "test",
    }


def by_id(index: Index, recipe=RECIPE) -> pd.Series:
    """Split of each measured photo, by its id."""
    parts = split(index, recipe)["split"]
    return pd.Series(parts.to_numpy(), index.photos["id"].to_numpy())[index.main]


def test_custom_photos_only_train_and_are_left_out_where_a_near_duplicate_is_held_out(tmp_path, cache):
    folder = write_catalogue(tmp_path / "data", small_rows(per_class=20, others=0))
    before = by_id(build_index([folder], CLASSES, cache))
    held_out, trains = (int(before[before == part].index[0]) for part in ("test", "train"))
    photo(held_out).save(folder / "images" / "60001.jpg", quality=95)
    photo(trains).save(folder / "images" / "60002.jpg", quality=95)
    after = by_id(build_index([folder], CLASSES, cache))
    assert after[[60001, 60002, 60003]].tolist() == [LEFT_OUT, "train", "train"]


def test_custom_photos_move_no_other_photo(tmp_path, cache):
    """Not even where they link two groups of near-duplicates, or have a lower id than others."""
    folder = write_catalogue(tmp_path / "data", small_rows(per_class=10, others=10))
    recipe = parse_recipe(settings(custom_ids_from=2000), "test")
    plain = write_catalogue(tmp_path / "plain", [row for row in small_rows(per_class=10, others=10) if row[0] < 2000])
    before = by_id(build_index([plain], CLASSES, cache), recipe)
    for i, photo_id in enumerate(before.index[:3]):
        photo(photo_id).save(folder / "images" / f"{60001 + i}.jpg", quality=95)
    after = by_id(build_index([folder], CLASSES, cache), recipe)
    assert after[before.index].tolist() == before.tolist()


def test_no_photo_moves_when_others_come_or_go(tmp_path, cache):
    rows = small_rows(per_class=20, others=30)
    fewer = by_id(build_index([write_catalogue(tmp_path / "few", rows[::2])], CLASSES, cache))
    all_of_them = by_id(build_index([write_catalogue(tmp_path / "all", rows)], CLASSES, cache))
    known = fewer.index.intersection(all_of_them.index)
    assert len(known) > 100 and all_of_them[known].tolist() == fewer[known].tolist()


def test_other_data_sets_move_no_photo(catalogue, tmp_path, cache):
    phone = write_phone_photos(tmp_path / "phone", ["t-shirt", "pants"] * 10)
    street = write_street_photos(tmp_path / "street", [("jeans",)] * 30)
    alone = by_id(build_index([catalogue], CLASSES, cache))
    together = by_id(build_index([catalogue, phone, street], CLASSES, cache))
    without_phone = by_id(build_index([catalogue, street], CLASSES, cache))
    assert together[alone.index].tolist() == alone.tolist()
    assert together[without_phone.index].tolist() == without_phone.tolist()


def test_a_run_that_continues_from_another_keeps_its_splits_whatever_its_seed(catalogue, cache):
    index = build_index([catalogue], CLASSES, cache)
    before = by_id(index)
    other = parse_recipe(settings(seed=8), "test")
    assert (by_id(index, other) != before).any()
    kept = split(index, other, before.to_dict())["split"][index.main]
    assert kept.tolist() == before.tolist()


def test_no_photo_that_trained_the_ancestor_is_held_out_and_its_near_duplicates_train_with_it(tmp_path, cache):
    """The ancestor trained on custom photos that are near-duplicates of photos the catalogue got since."""
    folder = write_catalogue(tmp_path / "data", small_rows(per_class=10, others=0))
    index = build_index([folder], CLASSES, cache)
    held_out = [int(photo_id) for photo_id, part in by_id(index).items() if part != "train"]
    for i, photo_id in enumerate(held_out[:3]):
        photo(photo_id).save(folder / "images" / f"{60001 + i}.jpg", quality=95)
    index = build_index([folder], CLASSES, cache)
    ids = index.photos["id"].to_numpy()
    parts = pd.Series(split(index, RECIPE, {60001 + i: "train" for i in range(3)})["split"].to_numpy(), ids)
    assert (parts[held_out[:3]] == "train").all() and (parts[[60001, 60002, 60003]] == "train").all()
    assert (parts[held_out[3:]] != "train").all()


def test_splits_of_an_earlier_run_are_read_from_its_table(tmp_path):
    assert earlier_splits(tmp_path / "splits.csv") == {}
    (tmp_path / "splits.csv").write_text("id,kind,split,duplicate_group\n7,product,test,0\n9,phone,train,1\n")
    assert earlier_splits(tmp_path / "splits.csv") == {7: "test", 9: "train"}
    for damaged in ("nothing", "", "id,split\n7,trian\n", "id,split\nseven,train\n", "id,split\n7\n"):
        (tmp_path / "splits.csv").write_text(damaged)
        with pytest.raises(InvalidData, match=r"splits\.csv is damaged"):
            earlier_splits(tmp_path / "splits.csv")


def test_photos_of_one_sender_share_a_split(catalogue, tmp_path, cache):
    senders = [str(number // 4) for number in range(120)]
    phone = write_phone_photos(tmp_path / "phone", ["t-shirt", "pants"] * 60, senders)
    index = build_index([catalogue, phone], CLASSES, cache)
    parts = split(index, RECIPE)["split"][index.kind == "phone"]
    keys = index.photos["key"][index.kind == "phone"]
    assert (parts.groupby(keys).nunique() == 1).all()
    assert set(parts) == {"train", "val", "test"}


def test_a_sender_of_very_many_photos_only_trains(catalogue, tmp_path, cache, monkeypatch):
    monkeypatch.setattr(module, "MOST_OF_SENDER", 8)
    senders = [str(number // 10) for number in range(200)]  # 20 people with ten photos each
    phone = write_phone_photos(tmp_path / "phone", ["pants"] * 200, senders)
    index = build_index([catalogue, phone], CLASSES, cache)
    assert set(split(index, RECIPE)["split"][index.kind == "phone"]) == {"train"}


def test_street_photos_of_one_block_and_all_their_views_share_a_split(catalogue, tmp_path, cache):
    street = write_street_photos(tmp_path / "street", [("jeans", "coat")] * 300)
    index = build_index([catalogue, street], CLASSES, cache)
    worn = index.kind == "worn"
    parts = split(index, RECIPE)["split"][worn]
    assert (parts.groupby(index.photos["key"][worn]).nunique() == 1).all()
    assert set(parts) == {"train", "val", "test"}


def test_photos_from_elsewhere_are_held_out_at_their_own_rate(catalogue, tmp_path, cache):
    phone = write_phone_photos(tmp_path / "phone", ["t-shirt"] * 500)
    index = build_index([catalogue, phone], CLASSES, cache)
    shares = split(index, RECIPE)["split"][index.kind == "phone"].value_counts(normalize=True)
    assert shares["val"] == pytest.approx(HELD_OUT_ELSEWHERE, abs=0.04)
    assert shares["test"] == pytest.approx(HELD_OUT_ELSEWHERE, abs=0.04)


def test_splits_of_the_catalogue_have_about_the_sizes_asked_for(tmp_path, cache):
    folder = write_catalogue(tmp_path / "data", small_rows(per_class=40, others=100))
    index = build_index([folder], CLASSES, cache)
    parts = split(index, RECIPE)["split"]
    for part in ("val", "test"):
        assert (parts[index.in_scope] == part).mean() == pytest.approx(0.2, abs=0.05)
        assert (parts[~index.in_scope] == part).mean() == pytest.approx(0.2, abs=0.1)


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
    with pytest.raises(InvalidData, match="3 photos of the classes are too few to hold any out: none fell to "):
        split(build_index([folder], CLASSES, cache), parse_recipe(settings(test_fraction=0.001), "test"))


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
