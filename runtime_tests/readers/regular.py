"""Opening files that somebody names: a pipe would wait for ever, and a device has no end. And their digests."""

from __future__ import annotations

import errno
import hashlib
import stat
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path


def open_regular(path: Path) -> BufferedReader:
    """Opens a regular file, or a link to one, for reading.

    Raises:
        OSError: as ``open``, and for everything that is no regular file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return path.open("rb")


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file.

    Raises:
        OSError: as ``open_regular``.
    """
    with open_regular(path) as file:
        return file.read()


def listing_sha256(digests: Mapping[str, str]) -> str:
    """Hex SHA-256 of the lines that ``sha256sum`` prints of files, by name: one digest for several files.

    Args:
        digests: hex SHA-256 of each file, by name.
    """
    lines = (f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file.

    Raises:
        OSError: as ``open_regular``.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
