"""A drafter's head that scores the likeliest groups of tokens alone.

Formula: transformers' ``Gemma4AssistantMaskedEmbedder``. Each group has a centroid; the groups whose centroids meet the
hidden state best are looked up, and their tokens are scored. Every other token gets the least of these scores less 1.
So of a table of 262,144 bfloat16 rows some thousand are read for a draft.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from convert.checkpoint.modules.drafter import CENTROIDS, ORDERING, DrafterConfig
from convert.checkpoint.rows import check_finite, row_blocks
from convert.checkpoint.types import FloatTensor, Module
from convert.model.symbol import concatenate
from convert.targets.litert import weights
from convert.targets.litert.emit import Symbol, symbol
from convert.targets.litert.graph import Stream, Subgraph, Value
from convert.targets.litert.modules.drafter import HEAD
from convert.targets.litert.ops import LitertOps


def head(graph: Subgraph, module: Module[DrafterConfig], ops: LitertOps, last: Symbol) -> Symbol:
    """Last hidden states ``[1, 1, hidden]`` to logits ``[1, 1, vocab]``."""
    groups, vocab, width = module.config.groups, module.config.text.vocab, module.config.text.hidden
    assert groups is not None
    best = _likeliest(ops.linear(last, CENTROIDS), groups.taken)
    count = groups.taken * vocab // groups.count
    table = graph.constant(module.indices[ORDERING].reshape(groups.count, -1).astype(np.int32), ORDERING)
    ids = _gather(table, best, (groups.taken, vocab // groups.count)).reshape((count,))
    rows = _rows(graph, module.floats[f"{HEAD}.weight"], ids, count, width)
    scores = _products(rows.reshape((1, count, width)), last).reshape((count,))
    hit = _scatter(ids, symbol(graph.constant(np.ones(count, np.float32))), vocab)
    fill = scores.reduce("min", 0, True) - 1.0
    # Sums with a zero on one side: both kinds of logits stay as they are.
    return (_scatter(ids, scores, vocab) + (hit * -1.0 + 1.0) * fill).reshape((1, 1, vocab))


def _likeliest(scores: Symbol, count: int) -> Symbol:
    """int32 ``[count]``: the places of the largest of ``[1, 1, groups]``."""
    graph = scores.value.graph
    wanted = graph.constant(np.asarray(count, np.int32))
    graph.op("TOPK_V2", [scores.value, wanted], (1, 1, count), "float32", schema.TopKV2OptionsT())
    places = graph.tensor((1, 1, count), "int32")
    graph.operators[-1].outputs.append(places.index)
    return symbol(places).reshape((count,))


def _gather(table: Value, places: Symbol, shape: tuple[int, ...]) -> Symbol:
    return symbol(table.graph.op("GATHER", [table, places.value], shape, table.dtype, schema.GatherOptionsT()))


def _rows(graph: Subgraph, table: FloatTensor, ids: Symbol, count: int, width: int) -> Symbol:
    """float32 ``[count, width]``; bfloat16 patterns become the upper halves of float32."""
    name = f"{HEAD}.weight"
    if table.dtype != "BF16":
        buffer = graph.model.stream_buffer(HEAD, lambda: weights.float_stream(table))
        return _gather(graph.tensor(table.shape, "float32", name, buffer), ids, (count, width))

    def chunks() -> Iterator[NDArray[Any]]:
        for start, stop in row_blocks(table.shape[0], 2 * width):
            check_finite(table, start, table.float32(start, stop))
            yield np.ascontiguousarray(table.bits16(start, stop))

    buffer = graph.model.stream_buffer(HEAD, lambda: Stream(2 * table.shape[0] * width, chunks))
    found = _gather(graph.tensor(table.shape, "int16", name, buffer), ids, (count, width))
    zeros = symbol(graph.constant(np.zeros((count * width, 1), np.int16)))
    halves = concatenate([zeros, found.reshape((count * width, 1))], dim=1)
    return symbol(graph.op("BITCAST", [halves.value], (count * width,), "float32", schema.BitcastOptionsT()))


def _products(rows: Symbol, last: Symbol) -> Symbol:
    options = schema.BatchMatMulOptionsT()
    options.adjY = True
    shape = (1, rows.shape[1], 1)
    return symbol(rows.value.graph.op("BATCH_MATMUL", [rows.value, last.value], shape, options=options))


def _scatter(ids: Symbol, values: Symbol, size: int) -> Symbol:
    graph = ids.value.graph
    inputs = [ids.reshape((*ids.shape, 1)).value, values.value, graph.constant(np.asarray([size], np.int32))]
    return symbol(graph.op("SCATTER_ND", inputs, (size,), "float32", schema.ScatterNdOptionsT()))
