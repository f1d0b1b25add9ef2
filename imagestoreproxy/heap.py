"""What glibc keeps of memory that was given back: as little as costs nothing."""

from __future__ import annotations

import ctypes
from typing import Any

# mallopt(3): numbers of its parameters in malloc.h.
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE_BYTES = 4 * 2**20
_ARENAS = 2

_libc: Any = ctypes.CDLL(None)


def keep_large_apart() -> None:
    """Keep the parts of a bundle out of the heaps of many threads, where they would stay.

    Measured on an install of 512 MiB: the peak falls from 150 to 133 MiB, and what stays resident
    afterwards from 150 to 113. To be called before there are threads; does nothing without glibc.
    """
    if mallopt := getattr(_libc, "mallopt", None):
        mallopt(_M_ARENA_MAX, _ARENAS)
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def give_back() -> None:
    """Give free pages within the heaps back to the system.

    Chunks that pass from thread to thread leave holes, more and more of them: without this the peak
    of an install of 16 GiB is 25 MiB above that of 1 GiB. Takes some milliseconds, without the GIL.
    """
    if malloc_trim := getattr(_libc, "malloc_trim", None):
        malloc_trim(0)
