"""Rung 0: the bounds at which the tower's linears clip what goes in and what comes out.

A bound is found where it works: on the way between a linear and the next operator that computes something else. In
front of weights of 4 bits an activation is taken apart into terms that such kernels take; those are passed as well.
Rows may go by pieces: a linear's output is cut, or put together, in front of its bounds.
"""

from __future__ import annotations

import numpy as np

from runtime_tests.litert.case import ENCODER, LitertCase
from runtime_tests.litert.cuts.forced import linears
from runtime_tests.litert.cuts.stages import OUT
from runtime_tests.litert.vision.budgets import ENCODES, budgets
from runtime_tests.readers.litert.tflite import Operator, Subgraph, Tflite
from runtime_tests.results import Check, none

BOUNDS = (".input_min", ".input_max", ".output_min", ".output_max")
_PASSING = ("QUANTIZE", "DEQUANTIZE", "RESHAPE", "MINIMUM", "MAXIMUM", "SLICE")
_APART = ("ADD", "SUB", "MUL", "DIV", "ROUND", "CONCATENATION", "REDUCE_MIN", "REDUCE_MAX")  # into terms
_OF = {"MAXIMUM": "min", "MINIMUM": "max"}  # the operator that keeps a bound


def compare_clips(case: LitertCase) -> list[Check]:
    """Every bound of every signature, bit for bit; nothing is clipped where the checkpoint has no bound."""
    folder, model, wrong, total = case.vision, case.model(ENCODER), list[str](), 0
    for budget in budgets(case):
        name = f"{ENCODES}{budget}"
        graph = model.subgraph(name)
        for key, pairs in linears(graph).items():
            for given, made in pairs:
                found = {
                    **{f"input_{side}": value for side, value in _before(model, graph, given).items()},
                    **{
                        f"output_{side}": value
                        for side, value in _behind(model, graph, _whole(graph, key, made)).items()
                    },
                }
                for bound in BOUNDS:
                    expected, side = folder.scalar(key.removesuffix(".linear") + bound), bound.removeprefix(".")
                    total += expected is not None
                    if line := _differs(expected, found.get(side)):
                        wrong.append(f"{name} {key}: {side} {line}")
    return [none("images: bounds at which linears clip", wrong, "bounds", total)]


def _differs(expected: np.float32 | None, found: np.float32 | None) -> str:
    if expected is None or np.isinf(expected):  # which clips nothing
        return "" if found is None or np.isinf(found) else f"is {found:g}, the checkpoint has none"
    if found is None:
        return f"is not there, the checkpoint has {expected:g}"
    return "" if found == expected else f"is {found:g}, the checkpoint has {expected:g}"


def _before(model: Tflite, graph: Subgraph, index: int) -> dict[str, np.float32]:
    """The nearest bounds between what made a linear's input and the linear, by ``min`` and ``max``."""
    out: dict[str, np.float32] = {}
    width, left, seen = graph.tensors[index].shape[-1], [index], {index}
    while left:
        op = graph.producer.get(left.pop(0))
        if op is None or op.code not in (*_PASSING, *_APART) or _another(graph, op):
            continue
        if graph.tensors[op.outputs[0]].shape[-1] == width:
            _take(out, model, graph, op)
        new = [i for i in op.inputs if i in graph.producer and i not in seen]
        seen.update(new)
        left += new
    return out


def _another(graph: Subgraph, op: Operator) -> bool:
    """Whether a product is one of the model's: with a weight, or of two activations."""
    shapes = [graph.tensors[index].shape for index in op.inputs]
    constant = any(i not in graph.producer and graph.tensors[i].shape not in ((), (1,)) for i in op.inputs)
    return op.code == "MUL" and (constant or shapes[0] == shapes[1])


def _whole(graph: Subgraph, key: str, made: int) -> int:
    """A product's output, of all terms together where there are several: several pieces have one of that name each."""
    left, seen = [made], {made}
    while left:
        index = left.pop(0)
        if graph.tensors[index].name == key + OUT:
            return index
        users = [op for op in graph.consumers.get(index, []) if op.code in (*_APART, "SLICE")]
        new = [op.outputs[0] for op in users if op.outputs[0] not in seen]
        seen.update(new)
        left += new
    return made


def _behind(model: Tflite, graph: Subgraph, index: int) -> dict[str, np.float32]:
    """Bounds between a linear and what uses its output; those that all pieces of it have, where it is cut."""
    out: dict[str, np.float32] = {}
    while len(users := graph.consumers.get(index, [])) == 1 and users[0].code in (*_PASSING, "CONCATENATION"):
        if users[0].code == "QUANTIZE":  # the next linear's own input begins
            break
        index = users[0].outputs[0]
        _take(out, model, graph, users[0])
    if len(users) > 1 and all(user.code == "SLICE" for user in users):
        first, *others = (_behind(model, graph, user.outputs[0]) for user in users)
        return out | {side: value for side, value in first.items() if all(each.get(side) == value for each in others)}
    return out


def _take(out: dict[str, np.float32], model: Tflite, graph: Subgraph, op: Operator) -> None:
    if op.code in _OF:
        constant = next((i for i in op.inputs if i not in graph.producer and i not in graph.inputs), None)
        if constant is not None and (values := np.asarray(model.rows(graph.tensors[constant])).reshape(-1)).size == 1:
            out.setdefault(_OF[op.code], np.float32(values[0]))
