"""From data sets on disk to an index and pixels: what fails is reported, and what is cached is what the product shows its network."""

import io
import struct

import numpy as np
import pytest
from PIL import ExifTags, Image

from core.errors import InvalidData
from core.images.decode import as_decoded, decode_photo
from core.images.letterbox import network_input
from tests.train_cases import (
    GARMENT,
    photo,
    settings,
    small_rows,
    write_catalogue,
    write_phone_photos,
    write_street_photos,
)
from train import dataset
from train.config import parse_recipe
from train.dataset import build_index, cached_pixels, check_sources

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
    assert index.problems[1].startswith("data: images/1001.jpg: This photo is ")
    assert index.problems[2].startswith("data: images/1002.jpg: This photo is ")


def test_photos_are_verified_once_until_the_data_change(catalogue, cache, monkeypatch):
    first = build_index([catalogue], CLASSES, cache)
    with monkeypatch.context() as patched:
        patched.setattr(dataset, "_verified", None)
        again = build_index([catalogue], CLASSES, cache)
    assert again.photos.equals(first.photos)
    (catalogue / "images" / "1000.jpg").unlink()
    assert build_index([catalogue], CLASSES, cache).failed == [1000]


def test_data_sets_and_corrections_are_checked_without_reading_any_photo(catalogue, tmp_path):
    (tmp_path / "fixes.csv").write_text("id,label\n1000,Shirts\n")
    check_sources([catalogue, tmp_path / "fixes.csv"])
    (tmp_path / "fixes.csv").write_text("id\n1000\n")
    with pytest.raises(InvalidData, match=r"fixes\.csv lacks the column label"):
        check_sources([catalogue, tmp_path / "fixes.csv"])
    with pytest.raises(InvalidData, match=r"styles\.csv is the table of a data set\. Give the folder"):
        check_sources([catalogue / "styles.csv"])


def test_a_data_set_without_any_photo_of_the_classes_says_so(tmp_path, cache):
    folder = write_catalogue(tmp_path / "data", [(1, "Watches")])
    with pytest.raises(InvalidData, match="No photo of the 15 classes loads from"):
        build_index([folder], CLASSES, cache)


def test_cached_pixels_are_the_letterbox_of_each_photo(catalogue, cache):
    index = build_index([catalogue], CLASSES, cache)
    pixels = cached_pixels(index, 48, 33, cache)
    assert (pixels.shape, pixels.dtype, pixels.flags.writeable) == ((len(index.photos), 48, 33, 3), np.uint8, False)
    for row, photo_id in enumerate(index.photos["id"]):
        assert np.array_equal(pixels[row], network_input(decoded(catalogue, photo_id), 48, 33).pixels), photo_id


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


def measured(index) -> dict[int, int]:
    """Row of the measured view of each photo, by its id."""
    return {index.photos["id"][row]: row for row in np.flatnonzero(index.main)}


def test_sharper_copies_are_measured_unsquashed_and_all_views_train(catalogue, cache, tmp_path):
    """A square copy of a 3:4 photo was squashed; a square photo that the catalogue does not have is square."""
    sharp = write_catalogue(tmp_path / "sharp", [(1000, "Tshirts"), (60009, "Jeans")], size=(120, 120))
    index = build_index([catalogue, sharp], CLASSES, cache)
    pixels, row = cached_pixels(index, 80, 60, cache), measured(index)
    upright = decoded(sharp, 1000).resize((90, 120), Image.Resampling.LANCZOS)
    for photo_id, image in (
        (1000, upright),
        (60009, decoded(sharp, 60009)),
        (1001, decoded(catalogue, 1001)),
    ):
        assert np.array_equal(pixels[row[photo_id]], network_input(image, 80, 60).pixels), photo_id
    views = index.photos.loc[index.photos["id"] == 1000]
    shown = [pixels[i] for i in views.index if not index.main[i]]
    expected = [network_input(image, 80, 60).pixels for image in (decoded(catalogue, 1000), decoded(sharp, 1000))]
    assert sorted(views["view"]) == ["squashed", "whole", "whole"]
    assert all(any(np.array_equal(one, other) for other in shown) for one in expected)
    assert views["hash"].nunique() == 1


def test_worn_garments_are_cut_from_their_photos_by_box_and_by_mask(catalogue, cache, tmp_path):
    street = write_street_photos(tmp_path / "street", [("coat",)])
    index = build_index([catalogue, street], CLASSES, cache)
    pixels, rows = cached_pixels(index, 40, 32, cache), index.photos
    image = Image.open(street / "images" / "0000.jpg").convert("RGB")
    coat = rows[rows["articleType"] == "worn coat"].set_index("view", append=True).reset_index("view")
    row = {view: i for i, view in coat["view"].items()}
    assert np.array_equal(pixels[row["box"]], network_input(image.crop(GARMENT), 40, 32).pixels)
    cut = Image.new("RGB", image.size, "white")
    cut.paste(image.crop(GARMENT), GARMENT[:2])
    assert np.array_equal(pixels[row["cut-out"]], network_input(cut.crop(GARMENT), 40, 32).pixels)
    for view in ("jittered 1", "jittered 4"):
        box = tuple(rows.loc[row[view], ["left", "top", "right", "bottom"]])
        assert np.array_equal(pixels[row[view]], network_input(image.crop(box), 40, 32).pixels)
    assert index.main[row["box"]] and not index.main[row["cut-out"]]


def test_photos_from_elsewhere_have_their_kind_and_no_class_of_their_own(catalogue, cache, tmp_path):
    phone = write_phone_photos(tmp_path / "phone", ["t-shirt", "dress"])
    index = build_index([catalogue, phone], CLASSES, cache)
    assert (index.kind == "phone").sum() == 2
    assert not index.in_scope[index.kind == "phone"].any()


def test_where_the_sharper_copy_fails_the_small_one_stays(catalogue, cache, tmp_path):
    sharp = write_catalogue(tmp_path / "sharp", [(1000, "Tshirts")], size=(90, 120))
    (sharp / "images" / "1000.jpg").unlink()
    index = build_index([catalogue, sharp], CLASSES, cache)
    assert index.problems == ["sharp: images/1000.jpg: the file is missing"]
    assert index.failed == []
    assert np.array_equal(
        cached_pixels(index, 40, 30, cache)[0], network_input(decoded(catalogue, 1000), 40, 30).pixels
    )


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def scene() -> Image.Image:
    """A colourful photo of 90 x 120 pixels."""
    return photo(5, (90, 120))


def wide_gamut(primaries: tuple[float, ...], gamma: float) -> bytes:
    """A matrix profile: the chromaticities of red, green and blue (x, y each), white D50-adapted, and one gamma."""
    x, y = np.array(primaries).reshape(3, 2).T
    columns = np.stack([x / y, np.ones(3), (1 - x - y) / y])
    white = np.array([0.9642, 1.0, 0.8249])
    matrix = columns * np.linalg.solve(columns, white)

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(values) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"wide\0" + bytes(79 + 2)
    tags = {b"desc": text, b"wtpt": xyz(white), b"cprt": b"text\0\0\0\0none\0\0\0\0"}
    tags |= {name: xyz(matrix[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        table += name + struct.pack(">II", at + len(body), len(value))
        body += value
    head = bytearray(128)
    head[0:4], head[8:12] = struct.pack(">I", at + len(body)), bytes([2, 0x10, 0, 0])
    head[12:24], head[36:40] = b"mntrRGB XYZ ", b"acsp"
    head[68:80] = b"".join(map(fixed, white))
    return bytes(head) + table + body


def turned() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return encoded(scene(), "JPEG", exif=exif)


def transparent() -> bytes:
    image = scene().convert("RGBA")
    alpha = np.zeros((120, 90), np.uint8)
    alpha[20:100, 10:80] = np.linspace(60, 255, 70).astype(np.uint8)
    image.putalpha(Image.fromarray(alpha))
    return encoded(image, "PNG")


P3 = wide_gamut((0.68, 0.32, 0.265, 0.69, 0.15, 0.06), 2.2)
ADOBE_RGB = wide_gamut((0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 2.2)
FILES = {
    "Display P3": lambda: encoded(scene(), "JPEG", icc_profile=P3, quality=95),
    "Adobe RGB": lambda: encoded(scene(), "JPEG", icc_profile=ADOBE_RGB, quality=95),
    "CMYK": lambda: encoded(scene().convert("CMYK"), "JPEG", quality=95),
    "transparent": transparent,
    "16 bits": lambda: encoded(Image.fromarray(np.asarray(scene().convert("L")).astype(np.uint16) << 8), "PNG"),
    "turned by EXIF": turned,
    "HEIC": lambda: encoded(scene(), "HEIF", quality=90),
    "WebP": lambda: encoded(scene(), "WEBP", quality=90),
    "AVIF": lambda: encoded(scene(), "AVIF", quality=90),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_trainer_sees_a_file_pixel_for_pixel_as_the_server_does(kind, tmp_path, cache, random_classifier):
    data = FILES[kind]()
    folder = write_catalogue(tmp_path / "data", [(1, "Jeans"), (2, "Shirts")])
    (folder / "images" / "1.jpg").write_bytes(data)
    index = build_index([folder], CLASSES, cache)
    assert index.failed == []
    served = random_classifier.prepare(decode_photo(data, at_least=random_classifier.enough))
    assert np.array_equal(cached_pixels(index, *random_classifier.input_size, cache)[0], served.pixels)


@pytest.mark.parametrize("kind", ["Display P3", "Adobe RGB", "transparent", "turned by EXIF"])
def test_these_files_look_otherwise_to_a_plain_decoder(kind):
    """Otherwise the equality above would show nothing."""
    data = FILES[kind]()
    plain = np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((90, 120))).astype(int)
    seen = np.asarray(decode_photo(data).image.resize((90, 120))).astype(int)
    assert np.abs(plain - seen).mean() > 3


def test_an_opened_image_is_decoded_as_its_bytes_are():
    data = FILES["Display P3"]()
    assert np.array_equal(np.asarray(as_decoded(Image.open(io.BytesIO(data)))), np.asarray(decode_photo(data).image))


def test_png_bytes_under_a_jpg_name_load(catalogue, cache):
    buffer = io.BytesIO()
    photo(1).convert("RGBA").save(buffer, "PNG")
    (catalogue / "images" / "1000.jpg").write_bytes(buffer.getvalue())
    assert build_index([catalogue], CLASSES, cache).failed == []
