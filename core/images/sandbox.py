"""Decode strangers' photos outside the server, each in a process of its own that the kernel confines.

The first rule of Pillow's security handbook (https://pillow.readthedocs.io/en/stable/handbook/security.html). Such a process knows
nothing of the server and of other photos; what it can do is in `core.confinement`.
If it crashes, the photo is tried once more, then refused.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

from PIL import Image

from core.confinement.kernel import Layer
from core.confinement.pool import Confined, Ended
from core.errors import UnreadablePhoto
from core.images.decode import (
    MAX_BYTES,
    MAX_PIXELS,
    MAX_SECONDS,
    NAMELESS,
    Photo,
    decode_photo,
    display_name,
    too_slow,
)
from core.images.encode import jpeg as encode_jpeg

PROCESSES = 1 + min(4, max(2, os.cpu_count() or 1))  # one visitor has all but one of them at most
MEMORY = 2 * 2**30  # bytes of addresses, libraries included
SECONDS = int(MAX_SECONDS) + 2  # of processor time, all threads together; decoding itself ends before
STOPPED = "could not be read: the program that decodes photos stopped at it, twice. Save it again as JPEG or PNG."
confined = Confined("core.images.sandbox:answer", PROCESSES, MEMORY, SECONDS, 3 * MAX_PIXELS)

Image.init()  # nothing can be imported once a process is confined
EXAMPLES = (  # what a process decodes before a photo comes
    ({"name": "", "at_least": [8, 8], "sha256": "0"}, encode_jpeg(Image.new("RGB", (48, 64)), 75)),
    ({"name": "", "at_least": None, "sha256": "0"}, b"no photo"),
)


def start() -> None:
    """Let the processes start, so that they are ready when the first photo comes."""
    confined.start()


def level() -> Layer:
    """What confines a photo's process on this machine."""
    return confined.level()


def decode_apart(
    data: bytes,
    name: str = "",
    at_least: tuple[int, int] | None = None,
    visitor: str = "",
    sha256: str | None = None,
) -> Photo:
    """`core.images.decode.decode_photo` in another process; safe to call from several threads.

    Args:
        data: as for decode_photo.
        name: as for decode_photo.
        at_least: as for decode_photo.
        visitor: whose photo it is; visitors who take little come before those who take much.
        sha256: as for decode_photo.

    Raises:
        UnreadablePhoto: as decode_photo, and for a photo at which the process stopped twice or would not end.
        Unconfined: the processes cannot be confined as the setting requires.
    """
    if not data or len(data) > MAX_BYTES:
        return decode_photo(data, name, at_least)  # which refuses it unread
    shown = display_name(name)
    sha256 = sha256 or hashlib.sha256(data).hexdigest()
    try:
        told, pixels = confined({"name": shown, "at_least": at_least, "sha256": sha256}, data, visitor)
    except Ended as error:
        raise (too_slow(name) if error.too_slow else _stopped(shown)) from error
    if "refused" in told:
        raise UnreadablePhoto(str(told["refused"]))
    try:
        return _photo(told, pixels, sha256, shown)
    except (ValueError, KeyError, TypeError) as error:
        raise _stopped(shown) from error


def _stopped(shown: str) -> UnreadablePhoto:
    return UnreadablePhoto(f"{shown or NAMELESS} {STOPPED}")


def _photo(told: dict[str, Any], pixels: bytearray, sha256: str, name: str) -> Photo:
    """The photo that a process says it decoded. Raises ValueError, KeyError or TypeError if that makes no sense."""
    (width, height), (full_width, full_height) = told["image"], told["size"]
    if not all(isinstance(side, int) for side in (width, height, full_width, full_height)):
        raise TypeError("sides that are no whole numbers")
    if not (0 < width <= full_width and 0 < height <= full_height and full_width * full_height <= MAX_PIXELS):
        raise ValueError(f"{width} x {height} pixels of {full_width} x {full_height}")
    image = Image.frombytes("RGB", (width, height), pixels)  # ValueError for too few or too many
    return Photo(image, name, display_name(str(told["format"])), sha256, full_width, full_height)


def answer(asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """What a confined process does: decode one photo."""
    at_least = asked["at_least"]
    try:
        photo = decode_photo(
            data, str(asked["name"]), (at_least[0], at_least[1]) if at_least else None, asked["sha256"]
        )
    except UnreadablePhoto as error:
        return {"refused": str(error)}, b""
    return {"format": photo.format, "size": photo.size, "image": photo.image.size}, photo.image.tobytes()
