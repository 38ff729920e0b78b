"""JSON objects from files that nobody vouches for: bounded, UTF-8, no key twice, no NaN."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runtime_tests.errors import InputError
from runtime_tests.readers.regular import read_regular

LIMIT = 4 << 20  # bytes; of an index of shards, which names every tensor, more


def read_object(path: Path, limit: int = LIMIT) -> dict[str, Any]:
    """The one object that a file of at most ``limit`` bytes holds.

    Raises:
        InputError: missing, too large, not UTF-8, no JSON, a key twice in one object, NaN or Infinity, no object.
    """
    where = f"{path.parent.name}/{path.name}"
    try:
        size = path.stat().st_size
        if size > limit:
            raise InputError(f"{where}: {size} bytes long; at most {limit} are read")
        found = json.loads(read_regular(path).decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse)
    except FileNotFoundError as error:
        raise InputError(f"{path.parent.name}: no {path.name}") from error
    except RecursionError as error:
        raise InputError(f"{where}: cannot be read (nested too deeply)") from error
    except (ValueError, OSError) as error:
        raise InputError(f"{where}: cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise InputError(f"{where}: holds a {type(found).__name__}, not an object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice[:40]!r} occurs twice")
    return out


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
