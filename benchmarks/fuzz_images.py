"""Fuzz the decode guard: damaged photos of eight formats must each end as a photo or as an UnreadablePhoto.

    python benchmarks/fuzz_images.py --mutations 20000
    python benchmarks/fuzz_images.py --corpus pillow-13.0.0/Tests/images     # of Pillow's source distribution

Prints the counts by format, the slowest decode and the peak memory; exits with 1 if anything else was raised, if a decode took
more than 2 s, or if the process came to more than 1 GB. Mutation i of a seed is always the same, so a failure can be repeated
with `--seed S --first i --mutations 1`. Expect a few hundred mutations a second on one core, about half of them refused.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import logging
import resource
import sys
import time
import warnings
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from core.bulk.pipeline import Decode
from core.errors import UnreadablePhoto
from core.images.decode import MAX_PIXELS, decode_photo
from core.images.sandbox import decode_apart
from core.samples.garments import sample

MAX_DECODE_SECONDS = 2.0
MAX_MEMORY_MB = 1024
SMALL = (20, 20)  # pixels that are enough, of photos several times as large
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """A file of an image."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def valid_photos() -> dict[str, list[bytes]]:
    """Files of each accepted format, in the kinds that are decoded by different code."""
    image = sample("Shirts", size=(90, 120))
    exif = Image.Exif()
    exif[0x0112] = 6
    grey, palette, alpha = image.convert("L"), image.convert("P"), image.convert("RGBA")
    return {
        "JPEG": [
            encoded(image, "JPEG", exif=exif),
            encoded(image, "JPEG", progressive=True),
            encoded(image.convert("CMYK"), "JPEG"),
        ],
        "PNG": [encoded(image, "PNG"), encoded(palette, "PNG", transparency=3), encoded(grey.convert("I;16"), "PNG")],
        "WEBP": [encoded(image, "WEBP"), encoded(alpha, "WEBP", lossless=True)],
        "AVIF": [encoded(image, "AVIF", speed=10)],
        "HEIF": [encoded(image, "HEIF")],
        "BMP": [encoded(image, "BMP"), encoded(palette, "BMP")],
        "TIFF": [
            encoded(image, "TIFF"),
            *(encoded(image, "TIFF", compression=kind) for kind in ("tiff_lzw", "tiff_adobe_deflate", "jpeg")),
            encoded(grey.convert("1"), "TIFF", compression="group4"),
        ],
        "GIF": [encoded(palette, "GIF", save_all=True, append_images=[palette.rotate(9)], transparency=0)],
    }


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A copy with one to four damages: flipped bits, extreme numbers, missing, doubled or foreign stretches, a cut end."""
    damaged = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        if len(damaged) < 8:
            break
        # Most damage goes to the headers, where it does most.
        where = int(rng.integers(min(len(damaged), 512)) if rng.random() < 0.6 else rng.integers(len(damaged)))
        length = int(rng.integers(1, 64))
        match rng.integers(11) // 2:  # a cut end half as often as the others
            case 0:
                damaged[where] ^= 1 << int(rng.integers(8))
            case 1:
                size = int(rng.choice([1, 2, 4]))
                extreme = int(rng.choice(EXTREMES)) & (256**size - 1)
                damaged[where : where + size] = extreme.to_bytes(size, "little" if rng.random() < 0.5 else "big")
            case 2:
                del damaged[where : where + length]
            case 3:
                damaged[where:where] = damaged[where : where + length] * int(rng.integers(1, 20))
            case 4:
                damaged[where : where + length] = rng.bytes(length)
            case _:
                del damaged[where + length :]
    return bytes(damaged)


def resealed(png: bytes) -> bytes:
    """A damaged PNG with its checksums made right, so that the decoder behind them is reached."""
    out, at = bytearray(png), 8
    while at + 12 <= len(out):
        end = at + 8 + int.from_bytes(out[at : at + 4], "big")
        if end + 4 > len(out):
            break
        out[end : end + 4] = zlib.crc32(out[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(out)


@dataclass
class Report:
    """What came of the mutations: counts by (format, outcome), the slowest decode, and what must not have happened."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)

    def take(self, kind: str, name: str, data: bytes, at_least: tuple[int, int] | None = None) -> None:
        """Decode a file of a kind, whole or reduced, and note how it ended."""
        start = time.perf_counter()
        try:
            self.counts[kind, outcome(data, at_least)] += 1
        except Exception as error:
            self.failures.append(f"{name}: {error!r}")
        seconds = time.perf_counter() - start
        self.slowest = max(self.slowest, seconds)
        if seconds > MAX_DECODE_SECONDS:
            self.failures.append(f"{name}: {seconds:.1f} s")


def outcome(data: bytes, at_least: tuple[int, int] | None = None) -> str:
    """`decoded` or `refused`; any other exception is the caller's to report."""
    try:
        photo = decode_photo(data, "fuzz", at_least)
    except UnreadablePhoto:
        return "refused"
    sizes = [*zip(photo.image.size, photo.size, strict=True)]
    kept = all(0 < now <= full for now, full in sizes) if at_least else all(now == full for now, full in sizes)
    if photo.image.mode != "RGB" or not kept or photo.width * photo.height > MAX_PIXELS:
        raise AssertionError(f"not the RGB photo promised: {photo}")
    return "decoded"


def ending(decode: Decode, data: bytes) -> tuple[object, ...]:
    """All that a decoder says of a file."""
    try:
        photo = decode(data, "fuzz", None)
    except UnreadablePhoto as error:
        return (str(error),)
    return photo.image.tobytes(), photo.size, photo.format, photo.sha256


def fuzz(mutations: int, seed: int = 0, first: int = 0) -> Report:
    """Decode mutations `first` to `first + mutations - 1`, the formats in turn; every other round reduced, as visitors' photos are."""
    photos, report = valid_photos(), Report()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)  # Pillow's remarks on damaged metadata
        for i in tqdm(range(first, first + mutations), disable=None, mininterval=1):
            rng = np.random.default_rng([seed, i])
            kind = list(photos)[i % len(photos)]
            data = mutated(photos[kind][int(rng.integers(len(photos[kind])))], rng)
            if kind == "PNG" and rng.random() < 0.7:
                data = resealed(data)
            report.take(kind, f"mutation {i} ({kind})", data, SMALL if i // len(photos) % 2 else None)
    return report


def decode_corpus(folder: Path) -> Report:
    """Decode every file below a folder as it is, here and apart, which must end alike; counted by its suffix."""
    report = Report()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)
        for path in tqdm(sorted(path for path in folder.rglob("*") if path.is_file()), disable=None, mininterval=1):
            name, data = str(path.relative_to(folder)), path.read_bytes()
            report.take(path.suffix.lower(), name, data)
            if ending(decode_photo, data) != ending(decode_apart, data):
                report.failures.append(f"{name}: another end in a process of its own")
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--corpus", type=Path, metavar="FOLDER", help="decode the files below it instead")
    options = parser.parse_args()
    faulthandler.enable()
    logging.disable(logging.WARNING)  # each bomb that is refused
    report = decode_corpus(options.corpus) if options.corpus else fuzz(options.mutations, options.seed, options.first)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "linux" else 2**20)
    if memory > MAX_MEMORY_MB:
        report.failures.append(f"memory came to {memory} MB")
    for kind in dict.fromkeys(kind for kind, _ in report.counts):
        print(f"{kind:5} decoded {report.counts[kind, 'decoded']:6}  refused {report.counts[kind, 'refused']:6}")
    print(f"{report.counts.total()} files, slowest {1000 * report.slowest:.0f} ms, peak memory {memory} MB")
    print("\n".join(report.failures) or "no failures")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
