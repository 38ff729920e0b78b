"""Hooks of ``json.loads`` for files that nobody vouches for: what readers of JSON understand in different ways."""

from __future__ import annotations

from typing import Any

_SHOWN = 160


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which no key stands twice: some readers take the first one, some the last.

    Raises:
        ValueError: names the key.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"key {repr(twice)[:_SHOWN]} occurs twice")
    return found


def refuse(constant: str) -> float:
    """NaN and infinity, which JSON does not have.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{constant} is not JSON")
