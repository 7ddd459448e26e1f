"""Decoding a photo for the network, measured side by side: what the product does, and other decoders.

    python -m benchmarks.decode

Phone photos of 12 megapixels as JPEG (plain and progressive), HEIC and AVIF, and a photo as the catalogue has them,
drawn in code with noise. Each way ends with pixels at least as large as the network can use. Ours decodes a JPEG at a
reduced scale (Pillow's draft mode, libjpeg-turbo beneath it), simplejpeg does the same with libjpeg-turbo's own
interface, Pillow in full and torchvision in full and reduce it afterwards. Times are the processor's, of one thread,
so that other work on the machine changes them little; what counts is the ratio in each round.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator

import numpy as np
import simplejpeg
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2.functional import resize

from benchmarks.report import Row, machine, show, spread
from core import Classifier
from core.images.decode import decode_photo
from core.samples import garments

ROUNDS = 7
PHONE, CATALOGUE = (3024, 4032), (60, 80)
WARM_UP = 1

Way = Callable[[bytes, tuple[int, int]], object]


def photo(size: tuple[int, int], kind: str, **options: object) -> bytes:
    """An encoded photo of a drawn garment with sensor noise."""
    noise = Image.effect_noise(size, 20).convert("RGB")
    buffer = io.BytesIO()
    Image.blend(garments.sample("Tshirts").resize(size), noise, 0.1).save(buffer, kind, **options)
    return buffer.getvalue()


def with_pillow(data: bytes, enough: tuple[int, int]) -> Image.Image:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.thumbnail(enough)
    return image


def with_torchvision(data: bytes, enough: tuple[int, int]) -> torch.Tensor:
    image = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)
    return resize(image, [enough[1], enough[0]])


def with_simplejpeg(data: bytes, enough: tuple[int, int]) -> np.ndarray:
    return simplejpeg.decode_jpeg(data, min_width=enough[0], min_height=enough[1], min_factor=1, fastdct=False)


def ours(data: bytes, enough: tuple[int, int]) -> Image.Image:
    return decode_photo(data, at_least=enough).image


WAYS: dict[str, Way] = {"Pillow in full": with_pillow, "torchvision": with_torchvision, "simplejpeg": with_simplejpeg}


def milliseconds(ways: list[Way], data: bytes, enough: tuple[int, int]) -> np.ndarray:
    """Of the processor, (rounds, ways)."""
    rows = np.zeros((ROUNDS, len(ways)))
    for row in rows:
        for i, way in enumerate(ways):
            for _ in range(WARM_UP + 1):
                start = time.process_time()
                way(data, enough)
                row[i] = 1000 * (time.process_time() - start)
    return rows


def rows(enough: tuple[int, int]) -> Iterator[Row]:
    """A row for our way with each kind of photo, and one for each other that can read it."""
    for name, size, kind, options in (
        ("phone, JPEG", PHONE, "JPEG", {"quality": 90}),
        ("phone, progressive JPEG", PHONE, "JPEG", {"quality": 90, "progressive": True}),
        ("catalogue, JPEG", CATALOGUE, "JPEG", {"quality": 90}),
        ("phone, HEIC", PHONE, "HEIF", {"quality": 60}),
        ("phone, AVIF", PHONE, "AVIF", {"quality": 60, "speed": 9}),
    ):
        others = WAYS if kind == "JPEG" else {"Pillow in full": with_pillow}
        times = milliseconds([ours, *others.values()], photo(size, kind, **options), enough)
        yield Row(f"{name}: ours", spread(times[:, 0], "ms"))
        for column, other in enumerate(others, 1):
            yield Row(f"{name}: {other}", f"{spread(times[:, column] / times[:, 0], 'times as long')}")


def main() -> None:
    torch.set_num_threads(1)
    print(machine())
    show(rows(Classifier.load().enough))


if __name__ == "__main__":
    main()
