"""Corrections become a data set that the trainer reads: cropped, with ids of their own, and nothing without agreement."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.feedback import NONE_OF_THESE, Correction, store
from core.images.region import Region
from tests.train_cases import CLASSES, small_rows, write_catalogue
from train.__main__ import main
from train.catalogue import COLUMNS, HASHED_IDS_FROM
from train.config import load_recipe
from train.dataset import build_index
from train.splits import split

CLASS_LIST = load_recipe("smoke").class_list()
LABELS = CLASS_LIST.labels
RIGHT_HALF = Correction("Skirts", "a" * 64, (160, 100), Region(80, 0, 160, 100), "run", "Shorts", 0.5)


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "feedback.sqlite3"
    monkeypatch.setenv("GARMENTS_FEEDBACK", str(path))
    return path


def red_and_blue() -> Image.Image:
    image = Image.new("RGB", (80, 50), "red")  # kept at half its size
    image.paste("blue", (40, 0, 80, 50))
    return image


def export(folder) -> int:
    return main(["feedback", "export", "--to", str(folder)])


def test_an_agreed_photo_becomes_a_row_and_a_crop(file, tmp_path, capsys):
    store(file, RIGHT_HALF, red_and_blue())
    assert export(tmp_path / "out") == 0
    assert "1 corrected photos in" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "out" / "styles.csv", keep_default_na=False)
    assert tuple(table.columns) == COLUMNS
    assert table.iloc[0].tolist() == [500000001, "Skirts", "", "", "Corrected from Shorts, photo aaaaaaaaaaaa"]
    with Image.open(tmp_path / "out" / "images" / "500000001.jpg") as image:
        assert image.size == (40, 50)
        assert np.abs(np.asarray(image).astype(int) - (0, 0, 255)).max() < 8


def test_the_trainer_reads_the_export_beside_the_catalogue_and_only_trains_on_it(file, tmp_path):
    for number, name in enumerate(CLASSES):
        photo = Image.effect_noise((80, 50), 90)
        store(file, replace(RIGHT_HALF, corrected=name, photo_sha256=f"{number:064}"), photo)
    assert export(tmp_path / "out") == 0
    catalogue = write_catalogue(tmp_path / "catalogue", small_rows())
    index = build_index([catalogue, tmp_path / "out"], CLASS_LIST, tmp_path / "cache")
    ours = index.photos[index.photos["source"] == 1]
    assert not index.problems and not index.failed
    assert dict(zip(ours["id"], ours["articleType"], strict=True)) == {
        500000001 + i: name for i, name in enumerate(CLASSES)
    }
    assert set(split(index, load_recipe("smoke")).loc[ours.index, "split"]) == {"train"}


def test_corrections_never_take_the_id_of_a_published_custom_photo(file, tmp_path):
    """The published custom photos begin at 60001: such a row would have changed its label and kept its hash."""
    store(file, RIGHT_HALF, red_and_blue())
    assert export(tmp_path / "out") == 0
    catalogue = write_catalogue(tmp_path / "catalogue", small_rows())
    alone = build_index([catalogue], CLASS_LIST, tmp_path / "cache")
    both = build_index([catalogue, tmp_path / "out"], CLASS_LIST, tmp_path / "cache")
    assert both.photos["source"].tolist() == [0] * len(alone.photos) + [1]
    ours = both.photos["id"].iloc[-1]
    assert load_recipe("default").custom_ids_from <= ours < HASHED_IDS_FROM


def test_only_agreed_photos_of_a_class_are_exported_by_their_last_word(file, tmp_path, capsys):
    store(file, replace(RIGHT_HALF, photo_sha256="b" * 64))
    store(file, replace(RIGHT_HALF, photo_sha256="c" * 64, corrected=NONE_OF_THESE), red_and_blue())
    store(file, RIGHT_HALF, red_and_blue())
    store(file, replace(RIGHT_HALF, corrected="Jeans"), red_and_blue())
    assert export(tmp_path / "out") == 0
    assert pd.read_csv(tmp_path / "out" / "styles.csv")[["id", "articleType"]].to_numpy().tolist() == [
        [500000004, "Jeans"]
    ]
    assert [path.name for path in (tmp_path / "out" / "images").iterdir()] == ["500000004.jpg"]
    assert "Left out: 2 without a photo" in capsys.readouterr().out


def test_an_existing_folder_is_left_as_it_is(file, tmp_path, capsys):
    store(file, RIGHT_HALF, red_and_blue())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "styles.csv").write_text("mine")
    assert export(tmp_path / "out") == 1
    assert "exists already and is not touched. Name a new folder." in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["styles.csv"]
    assert (tmp_path / "out" / "styles.csv").read_text() == "mine"


def test_without_agreed_photos_no_folder_is_made(file, tmp_path, capsys):
    store(file, RIGHT_HALF)
    assert export(tmp_path / "out") == 1
    assert "holds 1 corrections, and none with a photo" in capsys.readouterr().err
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob("*part*"))


def test_a_failed_export_leaves_nothing(file, tmp_path, monkeypatch, capsys):
    store(file, RIGHT_HALF, red_and_blue())

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    assert export(tmp_path / "out") == 1
    assert "No space left on device" in capsys.readouterr().err
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob("*part*"))
