"""Fuzz what reads strangers' files, guided by the coverage of our code: `make fuzz`, or one target by

    python -m tests.fuzz.targets photo -max_total_time=300 FOLDER SEEDS  # FOLDER keeps the inputs found, SEEDS are of tests.fuzz.seeds

A photo or table must be read or be refused with a message; any other exception ends the run, and its input is written to `crash-…`.
libFuzzer's options are at https://llvm.org/docs/LibFuzzer.html#options.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["core", "PIL"]):
    from core.artifacts.tables import read_table
    from core.errors import GarmentError
    from core.images import containers
    from core.images.decode import decode_photo


def photo(data: bytes) -> None:
    """Decode bytes at their own size and reduced."""
    for at_least in (None, (32, 32)):
        with suppress(GarmentError):
            decode_photo(data, "x", at_least)


def structure(data: bytes) -> None:
    """Follow the structure of a photo's file, of which no function may raise."""
    containers.is_cut_short(data)
    containers.without_oddities(data)
    containers.comes_at_once(data)
    containers.is_lossless(data)
    if frame := containers.jpeg_frame(data):
        containers.lacks_scans(frame)


def table(data: bytes) -> None:
    """Read bytes as CSV and as Parquet."""
    for name in ("x.csv", "x.parquet"):
        with suppress(GarmentError):
            read_table(data, name)


TARGETS: dict[str, Callable[[bytes], None]] = {"photo": photo, "structure": structure, "table": table}


def main() -> None:
    """Run the target that the first argument names, with libFuzzer's options behind it."""
    logging.disable()  # each refusal is logged otherwise
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
