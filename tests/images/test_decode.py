"""Whatever the bytes are, decoding ends in an upright RGB photo or in a message that says what they are."""

import base64
import hashlib
import io
import struct
import subprocess
import sys
import unicodedata
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile, PngImagePlugin

from benchmarks.fuzz_images import encoded, fuzz, resealed
from core.errors import UnreadablePhoto
from core.images import decode
from core.images.decode import ACCEPTED_SUFFIXES, MAX_BYTES, MAX_NAME, decode_photo, display_name
from core.images.file_kind import ACCEPTED, DAMAGED
from core.inference.classifier import Classifier
from core.samples.garments import sample
from tests.conftest import ROOT

LOSSLESS = ("PNG", "BMP", "TIFF")
LOSSY = ("JPEG", "WEBP", "AVIF", "HEIF", "GIF")
ORIENTATION = 0x0112
# What EXIF asks a viewer to do, undone: an upright photo turned by this and tagged with the number is that photo again.
UNDO = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """Smooth colours, different in every corner."""
    y, x = np.mgrid[0:1:80j, 0:1:60j]
    pixels = np.stack([255 * x, 255 * y, 255 * (1 - x * y)], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def tagged(image: Image.Image, orientation: int, kind: str = "PNG") -> bytes:
    """A file that looks like `image` once its EXIF orientation is applied."""
    method = UNDO[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(image if method is None else image.transpose(method), kind, exif=exif)


def chunk(name: bytes, body: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    width: int, height: int, rows: bytes, depth: int = 8, colour_type: int = 2, interlace: int = 0, more: bytes = b""
) -> bytes:
    """A PNG of filtered rows, with more chunks before them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlace))
    return b"\x89PNG\r\n\x1a\n" + header + more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def difference(decoded: Image.Image, expected: Image.Image) -> float:
    """Mean absolute difference in grey levels."""
    assert decoded.mode == "RGB"
    assert decoded.size == expected.size
    return float(np.abs(np.asarray(decoded, int) - np.asarray(expected.convert("RGB"), int)).mean())


def refusal(data: bytes, name: str = "shirt.jpg") -> str:
    with pytest.raises(UnreadablePhoto) as caught:
        decode_photo(data, name)
    return str(caught.value)


# Formats


@pytest.mark.parametrize("kind", LOSSLESS + LOSSY)
def test_every_accepted_format_gives_the_same_photo(photo, kind):
    decoded = decode_photo(encoded(photo, kind), "photo.jpg")
    assert decoded.format == kind
    assert decoded.size == photo.size
    assert decoded.image.size == photo.size
    assert difference(decoded.image, photo) <= (0 if kind in LOSSLESS else 4)


def test_the_digest_is_that_of_the_bytes(photo):
    data = encoded(photo, "PNG")
    assert decode_photo(data).sha256 == hashlib.sha256(data).hexdigest()


def test_a_photo_cannot_be_altered_by_assignment(photo):
    decoded = decode_photo(encoded(photo, "PNG"))
    with pytest.raises(FrozenInstanceError):
        decoded.width = 3


def test_no_metadata_is_passed_on(photo):
    exif = Image.Exif()
    exif[0x010E] = "<script>"
    assert decode_photo(encoded(photo, "JPEG", exif=exif, comment=b"<script>")).image.info == {}


def secretive(image: Image.Image, kind: str) -> bytes:
    """A file that says "secret" in every place for words that its format has, HTML among them."""
    exif = Image.Exif()
    exif[0x010E] = "<script>secret</script>"
    exif.get_ifd(0x8825)[1] = "secret"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "<html>secret", zip=True)
    more = {
        "JPEG": {"comment": b"<html>secret"},
        "PNG": {"pnginfo": text},
        "WEBP": {"xmp": b"secret"},
        "GIF": {"comment": b"secret"},
    }
    return encoded(image, kind, exif=exif, icc_profile=swapped_profile() + b"secret", **more.get(kind, {}))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "GIF"])
@pytest.mark.parametrize("saved_as", ["JPEG", "PNG", "WEBP"])
def test_what_is_saved_from_a_photo_carries_nothing_but_its_pixels(photo, kind, saved_as):
    """As thumbnails, heat maps, views and kept photos are saved: without options, which Pillow then takes from the image."""
    data = secretive(photo, kind)
    saved = encoded(decode_photo(data).image, saved_as)
    assert b"secret" in data
    assert saved == encoded(Image.frombytes("RGB", photo.size, decode_photo(data).image.tobytes()), saved_as)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "AVIF", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation_counts(photo, kind):
    frames = [Image.new("RGB", photo.size, colour) for colour in ("red", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert difference(decode_photo(data).image, frames[0]) < 2


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_hundreds_of_frames_only_the_first_is_decoded(kind, monkeypatch):
    frames = [Image.new("RGB", (8, 8), (number % 256, 0, 200)) for number in range(300)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    monkeypatch.setattr(Image.Image, "seek", lambda *_: pytest.fail("another frame is asked for"))
    assert difference(decode_photo(data).image, frames[0]) < 4


def test_a_tiff_whose_frames_go_round_in_a_circle_ends(photo):
    data = bytearray(encoded(photo, "TIFF"))
    (directory,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, directory)
    struct.pack_into("<I", data, directory + 2 + 12 * entries, directory)
    assert difference(decode_photo(bytes(data)).image, photo) == 0


def test_a_phones_multi_picture_file_is_a_jpeg(photo):
    data = encoded(photo, "MPO", save_all=True, append_images=[Image.new("RGB", photo.size)])
    assert decode_photo(data).format == "JPEG"


def test_suffixes_are_lower_case_with_a_dot():
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in ACCEPTED_SUFFIXES)
    assert {".jpg", ".jpeg", ".png", ".webp", ".heic", ".avif", ".bmp", ".tif", ".tiff", ".gif"} <= set(
        ACCEPTED_SUFFIXES
    )


# Orientation


@given(
    orientation=st.sampled_from(sorted(UNDO)), width=st.integers(1, 20), height=st.integers(1, 20), seed=st.integers(0, 99)
)  # fmt: skip
def test_any_exif_orientation_gives_the_same_upright_pixels(orientation, width, height, seed):
    upright = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))
    decoded = decode_photo(tagged(upright, orientation))
    assert decoded.size == upright.size
    assert decoded.image.tobytes() == upright.tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", UNDO)
def test_orientation_is_honoured_in_every_format_that_has_it(photo, kind, orientation):
    decoded = decode_photo(tagged(photo, orientation, kind))
    assert decoded.size == photo.size
    assert difference(decoded.image, photo) < 4


@pytest.mark.parametrize("orientation", UNDO)
def test_orientation_of_a_heic_is_honoured(photo, orientation):
    method = UNDO[orientation]
    turned = photo.copy() if method is None else photo.transpose(method)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    turned.info["exif"] = exif.tobytes()
    assert difference(decode_photo(encoded(turned, "HEIF")).image, photo) < 4


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_a_damaged_exif_block_counts_as_none(photo):
    data = encoded(photo, "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert difference(decode_photo(data).image, photo) < 4


# Colour


def test_transparency_lies_over_white(photo):
    clear = photo.convert("RGBA")
    clear.putalpha(0)
    assert difference(decode_photo(encoded(clear, "PNG")).image, Image.new("RGB", photo.size, "white")) == 0
    half = Image.new("RGBA", (2, 2), (0, 0, 0, 128))
    assert decode_photo(encoded(half, "PNG")).image.getpixel((0, 0)) == (127, 127, 127)
    grey = Image.new("LA", (2, 2), (0, 128))
    assert decode_photo(encoded(grey, "PNG")).image.getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_colour_is_white(kind):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 0, 0, 0, 0, 255])
    image.putpixel((0, 0), 2)
    decoded = decode_photo(encoded(image, kind, transparency=1)).image
    assert decoded.getpixel((0, 0)) == (0, 0, 255)
    assert decoded.getpixel((3, 3)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_keeps_its_colours(photo, kind):
    assert difference(decode_photo(encoded(photo.convert("CMYK"), kind)).image, photo) < 3


def test_a_greyscale_jpeg_becomes_grey(photo):
    assert difference(decode_photo(encoded(photo.convert("L"), "JPEG")).image, photo.convert("L")) < 2


@pytest.mark.parametrize(("mode", "kind"), [("I;16", "PNG"), ("I;16", "TIFF"), ("I;16B", "TIFF")])
def test_sixteen_bits_are_scaled_and_not_clipped(mode, kind):
    levels = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    image = Image.frombytes(mode, (16, 16), levels.astype(">u2" if mode == "I;16B" else "<u2").tobytes())
    decoded = np.asarray(decode_photo(encoded(image, kind)).image)
    assert np.array_equal(decoded[..., 0], np.arange(256).reshape(16, 16))


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (6, 4)])
def test_sixteen_bit_colours_keep_their_upper_eight(colour_type, channels):
    levels = np.arange(0, 65536, 257, dtype=">u2").reshape(16, 16)
    pixels = np.stack([levels, levels[::-1], levels.T, np.full_like(levels, 65535)][:channels], axis=-1)
    decoded = np.asarray(
        decode_photo(png(16, 16, b"".join(b"\0" + row.tobytes() for row in pixels), 16, colour_type)).image
    )
    assert np.array_equal(decoded, (pixels >> 8)[..., :3])


def test_one_bit_is_black_and_white():
    image = Image.new("1", (3, 1))
    image.putpixel((1, 0), 1)
    decoded = np.asarray(decode_photo(encoded(image, "TIFF", compression="group4")).image)
    assert decoded[0, :, 0].tolist() == [0, 255, 0]


def test_measurements_in_32_bits_are_refused_by_name():
    assert "32-bit measurements" in refusal(encoded(Image.new("F", (4, 4)), "TIFF"))


def swapped_profile() -> bytes:
    """An sRGB profile whose red and green have changed places."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tempX").replace(b"gXYZ", b"rXYZ").replace(b"tempX", b"gXYZ")


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_embedded_profile_is_converted_to_srgb(mode):
    data = encoded(Image.new(mode, (4, 4), "red"), "PNG", icc_profile=swapped_profile())
    red, green, blue = decode_photo(data).image.getpixel((0, 0))
    assert green > 250
    assert max(red, blue) < 5


@pytest.mark.parametrize("profile", [b"no profile at all" * 20, swapped_profile()[:200]])
def test_a_profile_that_cannot_be_used_is_left_out(photo, profile):
    assert difference(decode_photo(encoded(photo, "PNG", icc_profile=profile)).image, photo) == 0


def test_a_profile_for_another_colour_space_is_left_out(photo):
    grey = photo.convert("L")
    assert difference(decode_photo(encoded(grey, "PNG", icc_profile=swapped_profile())).image, grey) == 0


# Odd but whole


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_extreme_sizes_are_decoded(size, kind):
    assert decode_photo(encoded(Image.new("RGB", size), kind)).size == size


def interlaced(image: Image.Image) -> bytes:
    """Adam7 PNG (https://www.w3.org/TR/png-3/#8Interlace)."""
    pixels, rows = np.asarray(image), b""
    steps = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    for x, y, dx, dy in steps:
        rows += b"".join(b"\x00" + row.tobytes() for row in pixels[y::dy, x::dx] if row.size)
    return png(*image.size, rows, interlace=1)


def test_an_interlaced_png_is_decoded(photo):
    assert difference(decode_photo(interlaced(photo)).image, photo) == 0


ARITHMETIC = """
/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBk
eFxlZ2P/2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2P/yQARCAA8AC0D
ASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwDSa/8ALKwDLSjhaXCbptxlxLtPZHUoNNlYLUQ2Rsqw68K5greU6xUce+YaPT66JBDu
2Oqc+U585p9vfC1lxHlK7JCwzku5x1hPRyLZhb5n0iqfBmrnOXjF9bkutY81Cj21NWOLzb47LTEmuZPNXhBO5bSihOvRr88btV1aF/cunn6UzigD
FpGwI7e+kXJP0zhkpEhe5ueYGaFeckR/MTC1Dspyr8J/rkhCIgBm2fOsx1alKtVc26zLX7dCXEhpfT7wV8O0vt3ZjRz6iiX+FlXP5QGOIdjwguSq
dtvi8ZJLVoP7Pqq9lsM+gKVgyL+63GtI51tvg2lNbxxKNeNvBBS2i/AE4BK3tL5McHktMNZKsbS2/J7Y92e5iXxAUfPE/uYuUlF5yNKyqdZGpRgr
QZ5NYrXsWNpfqiNXsrl9yXId4OV4wEJxacvltbSsghbxcwd90lSFJRSW9HgmqrjZ84lIDIBF/NtdXPjFui+UD0zr007Qqjv+Tjw9MVZ/HnRcL0qq
BL77EvTlZWPIlv/Z
"""  # sample("Shirts", size=(45, 60)) by `cjpeg -arithmetic -quality 50`; Pillow reads this coding but does not write it


def test_an_arithmetic_coded_jpeg_is_decoded():
    decoded = decode_photo(base64.b64decode(ARITHMETIC), "shirt.jpg")
    assert difference(decoded.image, sample("Shirts", size=(45, 60))) < 8


def test_a_progressive_jpeg_is_decoded(photo):
    assert difference(decode_photo(encoded(photo, "JPEG", progressive=True)).image, photo) < 4


def zipped(name: str, data: bytes, before: bytes = b"") -> bytes:
    """A zip file of one member, with other bytes before it."""
    file = io.BytesIO(before)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
@pytest.mark.parametrize(
    "appended",
    [zipped("page.html", b"<script>"), b"<html><script>alert(1)</script>", encoded(Image.new("RGB", (9, 9)), "JPEG")],
    ids=["zip", "html", "photo"],
)
def test_what_is_appended_to_a_photo_is_ignored(photo, kind, appended):
    data = encoded(photo, kind)
    assert decode_photo(data + appended).image.tobytes() == decode_photo(data).image.tobytes()


def test_a_photo_that_is_a_zip_file_too_is_a_photo_and_nothing_else(photo):
    data = encoded(photo, "JPEG")
    both = zipped("page.html", b"<script>", before=data)
    assert zipfile.is_zipfile(io.BytesIO(both))
    assert decode_photo(both, "shirt.zip").image.tobytes() == decode_photo(data).image.tobytes()


@pytest.mark.parametrize("begin", [b"<html>", b"%PDF-1.7\n", b"PK\x03\x04"])
def test_a_photo_behind_something_else_is_no_photo(photo, begin):
    assert ACCEPTED in refusal(begin + encoded(photo, "JPEG"))


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    return Classifier.load()


@pytest.mark.parametrize("garment", ["Jeans", "Shirts"])
def test_the_shipped_network_answers_the_same_photo_the_same_in_every_form(shipped, garment):
    image = sample(garment, size=(480, 640))
    forms = [
        encoded(image, "PNG"),
        encoded(image, "JPEG", quality=95),
        encoded(image, "WEBP", quality=95),
        tagged(image, 6),
        encoded(image.convert("CMYK"), "JPEG", quality=95),
    ]
    answers = shipped.predict(forms)
    assert {answer.label for answer in answers} == {answers[0].label}
    for answer in answers[1:]:
        assert dict(answer.ranking) == pytest.approx(dict(answers[0].ranking), abs=0.07)


# Decoding at reduced scale


def test_a_jpeg_is_decoded_at_the_least_scale_that_is_enough(photo):
    data = encoded(photo.resize((1200, 1600)), "JPEG")
    decoded = decode_photo(data, at_least=(280, 380))
    assert decoded.size == (1200, 1600)
    assert decoded.image.size == (300, 400)
    assert difference(decoded.image, photo.resize((300, 400))) < 4


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_reduced_decoding_keeps_a_turned_photo_large_enough(photo, orientation):
    data = tagged(photo.resize((400, 1600)), orientation, "JPEG")
    decoded = decode_photo(data, at_least=(200, 300))
    assert decoded.size == (400, 1600)
    assert decoded.image.size == (200, 800)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_other_photos_are_reduced_by_a_whole_number_once_they_are_decoded(photo, kind):
    decoded = decode_photo(encoded(photo.resize((1260, 1680)), kind), at_least=(280, 380))
    assert decoded.size == (1260, 1680) and decoded.image.size == (315, 420)
    assert difference(decoded.image, photo.resize((315, 420))) < 4


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("at_least", [(60, 80), (900, 900), (31, 10)])
def test_nothing_is_reduced_below_what_is_asked_for(photo, kind, at_least):
    decoded = decode_photo(encoded(photo, kind), at_least=at_least)
    assert decoded.image.size == decoded.size == photo.size


# Refusals


@pytest.mark.parametrize("kind", LOSSLESS + LOSSY)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_photo_is_an_error_and_no_grey_filler(photo, kind, share):
    data = encoded(photo, kind)
    message = refusal(data[: int(len(data) * share)])
    name = {"WEBP": "WebP"}.get(kind, kind)
    incomplete = kind in ("HEIF", "AVIF") or (kind == "JPEG" and share > 0.5)  # the first half of it is its tables
    assert message == f"shirt.jpg {decode.INCOMPLETE if incomplete else f'is a damaged {name} photo. {DAMAGED}'}"
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document, not a photo"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing, not a photo"),
        (b"\xef\xbb\xbf<svg/>", "an SVG drawing, not a photo"),
        (b"<!DOCTYPE html>\n<html>", "an HTML page, not a photo"),
        (b"PK\x03\x04\x14\x00", "a zip archive or an office document, not a photo"),
        (b"Once upon a time", "a text file, not a photo"),
        ("Es war einmal, schöne Grüße".encode() * 90, "a text file, not a photo"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "a PostScript document, not a photo"),
        (b"\x00\x00\x00\x20ftypisom", "a video, not a photo"),
        (b"RIFF\x00\x00\x00\x00WAVE", "a sound or a video, not a photo"),
        (b"8BPS\x00\x01", "a Photoshop document, not a photo"),
        (b"MZ\x90\x00", "a program, not a photo"),
        (bytes(range(256)), "of no format known here"),
        (encoded(Image.new("RGB", (4, 4)), "PPM"), "of no format known here"),
        (encoded(Image.new("RGB", (16, 16)), "ICO"), "of no format known here"),
        (encoded(Image.new("RGB", (16, 16)), "JPEG2000"), "a JPEG 2000 image, not a photo"),
    ],
)
def test_what_is_no_photo_is_refused_by_name(data, what):
    assert refusal(data) == f"shirt.jpg is {what}. {ACCEPTED}"


@pytest.mark.parametrize(("data", "kind"), [(b"BM" + bytes(60), "BMP"), (b"\xff\xd8\xff", "JPEG")])
def test_a_damaged_photo_is_to_be_copied_again_and_its_format_not_blamed(data, kind):
    assert refusal(data) == f"shirt.jpg is a damaged {kind} photo. {DAMAGED}"


def test_an_empty_file_says_so():
    assert refusal(b"").startswith("shirt.jpg is empty (0 bytes)")


def test_too_many_bytes_are_refused_unread():
    assert "has 31.0 MB; at most 30 MB" in refusal(bytes(MAX_BYTES + 2**20))


@pytest.mark.parametrize(
    ("size", "pixels"), [((8000, 8001), "8000 x 8001"), ((10000, 10000), "too many"), ((60000, 60000), "too many")]
)
def test_decompression_bombs_are_refused_before_decoding(size, pixels):
    small = encoded(Image.new("1", (1, 1)), "PNG")
    bomb = resealed(small.replace(struct.pack(">II", 1, 1), struct.pack(">II", *size)))
    assert f"has {pixels} pixels; at most 64 megapixels are accepted" in refusal(bomb)


def declaring(kind: str, side: int) -> bytes:
    """A small photo whose header says that it has so many pixels a side."""
    data = bytearray(encoded(Image.new("RGB", (64, 64), "red"), kind))
    match kind:
        case "PNG":
            struct.pack_into(">II", data, 16, side, side)
            return resealed(bytes(data))
        case "JPEG":
            struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, side, side)
        case "WEBP":
            struct.pack_into("<HH", data, 26, side, side)
        case "AVIF" | "HEIF":
            struct.pack_into(">II", data, data.index(b"ispe") + 8, side, side)
        case "BMP":
            struct.pack_into("<ii", data, 18, side, side)
        case "GIF":
            struct.pack_into("<HH", data, 6, side, side)
        case "TIFF":
            for tag in (256, 257):
                at = data.index(struct.pack("<HHI", tag, 4, 1))
                struct.pack_into("<I", data, at + 8, side)
    return bytes(data)


@pytest.mark.parametrize("kind", LOSSLESS + LOSSY)
def test_a_bomb_of_any_format_is_refused_by_what_its_header_says(kind):
    assert decode_photo(declaring(kind, 64)).size == (64, 64)
    assert "has too many pixels" in refusal(declaring(kind, 16383))


ZEROS = zlib.compress(bytes(20_000_000))


@pytest.mark.parametrize(
    "chunks",
    [
        chunk(b"tEXt", b"key\0" + b"x" * 2**21),
        chunk(b"zTXt", b"key\0\0" + ZEROS),
        chunk(b"iTXt", b"key\0\1\0\0\0" + ZEROS),
        chunk(b"iTXt", b"key\0\0\0\0\0" + b"x" * 2**21),
        chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(900_000))) * 100,
        chunk(b"zTXt", b"key\0\0no zlib") + chunk(b"iTXt", b"") + chunk(b"zTXt", b"key\0\0" + ZEROS),
    ],
    ids=["plain", "packed", "international", "international and plain", "many", "damaged"],
)
def test_long_texts_in_a_png_are_left_out_unread(chunks):
    assert decode_photo(png(1, 1, bytes(4), more=chunks)).size == (1, 1)


def test_a_bomb_in_the_profile_of_a_png_is_refused():
    assert "is a damaged PNG photo" in refusal(png(1, 1, bytes(4), more=chunk(b"iCCP", b"key\0\0" + ZEROS)))


def tiled_tiff(side: int, tile: bytes) -> bytes:
    """A deflated grey TIFF of 16x16 pixels with one tile of `side` x `side`."""
    tags = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 200, 325: len(tile)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return (b"II*\x00" + struct.pack("<IH", 8, len(tags)) + entries).ljust(200, b"\0") + tile


def test_a_tiff_tile_larger_than_its_image_is_refused():
    assert decode_photo(tiled_tiff(16, zlib.compress(bytes(256)))).size == (16, 16)
    assert "has too many pixels" in refusal(tiled_tiff(30000, bytes(9)))


MEMORY = r"""
import re, sys
from pathlib import Path
from core.images.decode import decode_photo
size = decode_photo(sys.stdin.buffer.read()).size
print(*size, int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_pixels_beyond_those_declared_are_not_unpacked(kind):
    much = zlib.compress(bytes(500_000_000))
    data = png(16, 16, b"", more=chunk(b"IDAT", much)) if kind == "PNG" else tiled_tiff(16, much)
    done = subprocess.run([sys.executable, "-c", MEMORY], input=data, stdout=subprocess.PIPE, cwd=ROOT, check=True)
    width, height, megabytes = map(int, done.stdout.split())
    assert (width, height) == (16, 16)
    assert megabytes < 200


def test_decoding_stops_when_time_is_up(photo, monkeypatch):
    monkeypatch.setattr(decode, "MAX_SECONDS", -1.0)
    assert "takes more than" in refusal(encoded(photo, "PNG"))


@pytest.mark.parametrize(
    "error",
    [OSError("x"), SyntaxError("x"), ValueError("x"), struct.error("x"), EOFError(), IndexError(), KeyError(1), TypeError(),
     RuntimeError("x"), ZeroDivisionError(), RecursionError(), OverflowError(), AssertionError(), NotImplementedError()],
)  # fmt: skip
def test_no_other_exception_leaves_the_guard(photo, monkeypatch, error):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr(decode.Image, "open", broken)
    with pytest.raises(UnreadablePhoto, match="is a damaged PNG photo") as caught:
        decode_photo(encoded(photo, "PNG"), "a.png")
    assert caught.value.__cause__ is error


def test_running_out_of_memory_is_a_message(photo, monkeypatch):
    monkeypatch.setattr(decode, "_rgb", lambda _: (_ for _ in ()).throw(MemoryError))
    assert "has too many pixels" in refusal(encoded(photo, "PNG"))


@pytest.mark.parametrize(
    ("data", "level", "what"),
    [
        (declaring("PNG", 8001), "WARNING", "megapixels"),
        (declaring("JPEG", 60000), "WARNING", "DecompressionBombError"),
        (b"<svg/>", "INFO", "UnidentifiedImageError"),
    ],
)
def test_what_is_refused_is_logged_by_its_checksum_and_not_by_its_name(caplog, data, level, what):
    with caplog.at_level("INFO", logger="core.images.decode"):
        refusal(data, "Aunt Emma.png")
    (record,) = caplog.records
    assert record.levelname == level and what in record.message
    assert hashlib.sha256(data).hexdigest() in record.message
    assert "Emma" not in caplog.text


# Names


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("shirt.jpg", "shirt.jpg"),
        ("a\nb\x00\tc.jpg", "abc.jpg"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("line\u2028break.png", "linebreak.png"),
        ("undecodable\udcff.png", "undecodable.png"),
        ("<b>größe</b>.png", "<b>größe</b>.png"),
        ("", ""),
    ],
)
def test_names_lose_what_would_change_how_they_are_shown(name, shown):
    assert display_name(name) == shown


@given(st.text(max_size=120))
def test_names_are_short_and_of_one_line(name):
    shown = display_name(name)
    assert len(shown) <= MAX_NAME
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(character).startswith("C") for character in shown)


def test_a_long_name_keeps_its_beginning_and_its_suffix():
    assert display_name("a" * 300 + ".jpeg") == "a" * 59 + "…" + "a" * 15 + ".jpeg"


def test_a_message_about_a_nameless_photo_still_reads():
    assert refusal(b"hello", name="\n").startswith("This photo is a text file")


# Together


def test_many_threads_decode_the_same(photo):
    files = [encoded(photo, kind) for kind in LOSSLESS + LOSSY] * 4
    alone = [decode_photo(data).image.tobytes() for data in files]
    with ThreadPoolExecutor(8) as pool:
        together = [decoded.image.tobytes() for decoded in pool.map(decode_photo, files)]
    assert together == alone


def test_mutated_photos_end_as_photos_or_refusals():
    report = fuzz(320, seed=1)
    assert report.failures == []
    assert sum(report.counts.values()) == 320
    outcomes = {outcome for _, outcome in report.counts}
    assert outcomes == {"decoded", "refused"}
