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


def test_whatever_the_bytes_the_structure_is_followed_or_left_to_the_decoder(photo):
    random = np.random.default_rng(0)
    for kind in ("JPEG", "HEIF", "AVIF", "PNG"):
        data = encoded(photo, kind)
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
