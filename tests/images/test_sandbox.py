"""A photo decoded apart is the photo decoded here; whatever becomes of the process, one photo is refused and the next one is decoded."""

import io
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np
import psutil
import pytest
from PIL import Image, ImageCms

from core.errors import UnreadablePhoto
from core.images import sandbox
from core.images.decode import MAX_PIXELS, decode_photo
from core.images.sandbox import REPLY, REQUEST, decode_apart, serve

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


PHOTO = encoded("JPEG", "RGB")


@pytest.fixture
def another_process(monkeypatch):
    """Lets one decoder whose first process runs a script of ours, and the next ones are as always, take the place of all."""
    real, decoders = sandbox._new_process, SimpleQueue()

    def instead(script: str) -> None:
        monkeypatch.setattr(sandbox, "_new_process", lambda: run(script))
        decoders.put(sandbox._Decoder())
        monkeypatch.setattr(sandbox, "_decoders", lambda: decoders)
        monkeypatch.setattr(sandbox, "_new_process", real)

    yield instead
    decoders.get().end()


@pytest.fixture
def none_is_given_up(caplog):
    """Fails if a process ended over what it should be able to do; its photo would be refused in the same words as here."""
    yield
    assert not [record for record in caplog.get_records("call") if "given up" in record.getMessage()]


def run(script: str) -> subprocess.Popen:
    command = [sys.executable, "-c", f"import os, struct, sys, time\n{script}"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def replying(told: dict, pixels: int) -> str:
    text = json.dumps(told).encode()
    return f"os.write(1, {REPLY.pack(len(text), pixels) + text + bytes(min(pixels, 100))!r}); time.sleep(60)"


def same(one, other) -> bool:
    return one.image.tobytes() == other.image.tobytes() and all(
        getattr(one, field) == getattr(other, field) for field in ("size", "scale", "name", "format", "sha256")
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
    "script",
    [
        "sys.stdin.buffer.read(16); os.abort()",
        "sys.exit()",
        "os.write(1, b'rubbish ' * 99)",
        replying({"format": "JPEG", "size": [9, 9], "image": [9, 9]}, 2**31),
        replying({"format": "JPEG", "size": [9, 9], "image": [9, 9]}, 10),
        replying({"format": "JPEG", "size": [9, 9], "image": [10**6, 10**6]}, 30),
        replying({"format": "JPEG", "size": [0, 9], "image": [0, 9]}, 0),
        replying({"format": "JPEG", "size": [3, 3], "image": [3, 9]}, 81),
        replying({"format": "JPEG", "size": [10**6, 10**6], "image": [3, 3]}, 27),
        replying({"format": "JPEG"}, 0),
        replying({"format": "JPEG", "size": ["<b>", 9], "image": [1, 1]}, 3),
    ],
    ids=[
        "crash",
        "end",
        "rubbish",
        "too many pixels",
        "too few pixels",
        "pixels that are not there",
        "no pixels",
        "larger than itself",
        "larger than accepted",
        "no size",
        "strange size",
    ],
)
def test_a_process_that_stops_or_lies_costs_the_one_photo_only(another_process, script, caplog):
    another_process(script)
    with pytest.raises(UnreadablePhoto, match=r"^my photo.jpg is a damaged JPEG photo\. Only part of it is there"):
        decode_apart(PHOTO, "my photo.jpg")
    assert decode_photo(PHOTO).sha256 in caplog.text and "my photo" not in caplog.text
    assert same(decode_apart(PHOTO), decode_photo(PHOTO))


def test_a_decoder_that_does_not_end_is_ended(another_process, monkeypatch):
    another_process("time.sleep(600)")
    monkeypatch.setattr(sandbox, "PATIENCE", 0.3)
    with pytest.raises(UnreadablePhoto, match="^my photo.jpg takes more than 10 seconds to decode"):
        decode_apart(PHOTO, "my photo.jpg")
    monkeypatch.setattr(sandbox, "PATIENCE", 60)
    assert same(decode_apart(PHOTO), decode_photo(PHOTO))


def test_one_that_answers_just_as_its_time_is_up_costs_neither_this_photo_nor_the_next(monkeypatch):
    class UpWithTheAnswer(sandbox.Timer):
        def cancel(self) -> None:
            self.answered.set()

        def start(self) -> None:
            self.answered = threading.Event()
            super().start()

        def run(self) -> None:
            self.answered.wait()
            self.function()

    monkeypatch.setattr(sandbox, "Timer", UpWithTheAnswer)
    decoder = sandbox._Decoder()
    try:
        assert all(same(decoder.decode(PHOTO, "", None), decode_photo(PHOTO)) for _ in range(3))
    finally:
        decoder.end()


def test_one_that_ended_while_it_waited_is_replaced_before_the_next_photo(another_process):
    another_process("")
    time.sleep(0.5)
    assert same(decode_apart(PHOTO), decode_photo(PHOTO))


def test_everybody_gets_their_own_photo():
    photos = [encoded("PNG", "RGBA", (10 + n, 30)) for n in range(24)]
    with ThreadPoolExecutor(8) as visitors:
        for data, photo in zip(photos, visitors.map(decode_apart, photos), strict=True):
            assert same(photo, decode_photo(data))


@needs_limits
@pytest.mark.parametrize(
    ("attempt", "refusal"),
    [
        ("open('/etc/hostname')", "Too many open files"),
        ("__import__('socket').socket()", "Too many open files"),
        ("__import__('subprocess').run(['true'])", "Too many open files"),
        ("bytes(3 * 2**30)", "MemoryError"),
    ],
    ids=["file", "connection", "program", "memory"],
)
def test_what_a_photo_could_make_a_decoder_do_fails(attempt, refusal):
    script = f"import socket, subprocess; from core.images.sandbox import restrict; restrict(); {attempt}"
    done = subprocess.run([sys.executable, "-c", script], cwd=sandbox.ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and refusal in done.stderr


@needs_limits
def test_a_decoder_is_restricted_and_does_not_know_the_servers_environment(monkeypatch):
    monkeypatch.setenv("A_SECRET", "of the server")
    decoder = sandbox._Decoder()
    assert same(decoder.decode(PHOTO, "", None), decode_photo(PHOTO))
    process = psutil.Process(decoder._process.pid)
    assert "A_SECRET" not in process.environ()
    assert process.rlimit(psutil.RLIMIT_NOFILE) == (0, 0) and process.rlimit(psutil.RLIMIT_AS) == (sandbox.MEMORY,) * 2
    decoder.end()


def test_decoders_end_with_a_server_that_is_killed():
    script = "from core.images.sandbox import *; start(); decode_apart(sys.stdin.buffer.read()); os.write(1, b'!'); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", f"import os, sys, time\n{script}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=sandbox.ROOT,
    ) as server:
        server.stdin.write(PHOTO)
        server.stdin.close()
        assert server.stdout.read(1) == b"!"
        decoders = psutil.Process(server.pid).children()
        server.kill()
    gone, alive = psutil.wait_procs(decoders, timeout=30)
    assert len(gone) == sandbox.PROCESSES and not alive


def test_a_process_serves_one_photo_after_another_until_there_are_no_more():
    name = b"photo.jpg"
    asked = [REQUEST.pack(len(name), len(data), 0, 0) + name + data for data in (PHOTO, b"%PDF")]
    replies = io.BytesIO()
    serve(io.BytesIO(b"".join(asked)), replies)
    replies.seek(0)
    length, pixels = REPLY.unpack(replies.read(REPLY.size))
    assert json.loads(replies.read(length)) == {"format": "JPEG", "size": [60, 90], "image": [60, 90]}
    assert np.array_equal(np.frombuffer(replies.read(pixels), np.uint8), np.asarray(decode_photo(PHOTO).image).ravel())
    length, pixels = REPLY.unpack(replies.read(REPLY.size))
    assert "photo.jpg is a PDF document" in json.loads(replies.read(length))["refused"] and pixels == 0


def test_without_memory_for_a_photo_it_is_refused(monkeypatch):
    def out_of_memory(*_) -> None:
        raise MemoryError

    monkeypatch.setattr(sandbox, "decode_photo", out_of_memory)
    assert "is a damaged JPEG photo" in sandbox._decoded(PHOTO, "photo.jpg", None)[0]["refused"]
