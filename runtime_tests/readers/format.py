"""What the judge has to know of a checkpoint's format, and which one a checkpoint has: its ``quant_method`` says so.

A format is a module of ``runtime_tests.readers.formats``; nothing else lists it. How transformers loads such a
checkpoint is its own affair: the reference is made by its loader.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import InputError

FORMATS = "runtime_tests.readers.formats"
Storage = Literal["integers", "rounded lattice"]


@dataclass(frozen=True)
class Packed:
    """A quantized matrix.

    Attributes:
        key: its module path.
        bits: 2, 4 or 8.
        rows: number of rows.
        groups: scales per row.
        names: stored names of the codes and of the scales.
    """

    key: str
    bits: int
    rows: int
    groups: int
    names: tuple[str, str]


class Stored(Protocol):
    """What a format asks of an opened checkpoint; see ``readers/checkpoint.py``."""

    config: dict[str, Any]

    @property
    def names(self) -> dict[str, str]: ...

    @property
    def names_prefix(self) -> str: ...

    def shape(self, key: str) -> tuple[int, ...]: ...

    def stored(self, key: str, start: int, stop: int) -> NDArray[Any]: ...


class Format(Protocol):
    """A module of ``runtime_tests.readers.formats``.

    Attributes:
        METHOD: the ``quant_method`` in config.json that says so; None: it has none.
        STATIC_ACTIVATIONS: whether activations are rounded, by scales that were found in training.
        STORAGE: what stands for a text weight: integers and scales, or floats that are the rounding of such a lattice.
    """

    METHOD: str | None
    STATIC_ACTIVATIONS: bool
    STORAGE: Storage

    def packed(self, folder: Stored) -> dict[str, Packed]:
        """Quantized matrices by module path; empty where floats are stored."""

    def codes(self, folder: Stored, packed: Packed, start: int, stop: int, columns: int) -> NDArray[np.int8]:
        """Codes of rows ``start:stop``, ``int8 [rows, columns]``."""


@cache
def all_formats() -> dict[str, Format]:
    """Every format by name, sorted."""
    names = sorted(module.name for module in iter_modules(import_module(FORMATS).__path__))
    return {name: cast(Format, import_module(f"{FORMATS}.{name}")) for name in names}


def find_format(config: dict[str, Any], where: str) -> tuple[str, Format]:
    """Name and module of the format that a config.json states.

    Raises:
        InputError: none that is known; ``where`` says in which file.
    """
    quantization = config.get("quantization_config") or {}
    method = quantization.get("quant_method") if isinstance(quantization, dict) else quantization
    for name, found in all_formats().items():
        if method == found.METHOD:
            return name, found
    known = " and ".join(f"{found.METHOD or 'none'} ({name})" for name, found in all_formats().items())
    raise InputError(f"{where}: quant_method {method}; the judge knows {known}")
