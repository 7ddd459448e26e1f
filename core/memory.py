"""What the C library does with freed memory, for a process that lives long and decodes photos in many threads."""

from __future__ import annotations

import ctypes
import platform

M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
LARGE = 2**20  # bytes; a photo's pixels are more, what else there is mostly less


def give_back_large_blocks() -> None:
    """Let blocks of LARGE bytes and more go back to the system as soon as they are freed.

    glibc raises that bound by itself as photos are freed, up to 32 MB, and from then on keeps their memory in pieces, for each thread's
    pool anew. Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)
