"""Faults of the states that sliding layers keep as rings."""

from __future__ import annotations

from typing import Any

import numpy as np

from convert.model.symbol import concatenate
from tests.mutants.mutant import Build, Mutant
from tests.mutants.wrap import Inject, wrapped

KIND, TARGET = "ring", "coreml"
OPS = "convert.targets.coreml.ops.CoremlOps"


def _one_early(sound: Any, ops: Any, x: Any, rows: Any) -> Any:
    return sound(ops, x, rows - np.int32(1))


def _last_rows(sound: Any, ops: Any, x: Any, rows: Any) -> Any:
    """As a register is shifted: rows of padding push live ones out."""
    return x.narrow(2, x.shape[2] - rows.shape[0], rows.shape[0])


def _not_written(sound: Any, ops: Any, x: Any, rows: Any) -> Any:
    """A chunk of several is not kept."""
    return sound(ops, x, rows) if x.shape[2] == rows.shape[0] + 1 else x.narrow(2, 0, rows.shape[0])


def _looked_at_after(
    sound: Any, ops: Any, cache: Any, rows: Any, position: Any, axis: int, owner: int, part: str
) -> Any:
    found = sound(ops, cache, rows, position, axis, owner, part)
    if cache.ring is not None:
        seen, length = ops._seen[owner, part], cache.state.shape[2]
        new = seen.narrow(2, length, seen.shape[2] - length)
        ops._seen[owner, part] = concatenate([ops._rows(cache), new], dim=2)
    return found


def _too_short(sound: Any, *args: Any) -> Any:
    length = sound(*args)
    return None if length is None else length - 32


def _mutant(name: str, what: str, fault: Inject, *expected: str) -> Mutant:
    return Mutant(name, KIND, "mobile", what, expected or ("2a",), Build(fault), TARGET)


MUTANTS = (
    _mutant(
        "ring_written_one_early", "each row goes where the next one belongs", wrapped(f"{OPS}._gather", _one_early)
    ),
    _mutant("ring_takes_padding", "rows of padding overwrite live ones", wrapped(f"{OPS}._gather", _last_rows)),
    _mutant("ring_not_written_by_prefill", "prefill does not keep its rows", wrapped(f"{OPS}._gather", _not_written)),
    _mutant(
        "ring_looked_at_after_the_write",
        "a chunk's first tokens miss the rows that its last ones overwrite",
        wrapped(f"{OPS}.write_cache", _looked_at_after),
    ),
    _mutant(
        "ring_too_short",
        "a ring has fewer rows than the window",
        wrapped("convert.targets.coreml.rings.ring_length", _too_short),
        "0",
        "2a",
    ),
)
