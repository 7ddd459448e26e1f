"""Where photos are found, in which order, and what becomes of what cannot be read."""

import io
import os
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


def zip_with(path: Path, written: bytes, flags: int = 0) -> Path:
    """A zip file of one photo whose name is stored in bytes and with flags of our choice."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x" * len(written), b"photo")
    data = bytearray(path.read_bytes().replace(b"x" * len(written), written))
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.index(signature) + place
        data[start : start + 2] = flags.to_bytes(2, "little")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("written", "flags", "name"),
    [
        ("e\u0301te\u0301 robe.jpg".encode(), 0, "été robe.jpg"),
        ("été robe.jpg".encode(), 0x800, "été robe.jpg"),
        ("été robe.jpg".encode("cp437"), 0, "été robe.jpg"),
        ("牛仔裤.jpg".encode(), 0, "牛仔裤.jpg"),
    ],
    ids=["macOS", "flagged", "DOS", "not Latin"],
)
def test_names_in_a_zip_are_read_as_their_writers_meant_them(tmp_path, written, flags, name):
    (photo,) = find_photos([zip_with(tmp_path / "a.zip", written, flags)])
    assert photo.name == f"{tmp_path / 'a.zip'}/{name}" and photo.read() == b"photo"


def test_a_zip_under_a_password_says_so(tmp_path):
    (photo,) = find_photos([zip_with(tmp_path / "a.zip", b"a.jpg", flags=1)])
    with pytest.raises(InvalidData, match=r"a\.zip is protected by a password\. Unpack it"):
        photo.read()


def test_a_zip_or_folder_without_photos_says_so_and_names_the_zips_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    write_zip(Path("empty.zip"))
    write_zip(Path("outer.zip"), "inner.zip", "a.txt")
    messages = []
    for photo in find_photos([Path("empty.zip"), Path("outer.zip"), Path("folder")]):
        with pytest.raises(InvalidData) as error:
            photo.read()
        messages.append(str(error.value))
    assert messages == [
        "empty.zip has no photos in it.",
        "outer.zip has no photos in it, but other zip files: inner.zip. Unpack it, then give those.",
        "folder has no photos in it.",
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_or_device_among_photos_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "x.jpg")
    touch(tmp_path / "y.jpg")
    pipe, photo = find_photos([tmp_path])
    with pytest.raises(UnreadablePhoto, match="it is no file but a folder, a pipe or a device"):
        pipe.read()
    assert photo.read() == b"y.jpg"
    (device,) = find_photos([Path("/dev/zero")])
    with pytest.raises(UnreadablePhoto, match="a device"):
        device.read()


@pytest.mark.parametrize(
    "line", ["a" * 100_000 + ".jpg", "b" * 300, "with\0zero.jpg"], ids=["long", "long name", "zero"]
)
def test_a_line_that_can_be_no_path_is_told_and_the_next_one_read(tmp_path, line):
    touch(tmp_path / "y.jpg")
    (tmp_path / "list.txt").write_text(f"{line}\n{tmp_path / 'y.jpg'}\n")
    wrong, photo = find_photos(listed_paths(tmp_path / "list.txt"))
    with pytest.raises(UnreadablePhoto, match="cannot be read"):
        wrong.read()
    assert photo.read() == b"y.jpg"
