"""Gives pages of mapped files back, so that reading a file of many gigabytes does not occupy as much memory."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAPS = Path("/proc/self/maps")
_PAGE, _DONTNEED = 4096, 4
_WORTHWHILE = 1 << 20


def release(*given: Any) -> None:
    """Forgets the pages of arrays or bytes that are views of mapped files; they are read again when they are looked at.

    Of memory that is no file's nothing is forgotten: its contents would be lost. Linux alone says which is which;
    elsewhere nothing happens.
    """
    views: list[NDArray[Any]] = [
        v if isinstance(v, np.ndarray) else np.frombuffer(v, np.uint8) for v in given if len(v)
    ]
    large = [view for view in views if view.nbytes >= _WORTHWHILE]
    if not large or not sys.platform.startswith("linux") or not _MAPS.exists():
        return
    mapped = _mapped_files()
    for view in large:
        start, stop = np.lib.array_utils.byte_bounds(view)
        first, last = -(-start // _PAGE) * _PAGE, stop // _PAGE * _PAGE
        if last > first and any(begin <= first and last <= end for begin, end in mapped):
            _libc().madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), _DONTNEED)


def release_file(path: Path) -> None:
    """Forgets the pages of a file that something in this process has mapped and nothing writes to."""
    if sys.platform.startswith("linux") and _MAPS.exists():
        for start, stop in _mapped_files(str(path)):
            _libc().madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), _DONTNEED)


def _mapped_files(name: str = "") -> list[tuple[int, int]]:
    """Address ranges of files in this process; of one file alone if it is named."""
    out = []
    for line in _MAPS.read_text("utf-8", "replace").splitlines():
        place, _, _, _, inode, *rest = line.split(maxsplit=5)
        if inode != "0" and (not name or rest == [name]):
            start, _, stop = place.partition("-")
            out.append((int(start, 16), int(stop, 16)))
    return out


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
