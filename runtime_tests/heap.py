"""Large arrays stay with the process: a kernel that clears the same pages again and again costs a fifth of all time.

glibc gives every block of some megabytes back as soon as it is free, and gets new, zeroed pages for the next one. A
pass of the reference makes thousands of such blocks.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # mallopt(3)
_KEPT = 256 << 20
# The same for a process of its own, as glibc's environment variables.
KEPT_BLOCKS = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(_KEPT)}


def keep_large_blocks() -> None:
    """From now on, free memory is given back only when there is much of it at once; does nothing outside glibc."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):
            library = ctypes.CDLL(None)
            library.mallopt(_MMAP_MAX, 0)
            library.mallopt(_TRIM_THRESHOLD, _KEPT)
