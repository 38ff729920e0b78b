"""Gives memory that was freed back to the system.

The C library keeps what it once had for the next request. Between two rungs, or two layers of gigabytes, that is memory
which counts as ours and helps nobody.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc


def trim() -> None:
    """Frees what is unreachable, and hands free pages back where the C library can (glibc)."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
