"""From data sets on disk to an index and pixels: what fails is told, what is cached is what the product's letterbox gives."""

import io

import numpy as np
import pytest
from PIL import Image

from core.errors import InvalidData
from core.images.letterbox import letterbox
from tests.train_cases import photo, settings, small_rows, write_catalogue
from train import dataset
from train.config import parse_recipe
from train.dataset import build_index, cached_pixels

RECIPE = parse_recipe(settings(), "test")
CLASSES = RECIPE.class_list()
LABELS = CLASSES.labels


@pytest.fixture
def catalogue(tmp_path):
    return write_catalogue(tmp_path / "data", small_rows())


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def decoded(folder, photo_id):
    return Image.open(folder / "images" / f"{photo_id}.jpg").convert("RGB")


def test_every_row_with_a_photo_is_indexed_with_its_class(catalogue, cache):
    index = build_index([catalogue], CLASSES, cache)
    expected = [(i, LABELS.index(kind) if kind in LABELS.names else -1) for i, kind in small_rows()]
    assert list(zip(index.photos["id"], index.photos["target"], strict=True)) == expected
    assert (index.problems, index.failed) == ([], [])


def test_missing_and_damaged_photos_are_told_and_left_out(catalogue, cache):
    (catalogue / "images" / "1000.jpg").unlink()
    (catalogue / "images" / "1001.jpg").write_bytes(b"no photo")
    whole = (catalogue / "images" / "1002.jpg").read_bytes()
    (catalogue / "images" / "1002.jpg").write_bytes(whole[: len(whole) // 2])
    index = build_index([catalogue], CLASSES, cache)
    assert index.failed == [1000, 1001, 1002]
    assert not set(index.failed) & set(index.photos["id"])
    assert index.problems[0] == "data: images/1000.jpg: the file is missing"
    assert index.problems[1].startswith("data: images/1001.jpg: does not decode (cannot identify image file")
    assert index.problems[2].startswith("data: images/1002.jpg: does not decode (image file is truncated")


def test_photos_are_verified_once_until_the_data_change(catalogue, cache, monkeypatch):
    first = build_index([catalogue], CLASSES, cache)
    with monkeypatch.context() as patched:
        patched.setattr(dataset, "_verified", None)
        again = build_index([catalogue], CLASSES, cache)
    assert again.photos.equals(first.photos)
    (catalogue / "images" / "1000.jpg").unlink()
    assert build_index([catalogue], CLASSES, cache).failed == [1000]


def test_a_data_set_without_any_photo_of_the_classes_says_so(tmp_path, cache):
    folder = write_catalogue(tmp_path / "data", [(1, "Watches")])
    with pytest.raises(InvalidData, match="No photo of the 15 classes loads from"):
        build_index([folder], CLASSES, cache)


def test_cached_pixels_are_the_letterbox_of_each_photo(catalogue, cache):
    index = build_index([catalogue], CLASSES, cache)
    pixels = cached_pixels(index, 48, 33, cache)
    assert (pixels.shape, pixels.dtype, pixels.flags.writeable) == ((len(index.photos), 48, 33, 3), np.uint8, False)
    for row, photo_id in enumerate(index.photos["id"]):
        assert np.array_equal(pixels[row], letterbox(decoded(catalogue, photo_id), 48, 33)), photo_id


def test_cached_pixels_are_read_not_made_again_and_a_half_made_file_does_not_count(catalogue, cache, monkeypatch):
    index = build_index([catalogue], CLASSES, cache)
    (cache / f".{index.fingerprint[:16]}-32x24.npy.part").write_bytes(b"half")
    first = np.array(cached_pixels(index, 32, 24, cache))
    monkeypatch.setattr(dataset, "_write_pixels", None)
    assert np.array_equal(cached_pixels(index, 32, 24, cache), first)
    assert list(cache.glob(".*.part")) == []


def test_a_damaged_cache_says_what_to_do(catalogue, cache):
    index = build_index([catalogue], CLASSES, cache)
    cached_pixels(index, 32, 24, cache)
    path = next(cache.glob("*.npy"))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InvalidData, match=r"-32x24\.npy is damaged .*Delete it"):
        cached_pixels(index, 32, 24, cache)


def test_a_photo_that_vanishes_after_it_was_verified_is_named(catalogue, cache):
    index = build_index([catalogue], CLASSES, cache)
    (catalogue / "images" / "1005.jpg").unlink()
    with pytest.raises(
        InvalidData, match=r"images/1005\.jpg was there when the photos were verified, and now the file is missing"
    ):
        cached_pixels(index, 32, 24, cache)
    assert list(cache.glob("*.npy")) == []


def test_sharper_copies_replace_photos_and_are_unsquashed(catalogue, cache, tmp_path):
    """A square copy of a 3:4 photo was squashed; a square photo that the catalogue does not have is square."""
    sharp = write_catalogue(tmp_path / "sharp", [(1000, "Tshirts"), (60009, "Jeans")], size=(120, 120))
    index = build_index([catalogue, sharp], CLASSES, cache)
    pixels = cached_pixels(index, 80, 60, cache)
    row = {photo_id: i for i, photo_id in enumerate(index.photos["id"])}
    upright = decoded(sharp, 1000).resize((90, 120), Image.Resampling.LANCZOS)
    assert np.array_equal(pixels[row[1000]], letterbox(upright, 80, 60))
    assert np.array_equal(pixels[row[60009]], letterbox(decoded(sharp, 60009), 80, 60))
    assert np.array_equal(pixels[row[1001]], letterbox(decoded(catalogue, 1001), 80, 60))


def test_where_the_sharper_copy_fails_the_small_one_stays(catalogue, cache, tmp_path):
    sharp = write_catalogue(tmp_path / "sharp", [(1000, "Tshirts")], size=(90, 120))
    (sharp / "images" / "1000.jpg").unlink()
    index = build_index([catalogue, sharp], CLASSES, cache)
    assert index.problems == ["sharp: images/1000.jpg: the file is missing"]
    assert index.failed == []
    assert np.array_equal(cached_pixels(index, 40, 30, cache)[0], letterbox(decoded(catalogue, 1000), 40, 30))


def test_png_bytes_under_a_jpg_name_load(catalogue, cache):
    buffer = io.BytesIO()
    photo(1).convert("RGBA").save(buffer, "PNG")
    (catalogue / "images" / "1000.jpg").write_bytes(buffer.getvalue())
    assert build_index([catalogue], CLASSES, cache).failed == []
