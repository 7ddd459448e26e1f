"""Write files so that nobody ever finds half of one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


@contextmanager
def replaced(path: Path) -> Generator[Path]:
    """A path to write to; its file replaces `path` in one step once it is complete and on the disk.

    Readers find the old file or the new one, never a part of one, even after a crash.

    Raises:
        OSError: the disk is full or not writable; the old file stays, and no part of the new one.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except SafetensorError as error:  # its own type for a full disk
        raise OSError(f"{path}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Generator[Path]:
    """A folder to fill; it is called `path` once it is complete.

    Raises:
        OSError: the disk is full or not writable, or there is such a folder; no part of the new one stays.
    """
    partial = path.with_name(f".{path.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
