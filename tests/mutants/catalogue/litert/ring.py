"""Faults of the caches that sliding layers keep as rings."""

from __future__ import annotations

from typing import Any

import numpy as np

from convert.model.symbol import binary, concatenate
from convert.targets.litert.ring import Kept
from tests.mutants.mutant import Build, Mutant
from tests.mutants.wrap import Inject, wrapped

KIND = "ring"
PACKAGE = "convert.targets.litert.ring"


def _padding_too(sound: Any, ring: Any, graph: Any, rows: int, positions: Any) -> None:
    first, length = positions, positions.shape[0]
    if length > 1:
        first = positions.narrow(0, 0, 1) + np.arange(length, dtype=np.int32)
    sound(ring, graph, rows, first)


def _one_late(sound: Any, ring: Any) -> Any:
    return sound(ring) + np.int32(1)


def _looked_at_after(sound: Any, ring: Any, cache: Any, rows: Any, axis: int, quantization: Any) -> Kept:
    found = sound(ring, cache, rows, axis, quantization)
    if rows.shape[axis] == 1:
        return Kept(found.state, found.state)
    return Kept(found.state, concatenate([found.state, rows], dim=axis))


def _row_for_position(sound: Any, ring: Any, newest: Any) -> Any:
    return newest * 0 + np.arange(ring.rows, dtype=np.int32) if ring._length == 1 else sound(ring, newest)


def _once(sound: Any, x: Any, other: Any) -> Any:
    """The remainder of numbers from ``-other`` to ``2 * other - 1``: all that one and a half rings ask for."""
    below, above = binary("less", x, 0, "bool").cast("int32"), binary("less", other - 1, x, "bool").cast("int32")
    return x + below * other - above * other


def _any_row(sound: Any, x: Any, other: Any) -> Any:
    return x if isinstance(other, int) and other == 0 else sound(x, other)


def _mutant(name: str, what: str, fault: Inject, *expected: str) -> Mutant:
    return Mutant(name, KIND, "mobile", what, expected or ("2a",), Build(fault))


MUTANTS = (
    _mutant(
        "ring_takes_padding", "rows of padding overwrite live ones", wrapped(f"{PACKAGE}.Ring.__init__", _padding_too)
    ),
    _mutant("ring_written_one_late", "decode's row goes one too far", wrapped(f"{PACKAGE}.Ring._row", _one_late)),
    _mutant(
        "ring_never_comes_round",
        "decode takes row j for position j for ever",
        wrapped(f"{PACKAGE}.Ring._held", _row_for_position),
    ),
    _mutant(
        "ring_comes_round_once",
        "positions beyond twice the ring are not turned back to it",
        wrapped("convert.model.symbol.Symbol.modulo", _once),
    ),
    _mutant(
        "ring_looked_at_after_the_write",
        "a chunk's first tokens miss the rows that its last ones overwrite",
        wrapped(f"{PACKAGE}.Ring.write", _looked_at_after),
    ),
    _mutant(
        "ring_rows_of_before",
        "rows that this conversation has not written are seen",
        wrapped("convert.model.symbol.Symbol.maximum", _any_row),
    ),
    _mutant(
        "ring_too_short",
        "the ring has fewer rows than the window",
        wrapped(
            "convert.targets.litert.cache_rows.ring_rows",
            lambda sound, config, context, ahead=0: sound(config, context, ahead) - 16,
        ),
        "0",
        "2a",
    ),
)
