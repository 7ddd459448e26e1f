"""What fuzzing begins with: a small drawing in every format, and small tables. `python -m tests.fuzz.seeds FOLDER` writes them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from pillow_heif import register_heif_opener

from core.samples.garments import sample
from tests.images.test_containers import lossless_jpeg

SIZE = (16, 16)
KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
TABLES = {
    "table.csv": "id,label,prediction\n1,Jeans,Jeans\n2,Tops,Jeans\n",
    "semicolons.csv": "id;label;Jeans;Tops\n1;Jeans;0,9;0,1\n",
}


def write(folder: Path) -> None:
    """Write one file of each kind."""
    register_heif_opener()
    folder.mkdir(parents=True, exist_ok=True)
    drawn = sample("Jeans").resize(SIZE)
    for kind in KINDS:
        drawn.save(folder / f"drawn.{kind.lower()}", kind)
    drawn.save(folder / "drawn-progressive.jpeg", "JPEG", progressive=True)
    (folder / "drawn-lossless.jpeg").write_bytes(lossless_jpeg(np.asarray(drawn.convert("L"))))
    for name, text in TABLES.items():
        (folder / name).write_text(text, encoding="utf-8")
    pd.DataFrame({"id": [1, 2], "label": ["Jeans", "Tops"], "prediction": ["Jeans", "Jeans"]}).to_parquet(
        folder / "table.parquet"
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]))
