"""The two lookup tables, as TFLite models of their own: ids in, rows out, already times the square root of their width.

The engine calls them once per token. Tables keep the checkpoint's own bits: integer rows go through EMBEDDING_LOOKUP
(code * scale, exactly), bfloat16 rows are looked up as 16-bit patterns and put into the upper half of a float32.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from convert.checkpoint.rows import check_finite, row_blocks
from convert.checkpoint.types import Checkpoint, FloatTensor
from convert.lattice import QuantTensor
from convert.model.symbol import concatenate
from convert.targets.litert.emit import Symbol, symbol
from convert.targets.litert.graph import Model, Stream, Subgraph, Value
from convert.targets.litert.weights import channel_scales, code_stream, floats

EMBEDDER, PER_LAYER_EMBEDDER = "embedder", "per_layer_embedder"


def embedder(checkpoint: Checkpoint) -> Model:
    """``token_ids [1, 1] int32 -> embeddings [1, 1, hidden]``."""
    width = checkpoint.text.config.hidden
    return _lookup(checkpoint, EMBEDDER, "embed_tokens", (1, 1, width), float(width) ** 0.5)


def per_layer_embedder(checkpoint: Checkpoint) -> Model:
    """``token_ids [1, 1] int32 -> embeddings [1, 1, layers, per_layer_width]``."""
    config = checkpoint.text.config
    layers, width = len(config.layers), config.per_layer_width
    shape = (1, 1, layers, width)
    return _lookup(checkpoint, PER_LAYER_EMBEDDER, "embed_tokens_per_layer", shape, float(width) ** 0.5)


def _lookup(checkpoint: Checkpoint, name: str, key: str, shape: tuple[int, ...], factor: float) -> Model:
    model, text = Model(), checkpoint.text
    graph = model.subgraph(name)
    ids = symbol(graph.input("token_ids", (1, 1), "int32")).reshape((1,))
    if key in text.quants:
        rows = _integer_rows(graph, text.quants[key], key, ids)
    elif text.floats[f"{key}.weight"].dtype == "BF16":
        rows = _bfloat16_rows(graph, text.floats[f"{key}.weight"], key, ids)
    else:
        table = floats(graph, text, f"{key}.weight")
        rows = _embedding_lookup(ids, table)
    graph.output("embeddings", (rows * factor).reshape(shape).value)
    return model


def _integer_rows(graph: Subgraph, table: QuantTensor, key: str, ids: Symbol) -> Symbol:
    """Rows with several scales are seen as several rows with one scale each: the bytes are the same."""
    groups, width = table.groups, table.columns // table.groups
    scales = np.empty((table.rows, groups), np.float32)
    for start, stop in row_blocks(table.rows, 4 * groups):
        scales[start:stop] = table.scales(start, stop)
    buffer = graph.model.stream_buffer(key, lambda: code_stream(table))
    shape = (table.rows * groups, width)
    weight = graph.tensor(shape, f"int{table.bits}", f"{key}.weight", buffer, channel_scales(scales))
    if groups > 1:
        ids = ids * groups + symbol(graph.constant(np.arange(groups, dtype=np.int32)))
    return _embedding_lookup(ids, weight)


def _embedding_lookup(ids: Symbol, table: Value) -> Symbol:
    shape = (*ids.shape, table.shape[1])
    return symbol(table.graph.op("EMBEDDING_LOOKUP", [ids.value, table], shape, "float32"))


def _bfloat16_rows(graph: Subgraph, table: FloatTensor, key: str, ids: Symbol) -> Symbol:
    """bfloat16 is the upper half of float32; on a little-endian machine the upper half comes second."""

    def chunks() -> Iterator[NDArray[np.uint16]]:
        for start, stop in row_blocks(table.shape[0], 2 * table.shape[1]):
            check_finite(table, start, table.float32(start, stop))
            yield np.ascontiguousarray(table.bits16(start, stop))

    buffer = graph.model.stream_buffer(key, lambda: Stream(2 * table.shape[0] * table.shape[1], chunks))
    weight = graph.tensor(table.shape, "int16", f"{key}.weight", buffer)
    width = table.shape[1]
    options = schema.GatherOptionsT()
    row = symbol(graph.op("GATHER", [weight, ids.value], (1, width), "int16", options)).reshape((width, 1))
    halves = concatenate([symbol(graph.constant(np.zeros((width, 1), np.int16))), row], dim=1)
    return symbol(graph.op("BITCAST", [halves.value], (width,), "float32", schema.BitcastOptionsT())).reshape(
        (1, width)
    )
