"""How one process serves many visitors: whose turn it is, and what becomes of freed memory."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import sys

from core.turns import Turns

M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
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
