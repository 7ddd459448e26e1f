"""Where photos are found, in which order, and what becomes of what cannot be read."""

import io
import zipfile
from pathlib import Path

import pytest

from core.errors import InvalidData, UnreadablePhoto
from core.images.decode import MAX_BYTES
from core.images.sources import batched, find_photos, listed_paths, photos_in_zip, take_inventory


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())


def write_zip(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def test_the_order_is_that_of_the_arguments_then_of_names(tmp_path):
    touch(tmp_path / "in" / "b.jpg", tmp_path / "in" / "a.PNG", tmp_path / "in" / "deep" / "0.webp", tmp_path / "z.jpg")
    found = [
        Path(file.name).relative_to(tmp_path).as_posix() for file in find_photos([tmp_path / "z.jpg", tmp_path / "in"])
    ]
    assert found == ["z.jpg", "in/a.PNG", "in/b.jpg", "in/deep/0.webp"]


def test_companion_files_of_macos_are_no_photos(tmp_path):
    touch(tmp_path / "a.jpg", tmp_path / "._a.jpg")
    assert [Path(file.name).name for file in find_photos([tmp_path])] == ["a.jpg"]


def test_a_list_names_files_and_folders_one_a_line(tmp_path):
    touch(tmp_path / "a.jpg", tmp_path / "with space " / "b.jpg")
    list_file = tmp_path / "list.txt"
    list_file.write_text(f"{tmp_path / 'with space '}\r\n\n{tmp_path / 'a.jpg'}", encoding="utf-8")
    assert [Path(file.name).name for file in find_photos(listed_paths(list_file))] == ["b.jpg", "a.jpg"]


def test_a_zip_gives_its_photos_by_name_with_their_unpacked_sizes(tmp_path):
    archive = write_zip(tmp_path / "photos.zip", "b.jpg", "notes.txt", "../a.png")
    found = photos_in_zip(archive, "photos.zip")
    assert [(file.name, size, file.read()) for file, size in found] == [
        ("photos.zip/../a.png", 8, b"../a.png"),
        ("photos.zip/b.jpg", 5, b"b.jpg"),
    ]


def test_no_more_of_a_member_is_unpacked_than_the_decoder_accepts(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(2 * MAX_BYTES))
    ((file, size),) = photos_in_zip(path, path.name)
    assert size == 2 * MAX_BYTES and len(file.read()) == MAX_BYTES + 1


def test_a_zip_that_is_none_is_named(tmp_path):
    with pytest.raises(InvalidData, match=r"x\.zip is no readable zip file"):
        photos_in_zip(io.BytesIO(b"PK\x03\x04 and then nothing"), "x.zip")
    (tmp_path / "y.zip").write_bytes(b"nothing")
    (file,) = find_photos([tmp_path / "y.zip"])
    with pytest.raises(InvalidData, match=r"y\.zip is no readable zip file"):
        file.read()


def test_damaged_bytes_in_a_zip_are_one_unreadable_photo(tmp_path):
    path = tmp_path / "damaged.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(range(256)) * 40)
    data = bytearray(path.read_bytes())
    data[60:90] = b"\xff" * 30
    path.write_bytes(data)
    ((file, _),) = photos_in_zip(path, path.name)
    with pytest.raises(UnreadablePhoto, match=r"damaged\.zip/a\.png cannot be read"):
        file.read()


def test_a_name_that_is_no_text_is_made_text(tmp_path):
    (file,) = find_photos([tmp_path / "caf\udce9.jpg"])
    assert file.name.endswith("caf\\udce9.jpg") and file.name.encode()


def test_the_inventory_counts_and_tells_names_and_their_order_apart(tmp_path):
    touch(tmp_path / "a.jpg", tmp_path / "b.jpg")
    a, b = tmp_path / "a.jpg", tmp_path / "b.jpg"
    assert take_inventory(find_photos([tmp_path])) == take_inventory(find_photos([a, b]))
    assert take_inventory(find_photos([a, b])) != take_inventory(find_photos([b, a]))
    assert take_inventory(find_photos([a, b])).photos == 2


def test_batches_keep_the_order():
    assert list(batched(iter("abcde"), 2)) == [["a", "b"], ["c", "d"], ["e"]]
