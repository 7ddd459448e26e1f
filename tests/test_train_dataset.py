"""From data sets on disk to pixels and splits: what fails is told, near-duplicates stay together, the same data give the same split."""

import io
import zipfile
from itertools import combinations

import numpy as np
import pytest
from PIL import Image
from train_cases import photo, settings, small_rows, write_catalogue

from core.errors import InvalidData
from core.preprocess import letterbox
from train import dataset
from train.config import parse_recipe
from train.dataset import (
    NEAR_DUPLICATE_BITS,
    build_index,
    cached_pixels,
    near_duplicate_groups,
    report,
    split,
    summary,
)

RECIPE = parse_recipe(settings(), "test")
LABELS = RECIPE.labels()


@pytest.fixture
def catalogue(tmp_path):
    return write_catalogue(tmp_path / "data", small_rows())


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def decoded(folder, photo_id):
    return Image.open(folder / "images" / f"{photo_id}.jpg").convert("RGB")


def test_every_row_with_a_photo_is_indexed_with_its_class(catalogue, cache):
    index = build_index([catalogue], LABELS, cache)
    expected = [(i, LABELS.index(kind) if kind in LABELS.names else -1) for i, kind in small_rows()]
    assert list(zip(index.photos["id"], index.photos["target"], strict=True)) == expected
    assert (index.problems, index.failed) == ([], [])


def test_missing_and_damaged_photos_are_told_and_left_out(catalogue, cache):
    (catalogue / "images" / "1000.jpg").unlink()
    (catalogue / "images" / "1001.jpg").write_bytes(b"no photo")
    whole = (catalogue / "images" / "1002.jpg").read_bytes()
    (catalogue / "images" / "1002.jpg").write_bytes(whole[: len(whole) // 2])
    index = build_index([catalogue], LABELS, cache)
    assert index.failed == [1000, 1001, 1002]
    assert not set(index.failed) & set(index.photos["id"])
    assert index.problems[0] == "data: images/1000.jpg: the file is missing"
    assert index.problems[1].startswith("data: images/1001.jpg: does not decode (cannot identify image file")
    assert index.problems[2].startswith("data: images/1002.jpg: does not decode (image file is truncated")


def test_photos_are_verified_once_until_the_data_change(catalogue, cache, monkeypatch):
    first = build_index([catalogue], LABELS, cache)
    with monkeypatch.context() as patched:
        patched.setattr(dataset, "_verified", None)
        again = build_index([catalogue], LABELS, cache)
    assert again.photos.equals(first.photos)
    (catalogue / "images" / "1000.jpg").unlink()
    assert build_index([catalogue], LABELS, cache).failed == [1000]


def test_a_data_set_without_any_photo_of_the_classes_says_so(tmp_path, cache):
    folder = write_catalogue(tmp_path / "data", [(1, "Watches")])
    with pytest.raises(InvalidData, match="No photo of the 15 classes loads from"):
        build_index([folder], LABELS, cache)


def test_cached_pixels_are_the_letterbox_of_each_photo(catalogue, cache):
    index = build_index([catalogue], LABELS, cache)
    pixels = cached_pixels(index, 48, 33, cache)
    assert (pixels.shape, pixels.dtype, pixels.flags.writeable) == ((len(index.photos), 48, 33, 3), np.uint8, False)
    for row, photo_id in enumerate(index.photos["id"]):
        assert np.array_equal(pixels[row], letterbox(decoded(catalogue, photo_id), 48, 33)), photo_id


def test_cached_pixels_are_read_not_made_again_and_a_half_made_file_does_not_count(catalogue, cache, monkeypatch):
    index = build_index([catalogue], LABELS, cache)
    (cache / f".{index.fingerprint[:16]}-32x24.npy.part").write_bytes(b"half")
    first = np.array(cached_pixels(index, 32, 24, cache))
    monkeypatch.setattr(dataset, "_write_pixels", None)
    assert np.array_equal(cached_pixels(index, 32, 24, cache), first)
    assert list(cache.glob(".*.part")) == []


def test_a_damaged_cache_says_what_to_do(catalogue, cache):
    index = build_index([catalogue], LABELS, cache)
    cached_pixels(index, 32, 24, cache)
    path = next(cache.glob("*.npy"))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InvalidData, match=r"-32x24\.npy is damaged .*Delete it"):
        cached_pixels(index, 32, 24, cache)


def test_a_photo_that_vanishes_after_it_was_verified_is_named(catalogue, cache):
    index = build_index([catalogue], LABELS, cache)
    (catalogue / "images" / "1005.jpg").unlink()
    with pytest.raises(
        InvalidData, match=r"images/1005\.jpg was there when the photos were verified, and now the file is missing"
    ):
        cached_pixels(index, 32, 24, cache)
    assert list(cache.glob("*.npy")) == []


def test_sharper_copies_replace_photos_and_are_unsquashed(catalogue, cache, tmp_path):
    """A square copy of a 3:4 photo was squashed; a square photo that the catalogue does not have is square."""
    sharp = write_catalogue(tmp_path / "sharp", [(1000, "Tshirts"), (60009, "Jeans")], size=(120, 120))
    index = build_index([catalogue, sharp], LABELS, cache)
    pixels = cached_pixels(index, 80, 60, cache)
    row = {photo_id: i for i, photo_id in enumerate(index.photos["id"])}
    upright = decoded(sharp, 1000).resize((90, 120), Image.Resampling.LANCZOS)
    assert np.array_equal(pixels[row[1000]], letterbox(upright, 80, 60))
    assert np.array_equal(pixels[row[60009]], letterbox(decoded(sharp, 60009), 80, 60))
    assert np.array_equal(pixels[row[1001]], letterbox(decoded(catalogue, 1001), 80, 60))


def test_where_the_sharper_copy_fails_the_small_one_stays(catalogue, cache, tmp_path):
    sharp = write_catalogue(tmp_path / "sharp", [(1000, "Tshirts")], size=(90, 120))
    (sharp / "images" / "1000.jpg").unlink()
    index = build_index([catalogue, sharp], LABELS, cache)
    assert index.problems == ["sharp: images/1000.jpg: the file is missing"]
    assert index.failed == []
    assert np.array_equal(cached_pixels(index, 40, 30, cache)[0], letterbox(decoded(catalogue, 1000), 40, 30))


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
    return folder, build_index([folder], LABELS, cache)


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
    from_zip = build_index([tmp_path / "data.zip"], LABELS, tmp_path / "cache")
    splits = split(index, RECIPE)
    assert split(from_zip, RECIPE).equals(splits)
    assert not split(index, parse_recipe(settings(seed=8), "test")).equals(splits)


def test_too_few_photos_to_hold_any_out_say_so(tmp_path, cache):
    folder = write_catalogue(tmp_path / "data", [(i, "Jeans") for i in range(3)])
    with pytest.raises(InvalidData, match="3 photos are too few to hold 20% of them out"):
        split(build_index([folder], LABELS, cache), RECIPE)


def test_the_report_counts_every_photo_and_tells_what_became_of_the_custom_ones(catalogue, cache):
    (catalogue / "images" / "60002.jpg").unlink()
    (catalogue / "images" / "1000.jpg").unlink()
    index = build_index([catalogue], LABELS, cache)
    splits = split(index, RECIPE)
    facts = report(index, splits, LABELS, RECIPE)
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
    index = build_index([catalogue], LABELS, cache)
    recipe = parse_recipe(settings(custom_ids_from=60003), "test")
    assert report(index, split(index, recipe), LABELS, recipe)["custom"]["appended"] == 1


def test_png_bytes_under_a_jpg_name_load(catalogue, cache):
    buffer = io.BytesIO()
    photo(1).convert("RGBA").save(buffer, "PNG")
    (catalogue / "images" / "1000.jpg").write_bytes(buffer.getvalue())
    assert build_index([catalogue], LABELS, cache).failed == []
