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
from convert.targets.litert.graph import Subgraph


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

    held = _gather(graph, cache, once("fitting held", lambda: start + each), axis, quantization)
    both = concatenate([held, rows], dim=axis)
    graph.tensors[both.value.index].quantization = quantization
    return _gather(graph, both, once("fitting sources", sources), axis, quantization), start


def _gather(graph: Subgraph, values: Symbol, rows: Symbol, axis: int, quantization: Any) -> Symbol:
    shape = tuple(rows.shape[0] if i == axis else n for i, n in enumerate(values.shape))
    options = schema.GatherOptionsT()
    options.axis = axis
    inputs = [values.value, rows.value]
    return symbol(graph.op("GATHER", inputs, shape, None, options, quantization=quantization))
