"""Faults of the branches by which attention reads the filled part of a cache alone."""

from __future__ import annotations

from typing import Any

from tests.mutants.mutant import Build, Mutant
from tests.mutants.wrap import wrapped

KIND = "filled"
PACKAGE = "convert.targets.litert.filled"


def _one_too_long(sound: Any, made: Any, *given: Any) -> None:
    sound(made, *given)
    made._tokens -= 1


def _moved(sound: Any, x: Any, axis: int, rows: int) -> Any:
    out = x.narrow(axis, min(16, x.shape[axis] - rows), rows)
    graph = x.value.graph
    graph.tensors[out.value.index].quantization = graph.tensors[x.value.index].quantization
    return out


def _mutant(name: str, what: str, place: str, fault: Any) -> Mutant:
    return Mutant(name, KIND, "mobile", what, ("2a",), Build(wrapped(f"{PACKAGE}.{place}", fault)))


MUTANTS = (
    _mutant(
        "branch_one_token_too_long",
        "a branch is taken for one token more than it has rows",
        "_Branches.__init__",
        _one_too_long,
    ),
    _mutant("branch_of_other_rows", "a branch reads rows from the 16th on", "_rows", _moved),
    _mutant(
        "whole_context_cut_short",
        "the last branch has half the rows",
        "lengths",
        lambda sound, *given: (*sound(*given)[:-1],),
    ),
)
