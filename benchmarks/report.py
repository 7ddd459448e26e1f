"""What all benchmarks of speed have in common: a row of their table, and the line that says where it was measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

PACKAGES = ("torch", "onnxruntime", "numpy", "streamlit")


class Row(NamedTuple):
    """One line of the table.

    Args:
        claim: what is measured.
        measured: with its unit and spread.
        aim: what it is to be; empty if it only explains another line.
    """

    claim: str
    measured: str
    aim: str = ""


def spread(values: ArrayLike, unit: str, digits: int = 1) -> str:
    """Median of repeated measurements, and where the middle four fifths of them lie."""
    low, middle, high = np.percentile(values, [10, 50, 90])
    return f"{middle:.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f})"


def percentages(shares: ArrayLike) -> str:
    """The same of shares in [0, 1]."""
    low, middle, high = np.percentile(shares, [10, 50, 90])
    return f"{middle:.0%} ({low:.0%} to {high:.0%})"


def machine() -> str:
    """Processor, cores, versions and date, as one line."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return (
        f"{os.cpu_count()} cores of {_processor()}, {platform.system()}, Python {platform.python_version()}, {versions}; "
        f"{datetime.now(UTC):%Y-%m-%d}"
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return named[1] if named else platform.machine()


def markdown(rows: Iterable[Row]) -> str:
    """The table as Markdown."""
    lines = [("what", "measured", "aim"), ("---",) * 3, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def show(rows: Iterable[Row]) -> None:
    """Print rows as they come, in columns."""
    for claim, measured, aim in rows:
        print(f"{claim:52} {measured:32} {aim and f'aim: {aim}'}", flush=True)
