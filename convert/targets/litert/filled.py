"""Attention over the part of a cache that is filled: the operator IF chooses between lengths.

Shapes are fixed, so attention over a cache of the context's length costs the same whether ten positions are filled or
all. Here it lies in branches, one for each of some lengths, and the position of a call's first token says which is the
shortest that holds it. XNNPACK runs the branches, the runtime hands caches to a branch without a copy, and a branch
that is not taken costs no time. A branch takes its rows out of the cache, which copies them: so lengths double, and
none lies between half the context and all of it.

``just bench cache`` measures both forms. Branches are not signatures; those of equal shapes are shared by layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from convert.checkpoint.config import Layer
from convert.model.symbol import concatenate
from convert.targets.litert.emit import Symbol, symbol
from convert.targets.litert.graph import Model, Subgraph, Value

# Scores of one product, 17 MB of float32: a runtime may set room aside for a branch that it never takes.
MOST_SCORES = 1 << 22
LEAST = 512  # rows of the shortest branch, where the context is long enough for three of them
Attend = Callable[[Subgraph, "Given"], Symbol]


def lengths(context: int, ring: int, tokens: int) -> tuple[int, ...]:
    """Rows to choose from, ascending, the context last.

    Args:
        ring: rows that sliding layers read whatever is filled; fewer would save nothing. 0: there are none.
        tokens: of a call, which must fit in.
    """
    found, rows = [], max(ring, min(LEAST, -(-context // 8)))
    while 2 * rows <= context:
        found += [rows] * (rows >= tokens)
        rows *= 2
    return (*found, context)


@dataclass(frozen=True)
class Given:
    """What attention takes: queries ``[1, heads, n, head_dim]``, a mask ``[1, 1, n, rows]``, and both caches."""

    query: Symbol
    mask: Symbol
    keys: Symbol
    values: Symbol


def branches(given: Given, position: Symbol, layer: Layer, rows: tuple[int, ...], attend: Attend) -> Symbol:
    """Attention over the fewest rows that hold what is filled and the call's own tokens, ``[1, heads, n, head_dim]``.

    Args:
        position: int32 ``[1]``, of the call's first token.
        rows: see ``lengths``.
        attend: attention over all rows that it is given, in a subgraph.
    """
    return _Branches(given, position, layer, rows, attend).choice(given.query.value.graph, given, position, 0)


class _Branches:
    def __init__(self, given: Given, position: Symbol, layer: Layer, rows: tuple[int, ...], attend: Attend) -> None:
        self._given, self._position, self._rows, self._attend = given, position, rows, attend
        self._model: Model = given.query.value.graph.model
        self._tokens = given.mask.shape[2]
        values = self._values(given, position)
        scales = tuple(_scale(value) for value in values)
        self._key = (layer.kind, tuple((v.shape, v.dtype) for v in values), scales, rows)

    def choice(self, graph: Subgraph, given: Given, position: Symbol, i: int) -> Symbol:
        """In a subgraph: attention over ``rows[i]`` rows if they are enough, else over more."""
        limit = np.asarray([self._rows[i] - self._tokens + 1], np.int32)
        enough = graph.once(
            ("enough", position.value.index, self._rows[i]),
            lambda: graph.op("LESS", [position.value, graph.constant(limit)], (1,), "bool", schema.LessOptionsT()),
        )
        options = schema.IfOptionsT()
        options.thenSubgraphIndex, options.elseSubgraphIndex = self._leaf(i), self._rest(i + 1)
        return symbol(graph.op("IF", [enough, *self._values(given, position)], given.query.shape, "float32", options))

    def _rest(self, i: int) -> int:
        if i == len(self._rows) - 1:
            return self._leaf(i)
        return self._subgraph(f"from {self._rows[i]}", lambda graph, given, place: self.choice(graph, given, place, i))

    def _leaf(self, i: int) -> int:
        rows = self._rows[i]

        def make(graph: Subgraph, given: Given, place: Symbol) -> Symbol:
            if rows < given.mask.shape[3]:
                cut = [_rows(x, axis, rows) for x, axis in ((given.mask, 3), (given.keys, 2), (given.values, 3))]
                given = Given(given.query, *cut)
            return parted(given, lambda part: self._attend(graph, part))

        return self._subgraph(f"{rows} rows", make)

    def _subgraph(self, name: str, make: Callable[[Subgraph, Given, Symbol], Symbol]) -> int:
        """Number of a subgraph with the inputs of an IF; made once for all layers that are alike."""

        def build() -> int:
            graph = self._model.subgraph(f"attention {len(self._model.branches)}: {name}", entry=False)
            inputs = []
            for word, value in zip(("query", "mask", "keys", "values", "position"), self._originals(), strict=True):
                quantization = value.graph.tensors[value.index].quantization
                inputs.append(symbol(graph.input(word, value.shape, value.dtype, quantization)))
            graph.output("mixed", make(graph, Given(*inputs[:4]), inputs[4]).value)
            return self._model.subgraphs.index(graph)

        key = (*self._key, name)
        if key not in self._model.branches:
            self._model.branches[key] = build()
        return self._model.branches[key]

    def _originals(self) -> list[Value]:
        return self._values(self._given, self._position)

    @staticmethod
    def _values(given: Given, position: Symbol) -> list[Value]:
        return [x.value for x in (given.query, given.mask, given.keys, given.values, position)]


def parted(given: Given, attend: Callable[[Given], Symbol]) -> Symbol:
    """Attention for so many queries at a time that their scores stay within bounds, one part after the other."""
    heads, tokens, rows = given.query.shape[1], given.query.shape[2], given.keys.shape[2]
    part = max(1, MOST_SCORES // (heads * rows))
    if part >= tokens:
        return attend(given)
    mixed = []
    for begin in range(0, tokens, part):
        some = min(part, tokens - begin)
        query, mask = given.query.narrow(2, begin, some), given.mask.narrow(2, begin, some)
        mixed.append(attend(replace(given, query=query, mask=mask)))
    return concatenate(mixed, dim=2)


def _rows(x: Symbol, axis: int, rows: int) -> Symbol:
    """The first rows of a cache or a mask, in the same quantization."""
    out, graph = x.narrow(axis, 0, rows), x.value.graph
    graph.tensors[out.value.index].quantization = graph.tensors[x.value.index].quantization
    return out


def _scale(value: Value) -> tuple[float, ...]:
    found = value.graph.tensors[value.index].quantization
    return () if found is None else tuple(found.scale)
