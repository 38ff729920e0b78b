"""Several rows made to fit the end of a cache, so that a write moves none of them and leaves those before them.

DYNAMIC_UPDATE_SLICE clamps its start so that the update fits. The engine pads a prompt's last chunk: near the end of
the context the padding would not fit, and the clamp would shift real rows onto wrong positions. So a block that does
fit is written. As far as it reaches back before the first row it holds what the cache holds there. Work and memory are
those of the rows; room at the end of the cache would cost copies of all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from convert.model.symbol import binary, concatenate
from convert.targets.litert.emit import Symbol, symbol


def fit(cache: Symbol, rows: Symbol, position: Symbol, axis: int, quantization: Any) -> tuple[Symbol, Symbol]:
    """What to write instead of ``rows``, as long as these along ``axis``, and where, an int32 ``[1]``.

    Args:
        position: int32, of the first row, which lies in the cache; rows past the end are left out.
        quantization: of cache and rows.
    """
    graph, length, last = rows.value.graph, rows.shape[axis], cache.shape[axis] - rows.shape[axis]
    first, each = position.reshape((1,)), np.arange(length, dtype=np.int32)

    def once(name: str, make: Callable[[], Symbol]) -> Symbol:
        return symbol(graph.once((name, last, length), lambda: make().value))

    start = once("fitting place", lambda: first.minimum(np.int32(last)))

    def sources() -> Symbol:
        """int32 ``[length]``: which row of what is held there, and of the new rows behind it, each becomes."""
        new = binary("less", first - start - 1, each, "bool").cast("int32")
        return new * (start + np.int32(length) - first) + each

    held = gather(cache, once("fitting held", lambda: start + each), axis, quantization)
    both = concatenate([held, rows], dim=axis)
    graph.tensors[both.value.index].quantization = quantization
    return gather(both, once("fitting sources", sources), axis, quantization), start


def corner(at: Symbol, axis: int) -> Symbol:
    """int32 ``[4]``: the position ``[1]`` on one axis, zero on the others."""
    graph = at.value.graph

    def make() -> Symbol:
        zero = symbol(graph.constant(np.zeros(1, np.int32)))
        return concatenate([at if i == axis else zero for i in range(4)], dim=0)

    return symbol(graph.once(("corner", at.value.index, axis), lambda: make().value))


def update(cache: Symbol, rows: Symbol, at: Symbol, axis: int, quantization: Any) -> Symbol:
    """The cache with rows written from a position ``[1]`` on, at which they fit."""
    inputs = [cache.value, rows.value, corner(at, axis).value]
    options = schema.DynamicUpdateSliceOptionsT()
    graph = cache.value.graph
    return symbol(graph.op("DYNAMIC_UPDATE_SLICE", inputs, cache.shape, None, options, quantization=quantization))


def gather(values: Symbol, rows: Symbol, axis: int, quantization: Any) -> Symbol:
    """The rows of these numbers, int32 ``[n]``, along ``axis``."""
    shape = tuple(rows.shape[0] if i == axis else n for i, n in enumerate(values.shape))
    options = schema.GatherOptionsT()
    options.axis = axis
    inputs = [values.value, rows.value]
    return symbol(values.value.graph.op("GATHER", inputs, shape, None, options, quantization=quantization))
