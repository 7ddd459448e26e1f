"""Photos sorted by class: which count, what they are called, and that the classifier's own predictions come out."""

import io
import zipfile

import pytest
from PIL import Image

from benchmarks.fuzz_images import encoded
from core.bulk.pipeline import A_TURN
from core.bulk.test_set import (
    ZippedPhotos,
    classify_labelled,
    offered_test_sets,
    photos_of_folder,
    photos_of_zip,
)
from core.errors import InvalidData


@pytest.fixture
def folder(tmp_path):
    for name, colours in {"Jeans": ["navy", "blue"], "track pants": ["black"]}.items():
        (tmp_path / name).mkdir()
        for colour in colours:
            Image.new("RGB", (60, 80), colour).save(tmp_path / name / f"{colour}.png")
    (tmp_path / "Jeans" / "notes.txt").write_text("no photo")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "a.png").touch()
    return tmp_path


def zipped(folder, above: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            if path.is_file():
                archive.write(path, f"{above}{path.relative_to(folder).as_posix()}")
        archive.writestr("__MACOSX/Jeans/._blue.png", b"")
    return buffer.getvalue()


def listed(photos) -> list[tuple[str, str]]:
    return [(photo.id, photo.label) for photo in photos]


EXPECTED = [("Jeans/blue.png", "Jeans"), ("Jeans/navy.png", "Jeans"), ("track pants/black.png", "Track Pants")]


def test_photos_get_the_class_of_their_folder_whatever_its_case(folder, random_run):
    assert listed(photos_of_folder(folder, random_run.labels)) == EXPECTED


@pytest.mark.parametrize("above", ["", "my photos/"])
def test_a_zip_file_gives_the_same_photos_as_its_folder(folder, random_run, above):
    photos = photos_of_zip(zipped(folder, above), "mine.zip", random_run.labels)
    assert listed(photos) == [(f"{above}{photo}", label) for photo, label in EXPECTED]
    read = ZippedPhotos({photo.id: photo.file for photo in photos}).read([photos[0].id, "other"])
    assert read == {photos[0].id: (folder / "Jeans" / "blue.png").read_bytes()}


def test_folders_inside_a_class_belong_to_it(folder, random_run):
    (folder / "Jeans" / "2024").mkdir()
    Image.new("RGB", (60, 80)).save(folder / "Jeans" / "2024" / "a.png")
    assert ("Jeans/2024/a.png", "Jeans") in listed(photos_of_folder(folder, random_run.labels))


def test_the_table_holds_the_classifiers_own_predictions(folder, random_classifier):
    photos = photos_of_folder(folder, random_classifier.labels)
    table, failures = classify_labelled(random_classifier, photos, lambda share: None)
    assert not failures and list(zip(table["id"], table["label"], strict=True)) == EXPECTED
    for row in table.to_dict("records"):
        [answer] = random_classifier.predict([(folder / row["id"]).read_bytes()])
        assert {name: row[name] for name, _ in answer.ranking} == pytest.approx(dict(answer.ranking))


@pytest.mark.parametrize(("name", "kind"), [("a.webp", "WEBP"), ("a.heic", "HEIF"), ("a.avif", "AVIF")])
def test_photos_as_phones_write_them_count_like_the_others(folder, random_classifier, name, kind):
    (folder / "Jeans" / name).write_bytes(encoded(Image.new("RGB", (60, 80), "navy"), kind, quality=90))
    photos = photos_of_folder(folder, random_classifier.labels)
    table, failures = classify_labelled(random_classifier, photos, lambda share: None)
    assert not failures and len(table) == len(EXPECTED) + 1
    assert dict(zip(table["id"], table["label"], strict=True))[f"Jeans/{name}"] == "Jeans"


def test_progress_goes_to_1_batch_by_batch(folder, random_classifier):
    for i in range(A_TURN):
        Image.new("RGB", (60, 80), (i, 0, 0)).save(folder / "Jeans" / f"more {i}.png")
    shares = []
    classify_labelled(random_classifier, photos_of_folder(folder, random_classifier.labels), shares.append)
    assert shares == [A_TURN / (A_TURN + 3), 1]


def test_an_unreadable_photo_is_named_and_the_others_keep_their_classes(folder, random_classifier):
    (folder / "Jeans" / "broken.jpg").write_bytes(b"no photo")
    photos = photos_of_folder(folder, random_classifier.labels)
    table, failures = classify_labelled(random_classifier, photos, lambda share: None)
    assert list(zip(table["id"], table["label"], strict=True)) == EXPECTED
    assert list(failures) == ["Jeans/broken.jpg"] and "broken.jpg is" in failures["Jeans/broken.jpg"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda path: None,
            "photos has no photos in folders named after classes, such as Tshirts",
        ),
        (lambda path: Image.new("RGB", (9, 9)).save(path / "a.png"), "no photos in folders named after classes"),
    ],
)
def test_a_folder_without_classes_is_refused(tmp_path, random_run, make, message):
    folder = tmp_path / "photos"
    folder.mkdir()
    make(folder)
    with pytest.raises(InvalidData, match=message):
        photos_of_folder(folder, random_run.labels)


def test_a_folder_that_is_no_class_is_named(folder, random_run):
    (folder / "Socks").mkdir()
    (folder / "Socks" / "a.png").touch()
    with pytest.raises(InvalidData, match="folders that are no class: Socks. The classes are Tshirts"):
        photos_of_folder(folder, random_run.labels)


def test_photos_of_which_none_can_be_read_are_refused(tmp_path, random_classifier):
    (tmp_path / "Jeans").mkdir()
    (tmp_path / "Jeans" / "empty.png").write_bytes(b"")
    with pytest.raises(InvalidData, match=r"None of the 1 photos can be read. .*empty.png is empty"):
        classify_labelled(random_classifier, photos_of_folder(tmp_path, random_classifier.labels), lambda share: None)


def test_tables_zip_files_and_folders_of_the_named_folder_are_offered_and_nothing_else(tmp_path, monkeypatch):
    for name in ("phone photos", ".hidden"):
        (tmp_path / name).mkdir()
    for name in ("b.csv", "a.PARQUET", "c.zip", "notes.txt", ".hidden.csv"):
        (tmp_path / name).touch()
    monkeypatch.delenv("GARMENTS_TEST_SETS", raising=False)
    assert offered_test_sets() == {}
    monkeypatch.setenv("GARMENTS_TEST_SETS", str(tmp_path))
    assert offered_test_sets() == {name: tmp_path / name for name in ("a.PARQUET", "b.csv", "c.zip", "phone photos")}
    monkeypatch.setenv("GARMENTS_TEST_SETS", str(tmp_path / "b.csv"))
    with pytest.raises(InvalidData, match=r"b.csv cannot be read \(Not a directory\)"):
        offered_test_sets()
