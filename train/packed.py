"""The file that `train.pack` writes: a Parquet table of photos at training size, which is given to `--data` alone.

Its columns are those of `train.dataset.Index.photos`, and `image`, the letterboxed photo as WebP.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
from PIL import Image

from core.errors import InvalidData
from core.files import replaced
from train.targets import ClassList

SUFFIX = ".parquet"
KEY = b"garment-lens"  # under which the table says what it was made from
ROWS = 512  # read at once


def write_pack(photos: pd.DataFrame, images: list[bytes], about: dict[str, Any], file: Path) -> None:
    """Write the table. Raises OSError if the disk is full or not writable."""
    table = pyarrow.Table.from_pandas(photos.assign(image=images), preserve_index=False)
    described = table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: json.dumps(about).encode()})
    with replaced(file) as partial:
        pyarrow.parquet.write_table(described, partial, compression="ZSTD")


def read_pack(path: Path, classes: ClassList) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The photos without their images, and what the file says of itself.

    Raises:
        InvalidData: it is another file, is damaged, or was made for other classes.
    """
    try:
        schema = pyarrow.parquet.read_schema(path)
        about = json.loads((schema.metadata or {})[KEY])
        columns = [name for name in schema.names if name != "image"]
        photos = pyarrow.parquet.read_table(path, columns=columns).to_pandas()
    except (OSError, KeyError, ValueError) as error:
        raise InvalidData(
            f"{path} is damaged, or no pack of photos ({error!r:.100}). Write it with the trainer's command `pack`."
        ) from None
    if about["classes"] != list(classes.labels.names):
        raise InvalidData(f"{path} was packed for other classes than the recipe has. Pack it again with that recipe.")
    return photos, about


def packed_images(path: Path, rows: np.ndarray) -> Iterator[Image.Image]:
    """The photos at these rows of the table, at the size that they were packed at."""
    column = pyarrow.parquet.read_table(path, columns=["image"]).column("image")
    return (_decoded(column[int(row)].as_py()) for row in rows)


def _decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=["WEBP"]).convert("RGB")


def packed_pixels(path: Path, height: int, width: int) -> Iterator[np.ndarray]:
    """Each photo, uint8 (height, width, 3), in the order of the table.

    Raises:
        InvalidData: the photos were packed smaller, or with another aspect ratio.
    """
    with pyarrow.parquet.ParquetFile(path) as table:
        packed_height, packed_width = json.loads(table.schema_arrow.metadata[KEY])["size"]
        if height > packed_height or height * packed_width != width * packed_height:
            raise InvalidData(
                f"{path} holds photos of {packed_height}x{packed_width}, and the recipe trains at {height}x{width}. Pack it "
                "again with that recipe."
            )
        for batch in table.iter_batches(ROWS, columns=["image"]):
            for value in batch.column(0):
                image = _decoded(value.as_py())
                yield np.asarray(
                    image if image.height == height else image.resize((width, height), Image.Resampling.BICUBIC)
                )
