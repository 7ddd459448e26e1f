"""A folder of labelled photos: which photos count, what they are called, and that the classifier's own answers come out."""

import io

import pytest
from PIL import Image

from core.bulk.test_set import BATCH, classify_folder, labelled_photos, offered_test_sets
from core.errors import InvalidData


@pytest.fixture
def folder(tmp_path):
    for name, colours in {"Jeans": ["navy", "blue"], "track pants": ["black"]}.items():
        (tmp_path / name).mkdir()
        for colour in colours:
            Image.new("RGB", (60, 80), colour).save(tmp_path / name / f"{colour}.png")
    (tmp_path / "Jeans" / "notes.txt").write_text("no photo")
    (tmp_path / ".hidden").mkdir()
    return tmp_path


def test_photos_get_the_class_of_their_folder_whatever_its_case(folder, random_run):
    listed = [(file.name, label) for file, label in labelled_photos(folder, random_run.labels)]
    assert listed == [("blue.png", "Jeans"), ("navy.png", "Jeans"), ("black.png", "Track Pants")]


def test_the_table_holds_the_classifiers_own_answers(folder, random_classifier):
    table, failures = classify_folder(random_classifier, folder, lambda share: None)
    assert not failures and table["id"].tolist() == ["Jeans/blue.png", "Jeans/navy.png", "track pants/black.png"]
    for row in table.to_dict("records"):
        [answer] = random_classifier.predict([(folder / row["id"]).read_bytes()])
        assert {name: row[name] for name, _ in answer.ranking} == pytest.approx(dict(answer.ranking))


def test_progress_goes_to_1_batch_by_batch(folder, random_classifier):
    for i in range(BATCH):
        Image.new("RGB", (60, 80), (i, 0, 0)).save(folder / "Jeans" / f"more {i}.png")
    shares = []
    classify_folder(random_classifier, folder, shares.append)
    assert shares == [BATCH / (BATCH + 3), 1]


def test_an_unreadable_photo_is_named_and_the_others_go_on(folder, random_classifier):
    (folder / "Jeans" / "broken.jpg").write_bytes(b"no photo")
    table, failures = classify_folder(random_classifier, folder, lambda share: None)
    assert (
        len(table) == 3 and list(failures) == ["Jeans/broken.jpg"] and "broken.jpg is" in failures["Jeans/broken.jpg"]
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no photos in folders named after classes"),
        (lambda path: (path / "Socks").mkdir(), "folders that are no class: Socks. Known are Tshirts"),
        (lambda path: path.rmdir(), r"The folder .*photos cannot be read \(No such file or directory\). Name one"),
    ],
)
def test_a_folder_that_will_not_do_is_told_so(tmp_path, random_run, make, message):
    folder = tmp_path / "photos"
    folder.mkdir()
    make(folder)
    with pytest.raises(InvalidData, match=message):
        labelled_photos(folder, random_run.labels)


def test_a_folder_of_nothing_readable_is_told_so(tmp_path, random_classifier):
    (tmp_path / "Jeans").mkdir()
    (tmp_path / "Jeans" / "empty.png").write_bytes(io.BytesIO().getvalue())
    with pytest.raises(InvalidData, match="None of the 1 photos .* can be read. empty.png is empty"):
        classify_folder(random_classifier, tmp_path, lambda share: None)


def test_tables_and_folders_of_the_named_folder_are_offered_and_nothing_else(tmp_path, monkeypatch):
    for name in ("phone photos", ".hidden"):
        (tmp_path / name).mkdir()
    for name in ("b.csv", "a.PARQUET", "notes.txt", ".hidden.csv"):
        (tmp_path / name).touch()
    monkeypatch.delenv("GARMENTS_TEST_SETS", raising=False)
    assert offered_test_sets() == {}
    monkeypatch.setenv("GARMENTS_TEST_SETS", str(tmp_path))
    assert offered_test_sets() == {name: tmp_path / name for name in ("a.PARQUET", "b.csv", "phone photos")}
    monkeypatch.setenv("GARMENTS_TEST_SETS", str(tmp_path / "b.csv"))
    with pytest.raises(InvalidData, match=r"b.csv cannot be read \(Not a directory\)"):
        offered_test_sets()
