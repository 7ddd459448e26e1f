"""Decode strangers' photos outside the server: in processes that know nothing of it, can open nothing, and may die.

The first rule of Pillow's security handbook (https://pillow.readthedocs.io/en/stable/handbook/security.html). Such a
process is a fresh interpreter without the server's environment. It reads a photo from its standard input, decodes it
with `core.images.decode.decode_photo` and writes the pixels to its standard output. Once it is ready it cannot open a
file or a connection (Linux, macOS) nor take more than MEMORY (Linux). One that stops or takes too long is replaced: the
one photo is refused, and nobody else notices.
"""

from __future__ import annotations

import atexit
import codecs
import contextlib
import hashlib
import json
import logging
import os
import queue
import struct
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from threading import Lock, Timer
from typing import IO, Any

from PIL import Image

from core.errors import UnreadablePhoto
from core.images.decode import MAX_BYTES, MAX_PIXELS, MAX_SECONDS, Photo, damaged, decode_photo, display_name, too_slow

PROCESSES = min(4, max(2, os.cpu_count() or 1))
MEMORY = 2 * 2**30  # bytes of addresses, libraries included
PATIENCE = MAX_SECONDS + 2  # seconds; a decoder that looks at the clock has refused the photo by then
REQUEST = struct.Struct("!IIII")  # lengths of name and photo in bytes, then width and height that are enough, 0 for all
REPLY = struct.Struct("!II")  # lengths of a JSON object and of the pixels in bytes
LARGEST_REPLY = 2**16  # bytes of JSON
NEEDED = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")  # of the environment, to start an interpreter
ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger(__name__)
_starting = Lock()  # else two visitors who come first start twice as many


def start() -> None:
    """Let the processes start, so that they are ready when the first photo comes."""
    _decoders()


def decode_apart(data: bytes, name: str = "", at_least: tuple[int, int] | None = None) -> Photo:
    """`core.images.decode.decode_photo` in another process; safe to call from several threads, of which PROCESSES are served at once.

    Raises:
        UnreadablePhoto: as decode_photo, and for a photo at which the process stopped or would not end.
    """
    if not data or len(data) > MAX_BYTES:
        return decode_photo(data, name, at_least)  # which refuses it unread
    waiting = _decoders()
    decoder = waiting.get()
    try:
        return decoder.decode(data, name, at_least)
    finally:
        waiting.put(decoder)


def _decoders() -> queue.SimpleQueue[_Decoder]:
    """Those that wait for a photo."""
    with _starting:
        return _started()


@cache
def _started() -> queue.SimpleQueue[_Decoder]:
    decoders: queue.SimpleQueue[_Decoder] = queue.SimpleQueue()
    for _ in range(PROCESSES):
        decoder = _Decoder()
        atexit.register(decoder.end)
        decoders.put(decoder)
    return decoders


class _Decoder:
    """One process, and the next one when it has ended."""

    def __init__(self) -> None:
        self._process = _new_process()

    def decode(self, data: bytes, name: str, at_least: tuple[int, int] | None) -> Photo:
        if self._process.poll() is not None:
            self._replace()
        begun, overdue = time.monotonic(), Timer(PATIENCE, self._stop)
        overdue.start()
        try:
            return self._ask(data, display_name(name), at_least)
        except UnreadablePhoto:
            raise
        except Exception as error:  # it stopped or makes no sense: what it says next would not be of the next photo
            self._replace()
            log.warning("a decoder was given up at %s: %r", hashlib.sha256(data).hexdigest(), error)
            late = time.monotonic() - begun >= PATIENCE
            raise (too_slow(name) if late else damaged(data, name)) from error
        finally:
            overdue.cancel()
            overdue.join()  # one that stops the process at this very moment has done so when the next photo comes

    def _ask(self, data: bytes, name: str, at_least: tuple[int, int] | None) -> Photo:
        to, answers = _pipes(self._process)
        encoded = name.encode()
        to.write(REQUEST.pack(len(encoded), len(data), *(at_least or (0, 0))) + encoded)
        to.write(data)
        to.flush()
        length, pixels = REPLY.unpack(_exactly(answers, REPLY.size))
        if length > LARGEST_REPLY or pixels > 3 * MAX_PIXELS:
            raise ValueError(f"a reply of {length} and {pixels} bytes")
        told: dict[str, Any] = json.loads(_exactly(answers, length))
        if "refused" in told:
            raise UnreadablePhoto(str(told["refused"]))
        (width, height), (full_width, full_height) = told["image"], told["size"]
        if width * height * 3 != pixels:  # before so much is allocated
            raise ValueError(f"{pixels} bytes for {width} x {height} pixels")
        if not (0 < width <= full_width and 0 < height <= full_height and full_width * full_height <= MAX_PIXELS):
            raise ValueError(f"{width} x {height} pixels of {full_width} x {full_height}")
        image = Image.frombytes("RGB", (width, height), _exactly(answers, pixels))
        return Photo(
            image, name, str(told["format"]), hashlib.sha256(data).hexdigest(), int(full_width), int(full_height)
        )

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _replace(self) -> None:
        self.end()
        self._process = _new_process()

    def end(self) -> None:
        self._stop()
        for pipe in _pipes(self._process):
            with contextlib.suppress(OSError):  # what was not sent any more
                pipe.close()


def _new_process() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "core.images.sandbox"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={name: os.environ[name] for name in NEEDED if name in os.environ},
        start_new_session=True,  # a Ctrl-C in the server's terminal is the server's
    )


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin and process.stdout
    return process.stdin, process.stdout


def _exactly(stream: IO[bytes], size: int) -> bytes:
    """So many bytes. Raises BrokenPipeError if the other side has ended before."""
    data = stream.read(size)
    if len(data) != size:
        raise BrokenPipeError(f"{len(data)} of {size} bytes")
    return data


def serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Decode one photo after another, until no more are asked for."""
    while header := requests.read(REQUEST.size):
        name_length, length, *enough = REQUEST.unpack(header)
        name, data = requests.read(name_length).decode(), requests.read(length)
        told, pixels = _decoded(data, name, (enough[0], enough[1]) if any(enough) else None)
        text = json.dumps(told).encode()
        replies.write(REPLY.pack(len(text), len(pixels)) + text)
        replies.write(pixels)
        replies.flush()


def _decoded(data: bytes, name: str, at_least: tuple[int, int] | None) -> tuple[dict[str, Any], bytes]:
    try:
        photo = decode_photo(data, name, at_least)
        return {"format": photo.format, "size": photo.size, "image": photo.image.size}, photo.image.tobytes()
    except UnreadablePhoto as error:
        return {"refused": str(error)}, b""
    except MemoryError:
        return {"refused": str(damaged(data, name))}, b""


def restrict() -> None:
    """Give up opening files and connections, and taking more than MEMORY, for good; as far as the system has such limits."""
    Image.init()  # nothing can be imported later
    codecs.lookup("utf-8-sig")  # with which a refusal looks at text
    with contextlib.suppress(ImportError):
        import resource

        for what, limit in ((resource.RLIMIT_NOFILE, 0), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, MEMORY)):
            with contextlib.suppress(ValueError, OSError):  # macOS knows no limit of addresses
                resource.setrlimit(what, (limit, limit))


def main() -> None:
    """Serve whoever started this process; a library that prints does not write into the replies."""
    logging.basicConfig(level=logging.WARNING)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    restrict()
    serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
