"""What the structure of a photo's file says: whether all of it is there, and what a decoder need not see.

Decoders fill up what is missing with grey or green and call it a photo. None of these functions raises; what they cannot read they leave to
the decoder.
"""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from core.images.file_kind import AVIF_BRANDS, HEIF_BRANDS

JPEG, PNG, BMP = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"BM"
BMP_HEADER, BIT_FIELDS = struct.Struct("<2sIIIIiiHHIIIIII"), 3
USUAL_BITS = ((0xFF0000, 0xFF00, 0xFF), (0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F))
END_OF_IMAGE = b"\xff\xd9"
MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # within a scan: all but a data byte of FF and a restart
SCAN, END = 0xDA, 0xD9
WITH_TRANSPARENCY = 56  # bytes of a BMP's header that has a mask for it
FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)
PROGRESSIVE, ARITHMETIC = (0xC2, 0xC6, 0xCA, 0xCE), range(0xC9, 0xD0)
SHORTEST_JFIF = 16  # bytes of the segment with its length
FILLER = bytes((7 * n + n // 254) % 254 + 1 for n in range(600))  # entropy-coded data of no meaning, without an FF
LONGEST_TEXT = 2**20  # bytes, unpacked; Pillow refuses a PNG with a longer one
ALL_TEXTS = 2**24
BOXES = (b"ftyp", b"meta", b"mdat", b"moov", b"free", b"skip", b"mini")  # of a HEIC or AVIF file


class Scan(NamedTuple):
    """One scan of a JPEG: the place where its data end, and the last bit that it brings of which coefficients of which components."""

    end: int
    components: bytes
    first: int
    last: int
    bit: int


class Frame(NamedTuple):
    """A JPEG's frame: its marker, its components, its scans, and whether an end of the image follows them."""

    marker: int
    components: bytes
    scans: list[Scan]
    closed: bool


def without_oddities(data: bytes) -> bytes:
    """A photo without what Pillow trips over: long texts of a PNG, an empty JFIF segment, colours that a BMP puts in unusual bits."""
    if data.startswith(PNG):
        return _without_long_texts(data)
    if data.startswith(JPEG):
        return _without_empty_jfif(data)
    if data.startswith(BMP):
        return _with_usual_bits(data)
    return data


def is_cut_short(data: bytes) -> bool:
    """Whether the boxes of a HEIC or AVIF file, or the places where they say that the picture lies, go on behind its end."""
    if data[4:8] != b"ftyp" or not _brands(data) & {*HEIF_BRANDS, *AVIF_BRANDS}:
        return False
    try:
        for kind, start, end in _boxes(data, 0, len(data)):
            if kind in BOXES and end > len(data):
                return True
            if kind == b"meta" and _picture_end(data, start + 4, end) > len(data):
                return True
    except (struct.error, IndexError):
        pass
    return False


def comes_at_once(data: bytes) -> bool:
    """Whether a JPEG is of the simplest kind: one scan, Huffman-coded, that brings all of every component."""
    marker, components = 0, b""
    try:
        for kind, start, _ in _segments(data, 2):
            if kind in FRAMES:
                marker, components = kind, _components(data, start)
            if kind == SCAN:
                return marker in (0xC0, 0xC1) and data[start] == len(components)
    except (IndexError, ValueError, struct.error):
        pass
    return False


def is_lossless(data: bytes) -> bool:
    """Whether a JPEG is of the lossless kind, which libjpeg decodes at its full size only."""
    with contextlib.suppress(IndexError, ValueError):
        return any(kind in LOSSLESS for kind, _, _ in _segments(data, 2))
    return False


def _brands(data: bytes) -> set[bytes]:
    """What a file says that it is and is compatible with, in its first box."""
    end = min(int.from_bytes(data[:4], "big"), len(data))
    return {data[8:12]} | {data[place : place + 4] for place in range(16, end, 4)}


def jpeg_frame(data: bytes) -> Frame | None:
    """The structure of a JPEG's first image, None if it cannot be followed."""
    marker, components, scans, place = 0, b"", list[Scan](), 2
    try:
        while place < len(data):
            for kind, start, end in _segments(data, place):
                if kind == END:
                    return Frame(marker, components, scans, True)
                if kind in FRAMES:
                    marker, components = kind, _components(data, start)
                if kind == SCAN:
                    behind = MARKER.search(data, end)
                    place = behind.start() if behind else len(data)
                    scans.append(_scan(data, start, place))
    except (IndexError, ValueError, struct.error):
        return None
    return Frame(marker, components, scans, False) if scans else None


def _components(data: bytes, start: int) -> bytes:
    return data[start + 6 : start + 6 + 3 * data[start + 5] : 3]


def _scan(data: bytes, start: int, end: int) -> Scan:
    behind = start + 1 + 2 * data[start]
    first, last, bits = data[behind : behind + 3]
    return Scan(end, data[start + 1 : behind : 2], first, last, bits & 15)


def lacks_scans(frame: Frame) -> bool:
    """Whether a component, or coefficients that a progressive JPEG has begun to send, never come in full."""
    if not all(any(component in scan.components for scan in frame.scans) for component in frame.components):
        return True
    if frame.marker not in PROGRESSIVE:
        return False
    sent = {component: [-1] * 64 for component in frame.components}
    for scan in frame.scans:
        for component in scan.components:
            for coefficient in range(scan.first, min(scan.last, 63) + 1):
                sent.get(component, [0] * 64)[coefficient] = scan.bit
    only_averages = all(scan.last == 0 for scan in frame.scans)
    return any(bit != 0 for bits in sent.values() for bit in (bits[:1] if only_averages else bits))


def with_more_behind(data: bytes, frame: Frame) -> bytes:
    """A JPEG with meaningless data behind its last scan: the same picture if that scan is whole, another one if it is not."""
    return data[: frame.scans[-1].end].rstrip(b"\xff") + FILLER + END_OF_IMAGE


def _segments(data: bytes, place: int) -> Iterator[tuple[int, int, int]]:
    """Marker, start (behind its length) and end of each segment of a JPEG from a place on, up to a scan or the end of the image."""
    kind = 0
    while kind not in (SCAN, END):
        if data[place] != 0xFF:
            raise ValueError("no marker")
        while data[place] == 0xFF:
            place += 1
        kind, place = data[place], place + 1
        if kind in (0x01, 0xD8):
            continue
        start = place + 2
        if kind != END:
            place += int.from_bytes(data[place : place + 2], "big")
        yield kind, start, place


def _without_empty_jfif(data: bytes) -> bytes:
    if data[2:4] == b"\xff\xe0":
        length = int.from_bytes(data[4:6], "big")
        if length < SHORTEST_JFIF and data[6:10] == b"JFIF":
            return data[:2] + data[4 + length :]
    return data


def _with_usual_bits(data: bytes) -> bytes:
    """A BMP with 24 bits a pixel in the place of one whose 16 or 32 hold red, green and blue anywhere; one with transparency as it is."""
    try:
        *_, offset, size, width, height, planes, bits, kind, _, right, down, _, _ = BMP_HEADER.unpack_from(data)
        masks = struct.unpack_from("<4I", data, BMP_HEADER.size)
    except struct.error:
        return data
    rows, pixel = abs(height), f"<u{bits // 8}"
    stride = (width * bits + 31) // 32 * 4
    whole = width > 0 and 0 < stride * rows <= len(data) - offset
    if kind != BIT_FIELDS or bits not in (16, 32) or not whole or not all(masks[:3]) or masks[:3] in USUAL_BITS:
        return data
    if size >= WITH_TRANSPARENCY and masks[3]:
        return data
    values = np.frombuffer(data, pixel, stride * rows // (bits // 8), offset).reshape(rows, -1)[:, :width]
    colours = np.zeros((rows, (3 * width + 3) // 4 * 4), np.uint8)
    for place, mask in enumerate(reversed(masks[:3])):  # blue comes first
        lowest = mask & -mask
        colours[:, place : 3 * width : 3] = (values & mask) // lowest * np.uint64(255) // (mask // lowest)
    head = (b"BM", BMP_HEADER.size + colours.size, 0, BMP_HEADER.size, 40, width, height, planes, 24, 0, colours.size)
    return BMP_HEADER.pack(*head, right, down, 0, 0) + colours.tobytes()


def _without_long_texts(data: bytes) -> bytes:
    kept, since, place, unpacked = list[bytes](), 0, len(PNG), 0
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            size = _text_size(kind, data[place + 8 : end - 4]) if unpacked <= ALL_TEXTS else LONGEST_TEXT
            unpacked += size
            if size >= LONGEST_TEXT:
                kept.append(data[since:place])
                since = end
        if kind == b"IEND":
            break
        place = end
    return b"".join([*kept, data[since:]]) if kept else data


def _text_size(kind: bytes, content: bytes) -> int:
    """Bytes of a text unpacked, at most LONGEST_TEXT."""
    if kind == b"tEXt":
        return len(content)
    _, _, behind = content.partition(b"\0")
    packed = behind[1:]
    if kind == b"iTXt":
        if behind[:1] != b"\1":
            return len(content)
        packed = (behind[2:].split(b"\0", 2) + [b"", b""])[2]
    try:
        return len(zlib.decompressobj().decompress(packed, LONGEST_TEXT))
    except zlib.error:
        return 0


def _boxes(data: bytes, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of the content and end of each box, the end as the box says."""
    while place + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, place)
        start = place + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        behind = place + size if size else end
        if behind < start:
            return
        yield kind, start, behind
        place = behind


def _picture_end(data: bytes, start: int, end: int) -> int:
    """How far the extents reach that a `meta` box lists in its `iloc` box."""
    for kind, place, _ in _boxes(data, start, end):
        if kind == b"iloc":
            return max(_extent_ends(data, place), default=0)
    return 0


def _extent_ends(data: bytes, place: int) -> Iterator[int]:
    version, sizes = data[place], struct.unpack_from(">BB", data, place + 4)
    of_offset, of_length, of_base = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    of_index = sizes[1] & 15 if version else 0
    reader = _Numbers(data, place + 6)
    for _ in range(reader.next(2 if version < 2 else 4)):
        reader.next(2 if version < 2 else 4)
        method = reader.next(2) & 15 if version else 0
        elsewhere, base = reader.next(2), reader.next(of_base)
        for _ in range(reader.next(2)):
            reader.next(of_index)
            extent_end = base + reader.next(of_offset) + reader.next(of_length)
            if method == 0 and elsewhere == 0:
                yield extent_end


class _Numbers:
    """Whole numbers of several sizes, one after another."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place

    def next(self, size: int) -> int:
        found = self._data[self._place : self._place + size]
        if len(found) < size:
            raise IndexError("the box ends")
        self._place += size
        return int.from_bytes(found, "big")
