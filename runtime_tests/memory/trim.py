"""Gives memory that was freed back to the system.

The C library keeps what it once had for the next request. Between two rungs, or two layers of gigabytes, that is memory
which counts as ours and helps nobody.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc


def trim(search: bool = True) -> None:
    """Hands free pages back where the C library can (glibc).

    Args:
        search: first look for what is unreachable, which takes some tenths of a second.
    """
    if search:
        gc.collect()
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
