"""What kind of file bytes are, for the message about one that is no readable photo."""

from __future__ import annotations

import codecs
import unicodedata

ACCEPTED = "Accepted are JPEG, PNG, WebP, HEIC, AVIF, BMP, TIFF and GIF."
DAMAGED = "Only part of it is there, or it was altered. Copy or download it again, or save it anew as JPEG or PNG."


# First bytes of files that are no photo, and of photos (for the message about a damaged one).
_SIGNATURES = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"PK\x03\x04", "a zip archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"8BPS", "a Photoshop document"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_PHOTO_SIGNATURES = (
    (b"\xff\xd8", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"GIF8", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
)
HEIF_BRANDS = (
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevm",
    b"hevs",
    b"hevx",
    b"mif1",
    b"mif2",
    b"mif3",
    b"msf1",
)
AVIF_BRANDS = (b"avif", b"avis")


def likeness(data: bytes) -> str:
    """What bytes that are no readable photo look like, as the end of a sentence, and what to do: "a PDF document, not a photo. …"."""
    head = data[:1024]
    kind = _photo_kind(head)
    return f"a damaged {kind} photo. {DAMAGED}" if kind else f"{_other_kind(head)}. {ACCEPTED}"


def _photo_kind(head: bytes) -> str:
    """Which format of photo bytes begin as, empty if as none."""
    for signature, kind in _PHOTO_SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    return "HEIC" if brand in HEIF_BRANDS else "AVIF" if brand in AVIF_BRANDS else ""


def _other_kind(head: bytes) -> str:
    """Which kind of file that is no photo."""
    if head[:4] == b"RIFF":
        return "a sound or a video, not a photo"
    if head[4:8] == b"ftyp":
        return "a video, not a photo"
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return f"{kind}, not a photo"
    return _text_kind(head) or "of no format known here"


def _text_kind(head: bytes) -> str:
    """Which kind of text, empty if it is none."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head).strip().lower()
    except UnicodeDecodeError:
        return ""
    if any(unicodedata.category(c) == "Cc" and not c.isspace() for c in text):
        return ""
    if "%pdf" in text:
        return "a PDF document, not a photo"
    if "<svg" in text:
        return "an SVG drawing, not a photo"
    if text.startswith(("<!doctype html", "<html")):
        return "an HTML page, not a photo"
    return "a text file, not a photo"
