"""Writing reports: whole or not at all, and never in the place of something that is no report."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

from runtime_tests.errors import InputError

_LIMIT = 256 << 20


def is_parity(content: bytes) -> bool:
    """Whether a file is a ``parity.json``."""
    return _has(content, {"schema_version", "artifact", "rungs"})


def is_page(content: bytes) -> bool:
    """Whether a file is a report's page."""
    return content.lstrip().startswith(b"<!DOCTYPE html>") and b"<title>Parity of " in content[:4096]


def is_golden(content: bytes) -> bool:
    """Whether a file is a ``golden.json``."""
    return _has(content, {"schema_version", "goldens"})


def _has(content: bytes, keys: set[str]) -> bool:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and keys <= found.keys()


def check(path: Path, ours: Callable[[bytes], bool], what: str) -> None:
    """Refuses a path where no report can be written, or where something else lies.

    Args:
        ours: whether a file's content is an older report of the same kind; an empty file is replaced as well.
        what: the kind, for the message.

    Raises:
        InputError: says what is there.
    """
    if not path.parent.is_dir():
        raise InputError(f"{path}: its folder does not exist")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: nothing can be written into its folder")
    if not os.path.lexists(path):
        return
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: is no regular file, and is neither replaced nor written to")
    try:
        if status.st_size and (status.st_size > _LIMIT or not ours(path.read_bytes())):
            raise InputError(f"{path}: is a file that is not {what}, so it is not replaced; give another path")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def write(path: Path, text: str) -> None:
    """Writes a file beside ``path`` and puts it in its place.

    Raises:
        InputError: the disk is full or the folder cannot be written to; ``path`` is as it was.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)  # of a run that was killed
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            file.write(text.encode())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
