"""Which reader a checkpoint needs: the ``quant_method`` in config.json decides, or its absence."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pkgutil import iter_modules
from typing import Any, Protocol, cast

from convert.checkpoint import formats
from convert.checkpoint.fields import Fields
from convert.checkpoint.ledger import Ledger
from convert.checkpoint.outline import Outline
from convert.checkpoint.strict_json import shown
from convert.checkpoint.types import ActivationScales, CacheScales, FloatTensor, Stored
from convert.errors import CheckpointError
from convert.lattice import QuantTensor

_FIELD = "quantization_config"


@dataclass(frozen=True)
class Contents:
    """What a reader found of a module; see ``convert.checkpoint.types.Module`` for the fields."""

    stored: Stored
    quants: Mapping[str, QuantTensor]
    floats: Mapping[str, FloatTensor]
    activations: Mapping[str, ActivationScales]
    caches: Mapping[int, CacheScales]


class Reader(Protocol):
    """A module of ``convert.checkpoint.formats``: it reads one format.

    Attributes:
        METHOD: the ``quant_method`` in config.json that says so; None: it has none.
    """

    METHOD: str | None

    def read(self, ledger: Ledger, outline: Outline[Any], settings: Fields | None) -> Contents:
        """Takes every tensor that a module needs from the ledger; asked for each module of a checkpoint."""
        ...


def choose(text: Fields, whole: Fields) -> tuple[str, Fields | None]:
    """Name of the format and its ``quantization_config``, which stands at the top level or inside ``text_config``.

    Raises:
        CheckpointError: the quant_method is not one that is read, or two settings contradict each other.
    """
    holders = [fields for fields in (whole, text) if fields.has(_FIELD)]
    if len(holders) == 2 and whole.values[_FIELD] != text.values[_FIELD]:
        raise text.fail(_FIELD, "the same as the one at the top level, or left out")
    settings = holders[0].object(_FIELD) if holders else None
    if settings is None:
        return readers()[None], None
    method = settings.values.get("quant_method")
    if not isinstance(method, str) or method not in readers():
        found = f"{settings.path}: quant_method is {shown(method)}"
        stated = ", ".join(f"{method!r} ({name})" for method, name in readers().items() if method is not None)
        action = f"Read are {stated} and checkpoints without one ({readers()[None]})"
        if method == "compressed-tensors":
            action += ", which hold the same numbers: take the sibling repository ...-qat-mobile-transformers for a"
            action += " ...-qat-mobile-ct, and ...-qat-q4_0-unquantized for a ...-qat-w4a16-ct"
        raise CheckpointError(text.asked, found, action)
    return readers()[method], settings


def reader(name: str) -> Reader:
    """The module that reads a format, found by the format's name."""
    return cast(Reader, importlib.import_module(f"{formats.__name__}.{name}"))


@cache
def readers() -> dict[str | None, str]:
    """Names of the formats by the ``quant_method`` that says so."""
    return {reader(module.name).METHOD: module.name for module in iter_modules(formats.__path__)}
