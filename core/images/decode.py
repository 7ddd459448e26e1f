"""The one decode guard: photo bytes from anywhere become an upright RGB photo, or an `UnreadablePhoto` that says why not.

Follows Pillow's security handbook (https://pillow.readthedocs.io/en/stable/handbook/security.html): an allow-list of formats, found by
content and not by name; limits on bytes, pixels and time; decompression bombs are errors; only the first frame is decoded; no
metadata is passed on; what is refused is logged by its checksum. Everything here is safe to call from several threads.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import time
import unicodedata
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageChops, ImageCms, ImageOps
from pillow_heif import HeifImageFile, register_heif_opener

from core.errors import UnreadablePhoto
from core.images.containers import (
    END_OF_IMAGE,
    comes_at_once,
    is_cut_short,
    is_lossless,
    jpeg_frame,
    lacks_scans,
    with_more_behind,
    without_oddities,
)
from core.images.file_kind import ACCEPTED, AVIF_BRANDS, likeness

MAX_BYTES = 30 * 2**20
NAMELESS = "This photo"
MAX_PIXELS = 64_000_000
MAX_SECONDS = 10.0  # of processor time; a photo of MAX_PIXELS takes one to three
TOO_SLOW = f"takes more than {MAX_SECONDS:.0f} seconds to decode. Save it anew as JPEG or PNG."
INCOMPLETE = "is incomplete: the end of the file is missing. Copy or download it again."
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "BMP", "TIFF", "GIF")
ACCEPTED_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".heic", ".heif", ".hif", ".bmp", ".tif", ".tiff", ".gif",
)  # fmt: skip
MAX_NAME = 80
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of a formula
READ_SIZE = 8192  # bytes a decoder is given at once; the clock is looked at between
SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
BITS_PER_SAMPLE = 258  # of TIFF's tags
TRANSVERSED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
log = logging.getLogger(__name__)


def _may_be_heif(head: bytes) -> bool:
    """Whether libheif is to look at bytes: it knows more brands than those by which the plugin goes."""
    return head[4:8] == b"ftyp" and head[8:12] not in AVIF_BRANDS


register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
Image.register_open("HEIF", HeifImageFile, _may_be_heif)
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


@dataclass(frozen=True)
class Photo:
    """A decoded photo, upright.

    Args:
        image: RGB, never to be altered; smaller than the photo where a smaller one was asked for.
        name: file name, fit for display.
        format: what the bytes are, such as JPEG, whatever the name says.
        sha256: hexadecimal digest of the bytes.
        width: of the upright photo in full, in pixels.
        height: likewise.
    """

    image: Image.Image
    name: str
    format: str
    sha256: str
    width: int
    height: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the upright photo in full."""
        return self.width, self.height


def plain_name(name: str) -> str:
    """A file name without control, format or surrogate characters, in full."""
    kept = (c for c in name if unicodedata.category(c)[0] != "C" and unicodedata.category(c) not in ("Zl", "Zp"))
    return "".join(kept).strip()


def display_name(name: str) -> str:
    """A file name that is safe to show: plain, and at most MAX_NAME characters long."""
    shown = plain_name(name)
    return f"{shown[: MAX_NAME - 21]}…{shown[-20:]}".strip() if len(shown) > MAX_NAME else shown


def spreadsheet_name(name: str) -> str:
    """A file name for a CSV that people open in a spreadsheet: one that would run as a formula gets an apostrophe before it."""
    return f"'{name}" if name.startswith(FORMULA) else name


def decode_photo(
    data: bytes, name: str = "", at_least: tuple[int, int] | None = None, sha256: str | None = None
) -> Photo:
    """Decode a photo.

    The first frame is taken; EXIF orientation is applied (a damaged EXIF block counts as none); an embedded colour profile is
    converted to sRGB (one that cannot be used is left out); transparency lies over white; 16 bits become the upper 8.

    Args:
        data: the file's bytes.
        name: the file's name, for messages only.
        at_least: (width, height) that are enough for the upright image; a JPEG is then decoded at 1/2, 1/4 or 1/8 of its
            size if that still is as large, in a fraction of the time, any other photo reduced by a whole number once it is decoded.
        sha256: of the bytes, where it is known; otherwise it is computed.

    Raises:
        UnreadablePhoto: whatever is wrong with the bytes; no other exception leaves this function.
    """
    shown = display_name(name)
    subject = shown or NAMELESS
    if not data:
        raise UnreadablePhoto(
            f"{subject} is empty (0 bytes). Choose the file again; it may not have been copied whole."
        )
    if len(data) > MAX_BYTES:
        raise UnreadablePhoto(
            f"{subject} has {len(data) / 2**20:.1f} MB; at most {MAX_BYTES // 2**20} MB are accepted. Save it smaller."
        )
    try:
        image, size, kind = _decode(data, at_least)
    except _Refused as error:
        _note(logging.WARNING, data, error)
        raise UnreadablePhoto(f"{subject} {error}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        _note(logging.WARNING, data, error)
        raise UnreadablePhoto(f"{subject} {_too_large('too many')}") from error
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged files
        _note(logging.INFO, data, error)
        raise damaged(data, name) from error
    return Photo(image, shown, kind, sha256 or hashlib.sha256(data).hexdigest(), *size)


def damaged(data: bytes, name: str = "") -> UnreadablePhoto:
    """The refusal of bytes that no decoder gets through, which says what they look like."""
    return UnreadablePhoto(f"{display_name(name) or NAMELESS} is {likeness(data)}")


def too_slow(name: str = "") -> UnreadablePhoto:
    """The refusal of a photo that takes more than MAX_SECONDS."""
    return UnreadablePhoto(f"{display_name(name) or NAMELESS} {TOO_SLOW}")


def as_decoded(image: Image.Image) -> Image.Image:
    """An opened image as `decode_photo` would give it: upright, RGB in sRGB over white, without metadata.

    Raises:
        UnreadablePhoto: its pixels are measurements rather than colours.
    """
    upright = image.copy()  # keeps what says how it was held
    _turn_upright(upright)
    try:
        return _rgb(upright)
    except _Refused as error:
        raise UnreadablePhoto(f"{NAMELESS} {error}") from None


def _note(level: int, data: bytes, error: Exception) -> None:
    """Log a refusal without the photo's name, which is the visitor's: limits passed as warnings, damage for those who want to know."""
    log.log(level, "refused %d bytes with SHA-256 %s: %r", len(data), hashlib.sha256(data).hexdigest(), error)


class _Refused(Exception):
    """A limit of this module is passed; the message continues a sentence that begins with the photo's name."""


def _too_large(pixels: str) -> str:
    return f"has {pixels} pixels; at most {MAX_PIXELS // 10**6} megapixels are accepted. Save it smaller."


class _TimedReader(io.BytesIO):
    """Bytes that can be read for MAX_SECONDS of this thread's work, so that no parser's loop goes on for ever."""

    def __init__(self, data: bytes):
        super().__init__(data)
        self.deadline = time.thread_time() + MAX_SECONDS

    def read(self, size: int | None = -1, /) -> bytes:
        if time.thread_time() > self.deadline:
            raise _Refused(TOO_SLOW)
        return super().read(size)


def _decode(data: bytes, at_least: tuple[int, int] | None) -> tuple[Image.Image, tuple[int, int], str]:
    """Upright RGB image, size of the upright photo in full, and format."""
    if is_cut_short(data):
        raise _Refused(INCOMPLETE)
    data = without_oddities(data)
    with Image.open(_TimedReader(data), formats=FORMATS) as image:
        _check_pixels(image)
        image.decodermaxblock = READ_SIZE
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        sideways = kind == "JPEG" and _orientation(image) in TRANSVERSED
        full = _swapped(image.size) if sideways else image.size
        scales = kind == "JPEG" and not is_lossless(data)
        if kind == "JPEG":
            scale = at_least if scales else None
            image = _whole_jpeg(data, image, scale and (_swapped(scale) if sideways else scale))
        else:
            image.load()
        _turn_upright(image)
        if scales:
            return _rgb(image), full, kind
        return _reduced(_rgb(image), at_least or image.size), image.size, kind


def _whole_jpeg(data: bytes, image: Image.Image, at_least: tuple[int, int] | None) -> Image.Image:
    """A JPEG decoded, if all its rows are there: libjpeg fills up those that are not, and Pillow wants no more than its last two bytes."""
    image.draft(None, at_least) if at_least else None
    try:
        image.load()
        closed = True
    except OSError as error:
        if "truncated" not in str(error):
            raise
        data, closed = data + END_OF_IMAGE, False
        image = _decoded_again(data, at_least)
    if closed and comes_at_once(data) and not _ends_grey(image):
        return image
    frame = jpeg_frame(data)
    if frame is None:
        return image
    if lacks_scans(frame) or _decoded_again(with_more_behind(data, frame), at_least).tobytes() != image.tobytes():
        raise _Refused(INCOMPLETE)
    return image


def _decoded_again(data: bytes, at_least: tuple[int, int] | None) -> Image.Image:
    image = Image.open(_TimedReader(data), formats=("JPEG",))
    image.draft(None, at_least) if at_least else None
    image.load()
    return image


def _ends_grey(image: Image.Image) -> bool:
    """Whether the last corner has the grey of rows that are not there."""
    last = image.getpixel((image.width - 1, image.height - 1))
    return all(127 <= value <= 129 for value in (last if isinstance(last, tuple) else (last or 0,)))


def _reduced(image: Image.Image, at_least: tuple[int, int]) -> Image.Image:
    factor = min(image.width // at_least[0], image.height // at_least[1])
    return image.reduce(factor) if factor > 1 else image


def _swapped(size: tuple[int, int]) -> tuple[int, int]:
    return size[1], size[0]


def _check_pixels(image: Image.Image) -> None:
    """Refuse what would be too large in memory; a TIFF's tile may be larger than its image."""
    width, height = image.size
    tags = getattr(image, "tag_v2", {})
    if width * height > MAX_PIXELS:
        raise _Refused(_too_large(f"{width} x {height}"))
    if tags.get(322, 0) * tags.get(323, 0) > MAX_PIXELS:
        raise _Refused(_too_large("too many"))


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1


def _turn_upright(image: Image.Image) -> None:
    with contextlib.suppress(Exception):  # the pixels turn before anything in a damaged EXIF block can fail
        ImageOps.exif_transpose(image, in_place=True)


def _rgb(image: Image.Image) -> Image.Image:
    """RGB in sRGB over white, without metadata."""
    profile = image.info.get("icc_profile")
    if image.mode in SIXTEEN_BIT:
        bits = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (16,))[0]  # a TIFF may have 12
        image = Image.fromarray((np.asarray(image) >> (bits - 8)).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise _Refused(f"holds 32-bit measurements (Pillow's mode {image.mode}), not a photo. {ACCEPTED}")
    if not image.has_transparency_data:
        rgb = _srgb(image, profile)
    else:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        rgb = _srgb(image, profile)
        rgb.paste("white", mask=ImageChops.invert(image.getchannel("A")))
    rgb.info = {}
    return rgb


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            return converted or image.convert("RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return image.convert("RGB")
