"""How one process serves many visitors: whose turn it is, what becomes of freed memory, and what nobody may make it do."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import platform
import sys

from starlette.exceptions import HTTPException
from streamlit import net_util
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from core.turns import Turns

M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
log = logging.getLogger(__name__)
LARGE = 2**20  # bytes; a photo's pixels are more, what else there is mostly less


def give_back_large_blocks() -> None:
    """Return blocks of LARGE bytes and more to the system as soon as they are freed.

    glibc raises that limit by itself, up to 32 MB, as photos are freed, and then keeps their memory in fragments in each thread's pool.
    Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)


# Visitors answered at once: one more than processors, for one may wait for the network. The others wait for their turn; all at once would
# all be late, each with a photo being decoded.
TURNS = 1 + (os.cpu_count() or 1)
MOST_WAITING = 100  # requests; the last of them waits about ten seconds
turns = Turns(range(TURNS), MOST_WAITING)


UPLOADS_OF_ONE = (
    420 * 2**20
)  # bytes that a session may have uploaded at once: two zip files of the largest size, and photos
UPLOADS_OF_ALL = 1600 * 2**20


class _LimitedUploads(MemoryUploadedFileManager):
    """Streamlit keeps uploads in memory and limits each; this limits them together, on the server."""

    def add_file(self, session_id: str, file: UploadedFileRec) -> None:
        """Keep a file. Raises HTTPException, which the browser shows as a failed upload, if there would be too many bytes."""
        of_one = sum(len(kept.data) for kept in self.file_storage.get(session_id, {}).values())
        of_all = sum(len(kept.data) for files in list(self.file_storage.values()) for kept in list(files.values()))
        if of_one + len(file.data) > UPLOADS_OF_ONE or of_all + len(file.data) > UPLOADS_OF_ALL:
            log.warning(
                "an upload of %d bytes is refused: its session holds %d, all hold %d", len(file.data), of_one, of_all
            )
            raise HTTPException(status_code=413, detail="Too much is uploaded already. Remove files, then try again.")
        _add_file(self, session_id, file)


_add_file = MemoryUploadedFileManager.add_file


def guard() -> None:
    """Change two things in Streamlit for which it has no settings.

    Uploads are limited together. And it never asks a service on the internet for its own address, which it does, while all wait, for each
    request from another site.
    """
    MemoryUploadedFileManager.add_file = _LimitedUploads.add_file  # pyright: ignore[reportAttributeAccessIssue]
    net_util.get_external_ip = lambda: None


guard()

_modules_seen = 0


def spare_collector() -> None:
    """After modules were loaded, exclude everything that exists now from Python's garbage collection.

    Streamlit collects after every run of a page, and all other pages wait meanwhile. With every module to search, that took longer than
    classifying a photo.
    """
    global _modules_seen
    if len(sys.modules) > _modules_seen:
        _modules_seen = len(sys.modules)
        gc.unfreeze()
        gc.collect()
        gc.freeze()
