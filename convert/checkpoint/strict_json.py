"""JSON from files that nobody vouches for: bounded, objects only, no key twice, no NaN."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from convert.errors import CheckpointError

CONFIG_LIMIT = 4 * 1024 * 1024
_SHOWN = 160


def shown(text: object) -> str:
    """A value from a file, shortened and escaped so that it fits a one-line message."""
    rendered = repr(text)
    return rendered if len(rendered) <= _SHOWN else rendered[:_SHOWN] + "..."


def parse_object(data: bytes, what: str, asked: str) -> dict[str, Any]:
    """Parses UTF-8 JSON that must be one object.

    Args:
        data: the bytes; the caller bounds their number.
        what: name of their origin, for messages.
        asked: what the user wanted.

    Raises:
        CheckpointError: not UTF-8, not JSON, nested too deeply, a key twice in one object, NaN or Infinity, no object.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for i, key in enumerate(keys) if key in keys[:i])
            raise ValueError(f"key {shown(twice)} occurs twice")
        return found

    def refuse(constant: str) -> float:
        raise ValueError(f"{constant} is not JSON")

    try:
        parsed = json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
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
        CheckpointError: missing, not a regular file, too large, or as ``parse_object``.
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
    return parse_object(path.read_bytes(), path.name, asked)
