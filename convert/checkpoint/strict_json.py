"""JSON from files that nobody vouches for: bounded, objects only, no key twice, no NaN.

Not by pydantic's own parser, which takes the last of two keys.
"""

from __future__ import annotations

import codecs
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convert.errors import CheckpointError
from convert.json_hooks import once, refuse

CONFIG_LIMIT = 4 * 1024 * 1024
_SHOWN = 160


def shown(text: object) -> str:
    """A value from a file, shortened and escaped so that it fits a one-line message."""
    rendered = repr(text)
    return rendered if len(rendered) <= _SHOWN else rendered[:_SHOWN] + "..."


_MARKS = (
    (codecs.BOM_UTF8, "begins with a byte order mark"),
    (codecs.BOM_UTF16_LE, "is UTF-16 text"),
    (codecs.BOM_UTF16_BE, "is UTF-16 text"),
)


def decode(data: bytes, what: str, asked: str) -> str:
    """Text of a file that must be UTF-8 without a byte order mark, as every reader of such folders expects it.

    Raises:
        CheckpointError: it is not.
    """
    action = "Save it as UTF-8 without a byte order mark, or download it again"
    for mark, found in _MARKS:
        if data.startswith(mark):
            raise CheckpointError(asked, f"{what} {found}", action)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"{what} is not UTF-8 text: byte {data[error.start]:#04x} at {error.start}"
        raise CheckpointError(asked, found, action) from error


def parse_object(data: bytes, what: str, asked: str, whole: Callable[[str], int] = int) -> dict[str, Any]:
    """Parses UTF-8 JSON that must be one object.

    Args:
        data: the bytes; the caller bounds their number.
        what: name of their origin, for messages.
        asked: what the user wanted.
        whole: reads a whole number; ``ValueError`` refuses it.

    Raises:
        CheckpointError: not UTF-8, not JSON, nested too deeply, a key twice in one object, NaN or Infinity, no object.
    """
    text = decode(data, what, asked)
    try:
        parsed = json.loads(text, object_pairs_hook=once, parse_constant=refuse, parse_int=whole)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise CheckpointError(
            asked, f"{what} is not valid JSON: {reason[:_SHOWN]}", "Download the file again"
        ) from error
    if not isinstance(parsed, dict):
        raise CheckpointError(
            asked, f"{what} holds a {type(parsed).__name__}, not an object", "Download the file again"
        )
    return parsed


def read_object(path: Path, asked: str, limit: int = CONFIG_LIMIT) -> dict[str, Any]:
    """Reads a file of at most ``limit`` bytes that holds one JSON object.

    Raises:
        CheckpointError: as ``read_bytes`` and ``parse_object``.
    """
    return parse_object(read_bytes(path, asked, limit), path.name, asked)


def read_text(path: Path, asked: str, limit: int = CONFIG_LIMIT) -> str:
    """Reads a UTF-8 file of at most ``limit`` bytes.

    Raises:
        CheckpointError: as ``read_bytes`` and ``decode``.
    """
    return decode(read_bytes(path, asked, limit), path.name, asked)


def require(folder: Path, name: str, asked: str) -> None:
    """Refuses a folder that lacks a file which every instruction-tuned model has.

    Raises:
        CheckpointError: names the file.
    """
    if not (folder / name).exists():
        raise CheckpointError(asked, f"there is no {name}", f"Copy {name} from the model's repository into the folder")


def read_bytes(path: Path, asked: str, limit: int) -> bytes:
    """Reads a regular file of at most ``limit`` bytes.

    Raises:
        CheckpointError: missing, not a regular file, not readable, or too large.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise CheckpointError(asked, f"{path.name} is missing", "Give the folder that holds the checkpoint") from error
    if not stat.S_ISREG(status.st_mode):
        raise CheckpointError(asked, f"{path.name} is not a regular file", "Give the folder that holds the checkpoint")
    if status.st_size > limit:
        found = f"{path.name} is {status.st_size:,} bytes long; at most {limit:,} are read"
        raise CheckpointError(asked, found, "Check that the file is what its name says")
    try:
        return path.read_bytes()
    except OSError as error:
        found = f"{path.name} cannot be read ({error.strerror})"
        raise CheckpointError(asked, found, "Make the file readable") from error
