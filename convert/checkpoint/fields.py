"""Typed access to the fields of a configuration that nobody vouches for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convert.checkpoint.strict_json import shown
from convert.errors import CheckpointError

_LIMIT = 1 << 31
_MISSING = object()


@dataclass(frozen=True)
class Fields:
    """An object from config.json. Every accessor refuses a value of the wrong type or range by the field's name.

    Attributes:
        values: the parsed object.
        path: where it stands, for messages, for example ``config.json: text_config``.
        asked: what the user wanted.
    """

    values: Mapping[str, Any]
    path: str
    asked: str

    def fail(self, name: str, wanted: str) -> CheckpointError:
        """The refusal of a field: what it is and what it would have to be."""
        found = f"is {shown(self.values[name])}" if name in self.values else "is missing"
        return CheckpointError(self.asked, f"{self.path}: {name} {found}", f"It must be {wanted}")

    def integer(self, name: str, default: int | None = None, low: int = 1) -> int:
        """A whole number from ``low`` to 2**31; without a default the field is required."""
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= _LIMIT:
            raise self.fail(name, f"a whole number from {low} to {_LIMIT}")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """A finite number above 0; without a default the field is required."""
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(name, "a number above 0")
        # A whole number may be too large for a float.
        if isinstance(value, int) and value > 1 << 63:
            raise self.fail(name, "a number above 0 and below 2**63")
        if not math.isfinite(value) or value <= 0:
            raise self.fail(name, "a finite number above 0")
        return float(value)

    def boolean(self, name: str, default: bool) -> bool:
        value = self.values.get(name, default)
        if not isinstance(value, bool):
            raise self.fail(name, "true or false")
        return value

    def choice(self, name: str, allowed: tuple[str | None, ...], default: str | None = None) -> str | None:
        """One of a few words; None stands for null or for a field that is not there."""
        value = self.values.get(name, default)
        if not (value is None or isinstance(value, str)) or value not in allowed:
            raise self.fail(name, " or ".join("null" if word is None else repr(word) for word in allowed))
        return value

    def object(self, name: str) -> Fields:
        value = self.values.get(name, _MISSING)
        if not isinstance(value, dict):
            raise self.fail(name, "an object")
        return Fields(value, f"{self.path}.{name}" if " " in self.path else f"{self.path}: {name}", self.asked)

    def has(self, name: str) -> bool:
        """The field is there and not null."""
        return self.values.get(name) is not None
