"""Rung 0 for Core ML, fourth part: what the Neural Engine takes, for packages that say they are made for it.

The limits are other people's measurements on devices; whether a device places the operations there is not known here.
"""

from __future__ import annotations

from math import prod

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.readers.coreml.mlpackage import MlPackage
from runtime_tests.readers.coreml.program import Function
from runtime_tests.results import Check, at_most, none, stated

BYTES, STATES, RANK, MULTIPLE = 1_700_000_000, 2, 5, 32


def compare_engine(case: CoremlCase) -> list[Check]:
    """Types, weight forms, states and size of every part."""
    if case.profile != "ane":
        return []
    parts = case.package.parts or (case.package,)
    functions = [(f"{part.path.name}, {name}", found) for part in parts for name, found in part.functions.items()]
    wrong = [f"{where}: {line}" for where, found in functions for line in _odd(found)]
    size = max(_bytes(part) for part in parts)
    return [
        none("forms that the Neural Engine does not take", wrong, "values", len(parts)),
        at_most("weights of a part as float16", size / 1e9, BYTES / 1e9, "GB"),
        stated("parts", len(parts), "packages", "gains and activation scales are rounded to float16 once"),
    ]


def _odd(function: Function) -> list[str]:
    out = [f"{op.name} is float32" for op in function.operations for _, type in op.outputs if type.dtype == "float32"]
    out += [f"{name} has rank {len(t.shape)}" for name, t in function.types.items() if len(t.shape) > RANK]
    states = {name: type.shape for name, type in function.inputs.items() if type.state}
    out += [f"{len(states)} states"] if len(states) > STATES else []
    out += [f"{name} is {list(shape)}" for name, shape in states.items() if any(n % MULTIPLE for n in shape[-2:])]
    for op in function.operations:
        scale = function.one(op, "scale") if op.kind == "constexpr_blockwise_shift_scale" else None
        constant = None if scale is None else function.constant(scale)
        if constant is not None and prod(constant.type.shape[1:]) > 1:
            out.append(f"{op.name} has scales for blocks")
    return out


def _bytes(part: MlPackage) -> int:
    """Of all matrices, decompressed to float16; functions share them by name."""
    shapes = {
        op.name: op.outputs[0][1].shape
        for function in part.functions.values()
        for op in function.operations
        if op.kind.startswith("constexpr_") or (op.constant is not None and len(op.outputs[0][1].shape) == 2)
    }
    return sum(2 * prod(shape) for shape in shapes.values())
