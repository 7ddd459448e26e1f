"""A packed data set trains the network that its photos train: the same rows and splits, in one small file."""

import numpy as np
import pandas as pd
import pytest

from core.artifacts.run import current_run
from core.artifacts.training import BLOCKS
from core.errors import InvalidConfig, InvalidData
from tests.train_cases import (
    recipe_file,
    settings,
    small_rows,
    stage,
    use_small_network,
    write_catalogue,
    write_phone_photos,
    write_street_photos,
)
from train import pack as module
from train.__main__ import main
from train.config import parse_recipe
from train.dataset import build_index, cached_pixels, check_sources
from train.pack import pack
from train.splits import SplitData, split

RECIPE = parse_recipe(settings(), "test")
CLASSES = RECIPE.class_list()


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    base = tmp_path_factory.mktemp("sources")
    return [
        write_catalogue(base / "data", small_rows()),
        write_phone_photos(base / "phone", ["t-shirt", "dress"] * 8, [str(i // 4) for i in range(16)]),
        write_street_photos(base / "street", [("jeans", "bag")] * 30),
    ]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def packed(sources, cache, tmp_path_factory):
    file = tmp_path_factory.mktemp("packed") / "photos.parquet"
    arguments = [word for source in sources for word in ("--data", str(source))]
    recipe = recipe_file(file.parent / "small.toml")
    assert main(["pack", *arguments, "--recipe", str(recipe), "--cache", str(cache), "--to", str(file)]) == 0
    return file


def test_a_pack_has_the_rows_and_the_splits_of_its_data_sets(sources, packed, cache):
    index, from_pack = (build_index(paths, CLASSES, cache) for paths in (sources, [packed]))
    pd.testing.assert_frame_equal(from_pack.photos, index.photos)
    tables = [SplitData(one, split(one, RECIPE), cache).table() for one in (index, from_pack)]
    pd.testing.assert_frame_equal(*tables)
    assert from_pack.source_names == ["photos.parquet"]


@pytest.mark.parametrize(("size", "tolerance"), [((48, 36), 8), ((40, 30), 10)])
def test_its_pixels_are_those_of_its_data_sets_but_for_compression(sources, packed, cache, size, tolerance):
    plain, small = (cached_pixels(build_index(paths, CLASSES, cache), *size, cache) for paths in (sources, [packed]))
    assert small.shape == plain.shape
    assert np.abs(small.astype(int) - plain).mean() < tolerance


def test_a_size_that_was_not_packed_is_refused(packed, cache):
    index = build_index([packed], CLASSES, cache)
    for size in ((96, 72), (48, 48)):
        with pytest.raises(InvalidData, match=r"holds photos of 48x36, and the recipe trains at .*Pack it again"):
            cached_pixels(index, *size, cache)


def test_to_fit_other_products_and_further_views_are_thinned_and_no_measured_photo_of_a_class(
    sources, cache, tmp_path, monkeypatch
):
    full = build_index(sources, CLASSES, cache)
    monkeypatch.setattr(module, "CHOICES", ((85, 1), (60, 4)))
    monkeypatch.setattr(module, "_expected_size", lambda _, __, quality: 1.0 if quality == 60 else 10.0**9)
    pack(RECIPE, sources, cache, tmp_path / "small.parquet")
    index = build_index([tmp_path / "small.parquet"], CLASSES, cache)
    kept = index.photos["id"][index.main & (index.in_scope | (index.kind != "product"))]
    needed = full.photos["id"][full.main & (full.in_scope | (full.kind != "product"))]
    assert kept.tolist() == needed.tolist()
    others = (~index.in_scope & (index.kind == "product")).sum()
    assert others == -(-(~full.in_scope & (full.kind == "product")).sum() // 4)
    assert (~index.main).sum() < 0.3 * (~full.main).sum()


def test_a_data_set_that_cannot_be_made_small_enough_is_refused_and_leaves_no_file(
    sources, cache, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "LARGEST", 1000)
    with pytest.raises(InvalidData, match="do not fit into"):
        pack(RECIPE, sources, cache, tmp_path / "small.parquet")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_pack_is_refused(packed, sources, cache, tmp_path):
    pd.DataFrame({"id": [1]}).to_parquet(tmp_path / "other.parquet")
    (tmp_path / "damaged.parquet").write_bytes(packed.read_bytes()[:2000])
    for name in ("other", "damaged"):
        with pytest.raises(InvalidData, match=rf"{name}\.parquet is damaged, or no pack of photos"):
            build_index([tmp_path / f"{name}.parquet"], CLASSES, cache)
    with pytest.raises(InvalidData, match="give it to --data alone"):
        check_sources([packed, sources[0]])
    with pytest.raises(InvalidData, match=r"There is no file .*gone\.parquet"):
        check_sources([tmp_path / "gone.parquet"])
    with pytest.raises(InvalidConfig, match=r"name it photos\.parquet"):
        pack(RECIPE, sources, cache, tmp_path / "photos.zip")


def test_a_pack_for_other_classes_is_refused(packed, cache, monkeypatch):
    other = type(CLASSES)(type(CLASSES.labels)({"Tops": ("Tshirts",)}), {}, {})
    with pytest.raises(InvalidData, match="packed for other classes"):
        build_index([packed], other, cache)


def test_a_network_trains_from_a_pack_to_a_finished_run_without_any_data_set(
    packed, cache, tmp_path, monkeypatch, capsys
):
    use_small_network(monkeypatch)
    shares = {"photos": 48, "products": 0.5, "phone": 0.25, "worn": 0.25}
    frozen = [block for block in BLOCKS if block != "head"]
    recipe = recipe_file(
        tmp_path / "small.toml", shares=shares, stages=[stage(["head"], height=48, width=36)], frozen=frozen
    )
    words = ["--data", str(packed), "--recipe", str(recipe), "--init", "none", "--device", "cpu"]
    assert main([*words, "--cache", str(cache), "--runs", str(tmp_path / "runs")]) == 0
    run = current_run(tmp_path / "runs")
    assert run.metrics.phone and run.metrics.worn and run.metrics.robustness
    assert run.read_json("data.json")["sources"] == ["photos.parquet"]
