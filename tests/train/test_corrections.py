"""Corrections of a catalogue's labels, as the confusion page exports them: taken over, left out, or refused by line."""

import pytest

from core.errors import InvalidData
from tests.train_cases import CLASSES, settings, small_rows, write_catalogue
from train.config import parse_recipe
from train.dataset import build_index

CLASS_LIST = parse_recipe(settings(), "test").class_list()


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return write_catalogue(tmp_path_factory.mktemp("catalogue") / "data", small_rows(2, 2))


def types(index) -> dict[int, str]:
    return dict(zip(index.photos["id"], index.photos["articleType"], strict=True))


def test_labels_are_taken_over_and_photos_without_one_left_out(catalogue, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("id,label\n1000,Tops\n1001,\n77,Shirts\n", encoding="utf-8-sig")
    before = build_index([catalogue], CLASS_LIST, tmp_path / "cache")
    after = build_index([catalogue, file], CLASS_LIST, tmp_path / "cache")
    assert types(before)[1000] == CLASSES[0] != "Tops"
    expected = types(before) | {1000: "Tops"}
    del expected[1001]
    assert types(after) == expected
    changed = after.photos.set_index("id").loc[1000, "target"]
    assert changed == CLASS_LIST.labels.index("Tops") and before.fingerprint != after.fingerprint
    assert "mine.csv: there is no photo with id 77" in after.problems


def test_a_changed_file_of_corrections_is_read_again(catalogue, tmp_path):
    file = tmp_path / "mine.csv"
    for label in ("Tops", "Jeans"):
        file.write_text(f"id,label\n1000,{label}\n")
        assert types(build_index([catalogue, file], CLASS_LIST, tmp_path / "cache"))[1000] == label


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id\n1\n", "mine.csv lacks the column label"),
        ("id,label\n1000,Tops\n\nx1,Tops\n", "mine.csv line 4: the id x1 is no number of the catalogue"),
        ("id,label\n1000,Tops\n1000,Tops\n", "mine.csv line 3: the id 1000 is there twice"),
        ("id,label\n1000,Topz\n", "mine.csv has labels that are no article type: Topz"),
    ],
)
def test_what_cannot_be_taken_over_is_refused(catalogue, tmp_path, content, message):
    (tmp_path / "mine.csv").write_text(content)
    with pytest.raises(InvalidData, match=message):
        build_index([catalogue, tmp_path / "mine.csv"], CLASS_LIST, tmp_path / "cache")


def test_a_file_that_is_not_there_is_named(catalogue, tmp_path):
    with pytest.raises(InvalidData, match=r"gone.csv cannot be read \(No such file or directory\)"):
        build_index([catalogue, tmp_path / "gone.csv"], CLASS_LIST, tmp_path / "cache")
