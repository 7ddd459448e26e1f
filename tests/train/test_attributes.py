"""Heads for attributes: labels that names say, heads that learn what there is to learn, and measures that tell which are worth showing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.artifacts.run import Run, sha256_of
from core.inference.attributes import ATTRIBUTES_FILE, HEADS_FILE, Attributes, garment_colours
from train import attributes
from train.attributes import FAMILY, LEAST_PHOTOS, Looked, fit_head, labels_of, measure_head, write_attributes
from train.dataset import Index
from train.splits import SplitData
from train.targets import ClassList


def products(*names: str, colour: str = "Navy Blue") -> pd.DataFrame:
    return pd.DataFrame(
        {"kind": "product", "articleType": "Tshirts", "baseColour": colour, "productDisplayName": list(names)}
    )


@pytest.mark.parametrize(
    ("name", "pattern", "collar", "section"),
    [
        ("Basics Men Blue Striped Polo T-shirt", "striped", "polo collar", "men's section"),
        ("U.S. Polo Assn. Women's Checked Shirt", "checked", "", "women's section"),
        ("Mr.Men Boys Printed Round Neck Tshirt", "printed", "no collar", "boys' section"),
        ("Doodle Girl's Turtle Neck Solid Sweater", "solid", "high neck", "girls' section"),
        ("Striped and Checked Menswear Blueprint", "", "", ""),
        ("Men Women Unisex Hooded Sweatshirt", "", "hood", ""),
    ],
)
def test_a_name_says_what_it_says_in_whole_words_and_once(name, pattern, collar, section):
    row = labels_of(products(name)).iloc[0]
    assert (row["pattern"], row["collar"], row["section"]) == (pattern, collar, section)


def test_colours_become_families_and_others_nothing():
    assert labels_of(products("Shirt"))["colour"].tolist() == ["navy"]
    assert labels_of(products("Shirt", colour="Multi"))["colour"].tolist() == [""]
    assert len(set(FAMILY.values())) == 12


def test_a_phone_photo_says_by_its_label_what_collar_there_is_and_nothing_else():
    photos = products("Men Striped", "").assign(kind="phone", articleType=["polo", "pants"])
    assert labels_of(photos).to_dict("list") == {
        "colour": ["", ""], "pattern": ["", ""], "collar": ["polo collar", ""], "section": ["", ""],
    }  # fmt: skip


def looked(n: int, told_apart: float, seed: int, values: tuple[str, ...] = ("checked", "solid", "striped")) -> Looked:
    """Photos of shirts whose features tell the values of a pattern apart as well as asked for; one in ten says nothing."""
    random = np.random.default_rng(seed)
    value = random.integers(0, len(values), n)
    features = random.normal(size=(n, 20)) + 5
    features[np.arange(n), value] += told_apart
    names = np.array([*values, ""])[np.where(random.random(n) < 0.1, len(values), value)]
    return Looked(pd.DataFrame({"pattern": names}), np.full(n, "Shirts"), features)


def test_a_head_learns_what_the_features_tell_and_is_calibrated():
    head = fit_head("pattern", "features", looked(900, 4, 0), looked(400, 4, 1))
    assert head and head.values == ("checked", "solid", "striped") and head.classes == {"Shirts"}
    found = measure_head(head, looked(800, 4, 2))
    assert found["accuracy"]["value"] > 0.95 and found["shown"] and found["calibration_error"] < 0.05
    assert found["photos"] == sum(row["n"] for row in found["values"]) < 800
    assert found["majority"]["share"] == max(row["n"] for row in found["values"]) / found["photos"]


def test_a_head_that_does_no_better_than_the_most_frequent_value_is_not_shown():
    head = fit_head("pattern", "features", looked(300, 0, 0), looked(200, 0, 1))
    assert head and not measure_head(head, looked(200, 0, 2))["shown"]


def test_two_values_are_enough_and_one_is_not():
    two = looked(300, 4, 0, ("checked", "solid"))
    head = fit_head("pattern", "features", two, looked(200, 4, 1, ("checked", "solid")))
    assert head and measure_head(head, looked(300, 4, 2, ("checked", "solid")))["accuracy"]["value"] > 0.95
    assert fit_head("pattern", "features", looked(300, 4, 0, ("solid",)), two) is None


def test_a_value_with_too_few_photos_is_left_out_and_so_is_a_class():
    photos = looked(300, 4, 0)
    few = np.flatnonzero(photos.labels["pattern"] == "striped")[LEAST_PHOTOS - 1 :]
    photos.labels.loc[few, "pattern"] = ""
    photos.classes[: LEAST_PHOTOS - 1] = "Jeans"
    head = fit_head("pattern", "features", photos, looked(200, 4, 1))
    assert head and head.values == ("checked", "solid") and head.classes == {"Shirts"}


def test_without_test_photos_nothing_is_shown():
    head = fit_head("pattern", "features", looked(300, 4, 0), looked(0, 4, 1))
    assert head and measure_head(head, looked(0, 4, 2)) == {"photos": 0, "shown": False}


class Engine:
    """Only its input size is asked for here."""

    height, width = 24, 18


@pytest.fixture
def catalogue(tmp_path, monkeypatch) -> SplitData:
    """Red and navy shirts on white, striped, checked or solid, which the features tell apart."""
    random = np.random.default_rng(0)
    n = 600
    colour, pattern = random.integers(0, 2, n), random.integers(0, 3, n)
    photos = pd.DataFrame(
        {
            "id": np.arange(n),
            "kind": "product",
            "main": True,
            "target": 1,
            "articleType": "Shirts",
            "baseColour": np.array(["Red", "Navy Blue"])[colour],
            "productDisplayName": [f"Men {word} Shirt" for word in np.array(["Striped", "Check", "Solid"])[pattern]],
        }
    )
    pixels = np.full((n, 24, 18, 3), 255, np.uint8)
    pixels[:, 6:18, 4:14] = np.array([[190, 20, 30], [20, 25, 80]])[colour][:, None, None]
    features = random.normal(size=(n, 2048))
    features[np.arange(n), pattern] += 9
    monkeypatch.setattr(attributes, "pooled_features", lambda _, __, rows: features[rows])
    monkeypatch.setattr(SplitData, "pixels", lambda *_: pixels)
    splits = pd.DataFrame({"split": random.permutation(["train"] * 300 + ["val"] * 150 + ["test"] * 150)})
    return SplitData(Index(photos, [], [], "", []), splits, tmp_path)


def test_the_heads_that_are_written_are_those_that_the_product_reads(catalogue, tmp_path):
    found = write_attributes(tmp_path, catalogue, ClassList.load("garments15"), Engine())  # type: ignore[arg-type]
    assert set(found["heads"]) == {"colour", "pattern"}  # all are of one section, so there is nothing to learn
    assert all(head["accuracy"]["value"] > 0.9 and head["shown"] for head in found["heads"].values())
    files = {name: sha256_of(tmp_path / name) for name in (ATTRIBUTES_FILE, HEADS_FILE)}
    made_up = {
        "schema": 1,
        "run_id": "x",
        "name": "x",
        "origin": "measured",
        "created": "",
        "groups": {},
        "files": files,
    }
    heads = Attributes.load(Run(tmp_path, made_up))
    features = np.random.default_rng(1).normal(size=2048)
    features[1] += 9
    navy = np.full((24, 18, 3), 255, np.uint8)
    navy[6:18, 4:14] = (20, 25, 80)
    assert [said.value for said in heads.of("Shirts", features, garment_colours(navy))] == ["navy", "checked"]
    assert heads.of("Jeans", features, garment_colours(navy)) == ()
