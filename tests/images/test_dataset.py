"""Photos by id: the same from a zip and from a folder, and never a path made of an id."""

import zipfile

import pytest

from core.errors import InvalidData
from core.images.dataset import catalogue_path, catalogue_photos

FILES = {"images/15.jpg": b"fifteen", "images/7.jpg": b"seven", "copy/images/7.jpg": b"second copy", "styles.csv": b""}


@pytest.fixture(params=["folder", "zip"])
def photos(request, tmp_path):
    for name, data in FILES.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(data)
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    if request.param == "folder":
        return catalogue_photos(tmp_path / "data")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    return catalogue_photos(tmp_path / "data.zip")


def test_photos_are_found_by_id_once(photos):
    assert photos.read([7, "15", 99]) == {"7": b"seven", "15": b"fifteen"}


def test_an_id_is_never_a_path(photos):
    assert photos.read(["../../secret", "../secret", "/etc/passwd", "", None, "7\n"]) == {}


def test_no_setting_means_no_photos(monkeypatch):
    monkeypatch.delenv("GARMENTS_DATA", raising=False)
    assert catalogue_path() is None


def test_a_setting_that_points_to_nothing_is_told_so(monkeypatch, tmp_path):
    monkeypatch.setenv("GARMENTS_DATA", str(tmp_path / "gone"))
    with pytest.raises(InvalidData, match="GARMENTS_DATA is .*gone, which does not exist"):
        catalogue_path()


def test_a_damaged_zip_is_told_so(tmp_path):
    (tmp_path / "data.zip").write_bytes(b"not a zip")
    with pytest.raises(InvalidData, match="not a readable zip"):
        catalogue_photos(tmp_path / "data.zip")


def test_a_photo_that_cannot_be_read_is_left_out_and_the_others_are_not(photos, tmp_path):
    if photos.path.is_dir():
        (photos.path / "images" / "15.jpg").unlink()
    else:
        photos.path.write_bytes(photos.path.read_bytes().replace(b"fifteen", b"damaged"))
    assert photos.read([7, 15]) == {"7": b"seven"}


def test_a_zip_put_in_the_place_of_another_gives_what_it_has(photos, tmp_path):
    if photos.path.is_dir():
        pytest.skip("a zip is meant")
    with zipfile.ZipFile(photos.path, "w") as archive:
        archive.writestr("images/7.jpg", b"another seven")
    assert photos.read([7, 15]) == {"7": b"another seven"}
