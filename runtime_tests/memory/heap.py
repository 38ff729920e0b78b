"""Large arrays stay with a process: a kernel that clears the same pages again and again costs a fifth of all time.

glibc gives every block of some megabytes back as soon as it is free, and gets new, zeroed pages for the next one. The
eager decoder makes thousands of such blocks and nothing else, so it may keep them. The judge itself holds interpreters
and models one after the other: it keeps the free blocks between others alone, and hands those back between two of its
steps (``trim.py``). Its pages are large ones where the system has them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

# glibc's environment variables (mallopt(3)): no block has pages of its own, and much must be free to be given back.
KEPT_BLOCKS = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
# mallopt(3): M_TRIM_THRESHOLD and M_MMAP_THRESHOLD.
_TRIM, _MMAP = -1, -3
_LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"  # torch reads it when it first needs memory


def reuse() -> None:
    """Lets this process, where it runs on glibc, fill again what is free between other blocks, of up to a gigabyte."""
    os.environ.setdefault(_LARGE_PAGES, "1")
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError, TypeError):
            library = ctypes.CDLL(None)
            library.mallopt(_MMAP, 1 << 30)
            library.mallopt(_TRIM, 128 << 20)
