"""A photo decoded apart is the photo decoded here; whatever becomes of the process, one photo is refused and the next one is decoded."""

import hashlib
import io
import logging
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image, ImageCms

from core.confinement.kernel import Layer
from core.confinement.pool import Ended
from core.errors import UnreadablePhoto
from core.images import sandbox
from core.images.decode import MAX_PIXELS, decode_photo
from core.images.sandbox import decode_apart

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
WRITERS = {"JPEG": ("RGB", "CMYK", "L"), "PNG": ("RGBA", "P", "I;16"), "WEBP": ("RGBA",), "AVIF": ("RGBA",)} | {
    **{"HEIF": ("RGB",), "BMP": ("RGB",), "TIFF": ("RGB", "CMYK", "I;16"), "GIF": ("P",)}
}
FASTEST = {"AVIF": {"speed": 10}, "WEBP": {"method": 0}, "TIFF": {"compression": "tiff_lzw"}}
AS_BIG_AS_ALLOWED = (8000, MAX_PIXELS // 8000)
needs_limits = pytest.mark.skipif(sys.platform != "linux", reason="all limits are there on Linux only")


def encoded(kind: str, mode: str, size: tuple[int, int] = (90, 60)) -> bytes:
    """A picture that lies on its side, with a colour profile, where the format can say so."""
    exif = Image.Exif()
    exif[274] = 6
    picture = Image.effect_noise(size, 60).resize(size) if max(size) < 1000 else Image.new("L", size, 90)
    buffer = io.BytesIO()
    profile = {"icc_profile": SRGB} if mode in ("RGB", "RGBA") else {}
    picture.convert(mode if mode != "I;16" else "I").convert(mode).save(
        buffer, kind, exif=exif, **profile, **FASTEST.get(kind, {})
    )
    return buffer.getvalue()


PHOTO, OTHER = encoded("JPEG", "RGB"), encoded("PNG", "RGBA")


@pytest.fixture
def none_is_given_up(caplog):
    """Fails if a process ended over what it should be able to do; its photo would be refused in the same words as here."""
    yield
    assert not [record for record in caplog.get_records("call") if "gave no answer" in record.getMessage()]


def same(one, other) -> bool:
    return one.image.tobytes() == other.image.tobytes() and all(
        getattr(one, field) == getattr(other, field) for field in ("size", "name", "format", "sha256")
    )


@pytest.mark.parametrize("at_least", [None, (20, 20)])
@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in WRITERS.items() for mode in modes])
def test_a_photo_is_the_same_as_decoded_here(kind, mode, at_least, none_is_given_up):
    data = encoded(kind, mode)
    assert same(decode_apart(data, "a‮b.jpg", at_least), decode_photo(data, "a‮b.jpg", at_least))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "TIFF"])
@needs_limits
def test_the_largest_photo_fits_into_the_memory_allowed(kind):
    data = encoded(kind, "RGBA", AS_BIG_AS_ALLOWED)
    assert decode_apart(data, "", (100, 100)).size in (AS_BIG_AS_ALLOWED, AS_BIG_AS_ALLOWED[::-1])


@pytest.mark.parametrize(
    "data",
    [b"", b"%PDF-1.7", b"<svg></svg>", "Grüße".encode(), b"\x00\xfe" * 99, PHOTO[:300], bytes(31 * 2**20)],
    ids=["nothing", "PDF", "SVG", "text", "noise", "cut short", "too large"],
)
def test_a_refusal_is_in_the_same_words(data, none_is_given_up):
    with pytest.raises(UnreadablePhoto) as here:
        decode_photo(data, "my photo.jpg")
    with pytest.raises(UnreadablePhoto) as apart:
        decode_apart(data, "my photo.jpg")
    assert str(apart.value) == str(here.value)


@pytest.mark.parametrize(
    ("told", "pixels"),
    [
        ({"format": "JPEG", "size": [9, 9], "image": [9, 9]}, 10),
        ({"format": "JPEG", "size": [9, 9], "image": [10**6, 10**6]}, 30),
        ({"format": "JPEG", "size": [0, 9], "image": [0, 9]}, 0),
        ({"format": "JPEG", "size": [3, 3], "image": [3, 9]}, 81),
        ({"format": "JPEG", "size": [10**6, 10**6], "image": [3, 3]}, 27),
        ({"format": "JPEG"}, 0),
        ({"format": "JPEG", "size": ["<b>", 9], "image": [1, 1]}, 3),
        ({"format": "JPEG", "size": [1.5, 9], "image": [1.5, 1]}, 3),
    ],
    ids=[
        *("too few pixels", "pixels that are not there", "no pixels", "larger than itself", "larger than accepted"),
        *("no size", "strange size", "half a pixel"),
    ],
)
def test_a_process_that_lies_about_its_photo_is_not_believed(told, pixels, monkeypatch):
    monkeypatch.setattr(sandbox, "confined", lambda *_: (told, bytearray(pixels)))
    with pytest.raises(
        UnreadablePhoto, match="^my photo.jpg could not be read: the program that decodes photos stopped"
    ):
        decode_apart(PHOTO, "my photo.jpg")


def test_a_photo_at_which_the_process_dies_twice_is_refused_and_the_next_one_is_decoded(deadly, caplog):
    deadly(PHOTO)
    with pytest.raises(
        UnreadablePhoto, match="^my photo.jpg could not be read: the program that decodes photos stopped"
    ):
        decode_apart(PHOTO, "my photo.jpg")
    assert "my photo" not in caplog.text
    assert same(decode_apart(OTHER), decode_photo(OTHER))


def test_one_that_takes_all_its_time_is_told_so(monkeypatch):
    def too_slow(*_):
        raise Ended("it did not end in time", too_slow=True)

    monkeypatch.setattr(sandbox, "confined", too_slow)
    with pytest.raises(UnreadablePhoto, match="^my photo.jpg takes more than 10 seconds to decode"):
        decode_apart(PHOTO, "my photo.jpg")


def test_what_a_refusal_has_to_log_is_in_the_servers_log_by_the_checksum(caplog):
    with caplog.at_level(logging.INFO), pytest.raises(UnreadablePhoto):
        decode_apart(PHOTO[:300], "my photo.jpg")
    assert hashlib.sha256(PHOTO[:300]).hexdigest() in caplog.text and "my photo" not in caplog.text


def test_everybody_gets_their_own_photo():
    photos = [encoded("PNG", "RGBA", (10 + n, 30)) for n in range(24)]
    with ThreadPoolExecutor(8) as visitors:
        for data, photo in zip(photos, visitors.map(decode_apart, photos), strict=True):
            assert same(photo, decode_photo(data))


@needs_limits
def test_a_photos_process_is_confined_by_limits_and_the_filter_at_least():
    assert Layer.LIMITS | Layer.SECCOMP in sandbox.level()
