"""Rung 0: the bounds at which the tower's linears clip what goes in and what comes out.

A bound is found where it works: between a linear and the next operation that computes something else.
"""

from __future__ import annotations

import numpy as np

from runtime_tests.coreml.compare.activations import is_gain, linears, producer
from runtime_tests.coreml.program.matrices import named
from runtime_tests.coreml.vision.package import Towered
from runtime_tests.readers.coreml.program import Function, Operation
from runtime_tests.results import Check, none

BOUNDS = (".input_min", ".input_max", ".output_min", ".output_max")
_KEEPS = {"maximum": "min", "minimum": "max"}  # the operation that keeps a bound
_PASSING = ("quantize", "dequantize", "cast", "reshape", *_KEEPS)


def compare_clips(it: Towered, keys: list[str]) -> list[Check]:
    """Every bound of every function, bit for bit; nothing is clipped where the checkpoint has no bound."""
    wrong, total = list[str](), 0
    for function in it.package.functions.values():
        found = linears(function)
        for key in keys:
            if (op := found.get(named(key))) is None:
                continue
            sides = {f"input_{side}": value for side, value in _before(function, op).items()}
            sides |= {f"output_{side}": value for side, value in _behind(function, op).items()}
            for bound in BOUNDS:
                expected, side = it.folder.scalar(key.removesuffix(".linear") + bound), bound.removeprefix(".")
                total += expected is not None
                if line := _differs(expected, sides.get(side)):
                    wrong.append(f"{function.name} {key}: {side} {line}")
    return [none("bounds at which linears clip", wrong, "bounds", total)]


def _differs(expected: np.float32 | None, found: np.float32 | None) -> str:
    if expected is None or np.isinf(expected):  # which clips nothing
        return "" if found is None or np.isinf(found) else f"is {found:g}, the checkpoint has none"
    if found is None:
        return f"is not there, the checkpoint has {expected:g}"
    return "" if found == expected else f"is {found:g}, the checkpoint has {expected:g}"


def _before(function: Function, op: Operation) -> dict[str, np.float32]:
    """The nearest bounds between what made a linear's input and the linear, by ``min`` and ``max``."""
    out: dict[str, np.float32] = {}
    made = producer(function, op, "x")
    while made is not None and made.kind in _PASSING:
        _take(out, function, made)
        made = producer(function, made, "input" if made.kind in ("quantize", "dequantize") else _moving(function, made))
    return out


def _behind(function: Function, op: Operation) -> dict[str, np.float32]:
    """Bounds between a linear and what uses its output; a ``quantize`` behind a bound begins the next linear."""
    out: dict[str, np.float32] = {}
    readers = function.consumers.get(op.name, [])
    while len(readers) == 1 and (readers[0].kind in _PASSING or is_gain(function, readers[0])):
        if readers[0].kind == "quantize" and out:
            break
        _take(out, function, readers[0])
        readers = function.consumers.get(readers[0].name, [])
    return out


def _moving(function: Function, op: Operation) -> str:
    """The side that is no constant."""
    first = function.one(op, "x")
    return "x" if first is None or function.constant(first) is None else "y"


def _take(out: dict[str, np.float32], function: Function, op: Operation) -> None:
    if op.kind not in _KEEPS:
        return
    held = function.one(op, "y" if _moving(function, op) == "x" else "x")
    constant = None if held is None else function.constant(held)
    if constant is not None and (values := np.asarray(constant.array()).reshape(-1)).size == 1:
        out.setdefault(_KEEPS[op.kind], np.float32(values[0]))
