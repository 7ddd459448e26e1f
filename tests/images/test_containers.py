"""What is cut off a photo is noticed though its decoder fills it up; what only looks odd is decoded."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from core.errors import UnreadablePhoto
from core.images import containers
from core.images.decode import INCOMPLETE, decode_photo
from core.samples.garments import sample

END = b"\xff\xd9"
HOW = {
    "baseline": {},
    "progressive": {"progressive": True},
    "optimised": {"optimize": True},
    "with restarts": {"restart_marker_rows": 1},
    "full colour": {"subsampling": 0},
    "grey": {"mode": "L"},
    "grey and progressive": {"mode": "L", "progressive": True},
    "CMYK": {"mode": "CMYK"},
}
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """A garment with the noise of a camera."""
    pixels = np.asarray(sample("Shirts", size=(240, 320))).astype(int)
    noise = np.random.default_rng(0).normal(0, 9, pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def encoded(photo: Image.Image, kind: str = "JPEG", mode: str = "RGB", **how) -> bytes:
    buffer = io.BytesIO()
    photo.convert(mode).save(buffer, kind, **how)
    return buffer.getvalue()


def refusal(data: bytes, at_least: tuple[int, int] | None = None) -> str:
    with pytest.raises(UnreadablePhoto) as error:
        decode_photo(data, "shirt.jpg", at_least)
    return str(error.value)


@pytest.mark.parametrize("at_least", [None, (60, 80)], ids=["full size", "reduced"])
@pytest.mark.parametrize("how", HOW)
def test_a_jpeg_that_was_cut_and_closed_is_incomplete(photo, how, at_least):
    data = encoded(photo, **HOW[how])
    assert decode_photo(data, at_least=at_least).size == photo.size
    for share in SHARES:
        cut = data[: int(share * len(data))]
        message = refusal(cut + END, at_least)  # one cut within a table is damaged
        assert message == f"shirt.jpg {INCOMPLETE}" or "is a damaged JPEG photo. Only part of it is there" in message, (
            share
        )


@pytest.mark.parametrize("how", HOW)
def test_a_jpeg_of_which_only_the_end_marker_is_missing_is_decoded(photo, how):
    data = encoded(photo, **HOW[how])
    assert decode_photo(data[:-2]).image.tobytes() == decode_photo(data).image.tobytes()
    assert decode_photo(data[:-1]).image.tobytes() == decode_photo(data).image.tobytes()


@pytest.mark.parametrize("how", [*HOW, "arithmetic"])
def test_a_photo_that_ends_in_the_grey_of_missing_rows_is_decoded(how):
    grey = Image.new("RGB", (64, 64), (128, 128, 128))
    assert decode_photo(encoded(grey, **HOW.get(how, {}))).size == (64, 64)


def test_a_whole_jpeg_is_decoded_once(photo, monkeypatch):
    monkeypatch.setattr("core.images.decode._decoded_again", None)
    assert decode_photo(encoded(photo)).size == photo.size


def test_what_follows_a_jpeg_is_no_part_of_it(photo):
    data = encoded(photo, progressive=True)
    assert decode_photo(data + b"\xff\xda" + data[:500]).image.tobytes() == decode_photo(data).image.tobytes()


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95, 0.999])
def test_a_heic_or_avif_whose_boxes_go_on_behind_its_end_is_incomplete(photo, kind, share):
    data = encoded(photo, kind)
    assert refusal(data[: int(share * len(data))]) == f"shirt.jpg {INCOMPLETE}"


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_one_whose_last_box_has_no_size_of_its_own_is_noticed_by_where_its_picture_lies(photo, kind):
    data = encoded(photo, kind)
    place = data.index(b"mdat") - 4
    open_ended = data[:place] + bytes(4) + data[place + 4 :]
    assert decode_photo(open_ended).image.tobytes() == decode_photo(data).image.tobytes()
    assert refusal(open_ended[: len(data) - 40]) == f"shirt.jpg {INCOMPLETE}"


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_what_follows_a_heic_or_avif_makes_it_no_less_whole(photo, kind):
    data = encoded(photo, kind)
    for behind in (b"PK\x03\x04" + bytes(50), b"\xff" * 30, b"abc"):
        assert decode_photo(data + behind).size == photo.size


@pytest.mark.parametrize("brand", [b"heim", b"hevs", b"mif2", b"1pic", b"unif", b"miaf"])
def test_a_heic_of_an_odd_brand_is_decoded(photo, brand):
    data = encoded(photo, "HEIF")
    odd = data[:8] + brand + data[12:]
    assert decode_photo(odd).image.tobytes() == decode_photo(data).image.tobytes()


@pytest.mark.parametrize("length", [2, 6, 7, 10])
def test_a_jpeg_with_an_empty_jfif_segment_is_decoded(photo, length):
    data = encoded(photo)
    behind = 4 + int.from_bytes(data[4:6], "big")
    segment = b"\xff\xe0" + struct.pack(">H", length) + b"JFIF\0\1\1\0"[: length - 2]
    assert decode_photo(data[:2] + segment + data[behind:]).image.tobytes() == decode_photo(data).image.tobytes()


@pytest.mark.parametrize("big_endian", [False, True])
def test_a_big_tiff_is_decoded(photo, big_endian):
    data = encoded(photo, "TIFF", big_tiff=True)
    assert data[:4] == b"II+\0" and decode_photo(data).size == photo.size
    assert "is a damaged TIFF photo" in refusal(data[:40] if not big_endian else b"MM\0+" + data[4:40])


def bmp(pixels: np.ndarray, bits: int, masks: tuple[int, int, int], header: int = 40, transparency: int = 0) -> bytes:
    """A BMP whose colours lie where the masks say."""
    values = np.zeros(pixels.shape[:2], np.uint64)
    for channel, mask in enumerate(masks):
        values |= np.uint64(mask & -mask) * (
            pixels[..., channel].astype(np.uint64) * np.uint64(mask // (mask & -mask)) // 255
        )
    rows = np.zeros((len(pixels), (pixels.shape[1] * bits // 8 + 3) // 4 * 32 // bits), f"<u{bits // 8}")
    rows[:, : pixels.shape[1]] = values[::-1]
    fields = struct.pack("<3I", *masks) + struct.pack("<I", transparency).ljust(header - 52, b"\0") * (header > 40)
    size = (pixels.shape[1], len(pixels), 1, bits, 3, rows.nbytes, 0, 0, 0, 0)
    head = struct.pack("<IiiHHIIiiII", header, *size) + fields
    return struct.pack("<2sIII", b"BM", 14 + len(head) + rows.nbytes, 0, 14 + len(head)) + head + rows.tobytes()


@pytest.mark.parametrize(
    ("bits", "masks"),
    [
        (32, (0x3FF00000, 0xFFC00, 0x3FF)),
        (32, (0xFF0, 0xFF000, 0xFF00000)),
        (32, (0xFF000000, 0xFF, 0xFF00)),
        (16, (0xF00, 0xF0, 0xF)),
        (32, (0xFF0000, 0xFF00, 0xFF)),
        (16, (0xF800, 0x7E0, 0x1F)),
    ],
)
@pytest.mark.parametrize("header", [40, 56])
def test_a_bmp_with_its_colours_in_unusual_bits_is_decoded(photo, bits, masks, header):
    pixels = np.asarray(photo)[:41, :37]
    decoded = np.asarray(decode_photo(bmp(pixels, bits, masks, header)).image).astype(int)
    steps = np.array([(mask // (mask & -mask)) for mask in masks])
    assert (np.abs(decoded - pixels) <= 255 / steps + 1).all()


def lossless_jpeg(pixels: np.ndarray) -> bytes:
    """A grey JPEG of the lossless kind: differences from the left neighbour, by a Huffman table of nine codes of four bits."""
    before = np.hstack([np.vstack([[[128]], pixels[:-1, :1]]), pixels[:, :-1]]).astype(int)
    bits = ""
    for difference in (pixels - before).ravel().tolist():
        length = abs(difference).bit_length()
        bits += f"{length:04b}" + (
            f"{difference + (difference < 0) * ((1 << length) - 1):0{length}b}" if length else ""
        )
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    segments = (
        (0xC3, struct.pack(">BHHB", 8, *pixels.shape, 1) + b"\1\x11\0"),
        (0xC4, b"\0" + b"\0\0\0\x09" + bytes(12) + bytes(range(9))),
        (0xDA, b"\1\1\0\1\0\0"),
    )
    headers = b"".join(bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments)
    return b"\xff\xd8" + headers + scan + END


def test_a_lossless_jpeg_is_decoded_alike_at_every_size_asked_for(photo):
    pixels = np.asarray(photo.convert("L"))[:64, :48]
    data = lossless_jpeg(pixels)
    whole = decode_photo(data)
    assert np.array_equal(np.asarray(whole.image)[..., 0], pixels)
    small = decode_photo(data, at_least=(12, 16))
    assert small.image.size == (12, 16) and small.size == (48, 64)
    assert small.image.tobytes() == whole.image.reduce(4).tobytes()
    assert refusal(data[: len(data) // 2] + END) == f"shirt.jpg {INCOMPLETE}"


def test_twelve_bits_of_a_tiff_are_scaled_as_sixteen_are():
    values = np.linspace(0, 4095, 64 * 48).astype(int).reshape(48, 64)
    packed = b"".join(int("".join(f"{value:012b}" for value in row), 2).to_bytes(96, "big") for row in values.tolist())
    tags = {256: 64, 257: 48, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 48, 279: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    data = b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + struct.pack("<H", len(tags)) + entries + bytes(4)
    assert np.array_equal(np.asarray(decode_photo(data).image)[..., 0], values >> 4)


def test_whatever_the_bytes_the_structure_is_followed_or_left_to_the_decoder(photo):
    random = np.random.default_rng(0)
    unusual = bmp(np.asarray(photo)[:20, :20], 32, (0x3FF00000, 0xFFC00, 0x3FF))
    for kind in ("JPEG", "HEIF", "AVIF", "PNG", "BMP"):
        data = unusual if kind == "BMP" else encoded(photo, kind)
        for _ in range(60):
            damaged = bytearray(data)
            for place in random.integers(2, min(len(data), 600), 6):
                damaged[place] = random.integers(256)
            whole = bytes(damaged[: random.integers(20, len(data))])
            containers.without_oddities(whole)
            containers.is_cut_short(whole)
            if kind == "JPEG" and (frame := containers.jpeg_frame(whole)):
                containers.lacks_scans(frame)
                containers.comes_at_once(whole)
