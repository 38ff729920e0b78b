"""Subgraphs that an IF of another chooses between."""

from __future__ import annotations

import copy
from typing import Any

from runtime_tests.readers.litert.tflite import Subgraph, Tflite


def reached(model: Tflite, start: int) -> list[int]:
    """Numbers of all subgraphs that the IFs of one lead to, itself left out, ascending."""
    found: set[int] = set()
    left = [start]
    while left:
        for op in model.subgraphs[left.pop()].operators:
            left += [to for to in op.branches if to not in found]
            found.update(op.branches)
    return sorted(found)


def limits(model: Tflite, start: int, context: int) -> list[int]:
    """Positions from which on an IF of a subgraph, or of one that it leads to, takes another branch, ascending.

    Those that it tells by LESS and a constant. Where one decides by something else, powers of two below the context
    stand for what is not known.
    """
    found, unknown = set[int](), False
    for index in (start, *reached(model, start)):
        graph = model.subgraphs[index]
        for op in graph.operators:
            if op.branches:
                limit = _limit(model, graph, op.inputs[0])
                found |= set() if limit is None else {limit}
                unknown |= limit is None
    return sorted(found | {2**k for k in range(context.bit_length()) if unknown})


def _limit(model: Tflite, graph: Subgraph, condition: int) -> int | None:
    test = graph.producer.get(condition)
    if test is None or test.code != "LESS":
        return None
    constant = graph.tensors[test.inputs[1]]
    known = constant.type == "INT32" and len(model.buffer(constant.buffer)) == 4
    return int(model.rows(constant).reshape(-1)[0]) if known else None


def with_branches(model: Tflite, piece: Any) -> list[Any]:
    """Copies of all subgraphs that a piece of a graph leads to, which follow it in a model of its own.

    The piece's own IFs are changed to the new numbers.

    Args:
        piece: a subgraph in the schema's object form whose operators may be changed.
    """
    entered = {to for op in piece.operators for to in _leads_to(op)}
    every = entered.union(*(reached(model, to) for to in entered))
    numbers = {old: new for new, old in enumerate(sorted(every), 1)}
    made = []
    for old in numbers:
        graph = copy.copy(model.raw.subgraphs[old])
        graph.tensors = [copy.copy(tensor) for tensor in graph.tensors]
        graph.operators = [_renumbered(copy.copy(op), numbers) for op in graph.operators]
        made.append(graph)
    piece.operators = [_renumbered(op, numbers) for op in piece.operators]
    return made


def _leads_to(op: Any) -> tuple[int, ...]:
    options = op.builtinOptions
    return (options.thenSubgraphIndex, options.elseSubgraphIndex) if hasattr(options, "thenSubgraphIndex") else ()


def _renumbered(op: Any, numbers: dict[int, int]) -> Any:
    if _leads_to(op):
        op.builtinOptions = copy.copy(op.builtinOptions)
        op.builtinOptions.thenSubgraphIndex = numbers[op.builtinOptions.thenSubgraphIndex]
        op.builtinOptions.elseSubgraphIndex = numbers[op.builtinOptions.elseSubgraphIndex]
    return op
