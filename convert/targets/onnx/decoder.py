"""The decoder as one graph for any number of tokens: see the package for what it takes and gives."""

from __future__ import annotations

import numpy as np

from convert.checkpoint.modules.text import TABLES
from convert.checkpoint.types import Checkpoint
from convert.model.decoder import Decoder
from convert.model.rope import angles
from convert.targets.onnx import weights
from convert.targets.onnx.caches import Caches
from convert.targets.onnx.emit import Symbol, symbol
from convert.targets.onnx.graph import TOKENS, TOTAL, Graph, Value, element
from convert.targets.onnx.ops import OnnxOps


def decoder(checkpoint: Checkpoint, data: str) -> Graph:
    """Embeddings in, logits of the last token out; caches in and out.

    Args:
        data: name of the file with the weights.
    """
    config, graph = checkpoint.text.config, Graph("decoder", data)
    width, layers = config.per_layer_width, len(config.layers)
    x = symbol(graph, graph.input("inputs_embeds", (1, TOKENS, config.hidden), "float32"))
    seen = graph.input("attention_mask", (1, TOTAL), "int64")
    position = symbol(graph, graph.input("position_ids", (1, TOKENS), "int64"))
    given = None
    if width:
        flat = graph.input("per_layer_inputs", (1, TOKENS, layers * width), "float32")
        given = symbol(graph, flat).reshape(1, TOKENS, layers, width)
    total = graph.node("Shape", (seen,), (1,), "int64", start=1, end=2)
    caches = Caches(graph, config, total, graph.node("Shape", (position.value,), (1,), "int64", start=1, end=2))
    ops = OnnxOps(graph, checkpoint.text, caches)
    run: Decoder[Symbol, object] = Decoder(config, ops)  # type: ignore[arg-type]
    turns = {kind: angles(position.reshape(TOKENS), values) for kind, values in run.frequencies.items()}
    masks = dict.fromkeys(turns, None)
    for _, found in run.layers(
        x, run.per_layer_inputs(x, given), turns, masks, position, caches.slots, {}, logits=True
    ):
        x = found
    graph.output("logits", run.logits(_last(graph, x)).value)
    for i, layer in enumerate(config.owners):
        for part, slot in zip(("key", "value"), caches.slots[layer.index], strict=True):
            assert slot.seen is not None
            assert slot.present is not None
            if slot.present is not slot.seen:
                graph.rename(slot.seen, f"seen.{i}.{part}")
            graph.output(f"present.{i}.{part}", slot.present)
    return graph


def embedding(checkpoint: Checkpoint, data: str) -> Graph:
    """Ids in, rows of the tables out, each times the root of its width."""
    config, graph = checkpoint.text.config, Graph("embedding", data)
    ids = graph.input("input_ids", (1, TOKENS), "int64")
    graph.output("inputs_embeds", _rows(graph, checkpoint, TABLES[0], ids, config.hidden))
    if config.per_layer_width:
        graph.output("per_layer_inputs", _rows(graph, checkpoint, TABLES[1], ids, config.per_layer_width))
    return graph


def _last(graph: Graph, x: Symbol) -> Symbol:
    """The last token of ``[1, n, hidden]``: the only one whose logits are asked for."""
    index = graph.constant(np.array([-1], np.int64))
    return symbol(graph, graph.node("Gather", (x.value, index), (1, 1, x.shape[-1]), x.dtype, axis=1))


def _rows(graph: Graph, checkpoint: Checkpoint, key: str, ids: Value, width: int) -> Value:
    """Rows of a table: their bytes are taken, and only then made numbers."""
    factor = float(width) ** 0.5
    if key not in checkpoint.text.quants:
        stored = weights.rows(graph, checkpoint.text.floats[f"{key}.weight"], f"{key}.weight")
        shape = (1, TOKENS, stored.shape[1])
        found = graph.node("Gather", (stored, ids), shape, stored.dtype)
        if stored.dtype != "float32":
            found = graph.node("Cast", (found,), shape, "float32", to=element("float32"))
        return (symbol(graph, found) * factor).value
    tensor = checkpoint.text.quants[key]
    codes, scales = weights.table(graph, tensor, key)
    packed = graph.node("Gather", (codes, ids), (1, TOKENS, codes.shape[1]), "uint8")
    scale = symbol(graph, graph.node("Gather", (scales, ids), (1, TOKENS, tensor.groups), "float32"))
    counted = symbol(graph, _unpacked(graph, packed, tensor.bits)).float()
    number = counted - float(1 << (tensor.bits - 1))
    grouped = number.reshape(1, TOKENS, tensor.groups, tensor.columns // tensor.groups)
    whole = grouped * scale.reshape(1, TOKENS, tensor.groups, 1)
    return (whole.reshape(1, TOKENS, tensor.columns) * factor).value


def _unpacked(graph: Graph, packed: Value, bits: int) -> Value:
    """Bytes ``[1, n, w]`` to their codes ``[1, n, w * 8 / bits]``, low bits first."""
    if bits == 8:
        return packed
    mask = graph.constant(np.uint8((1 << bits) - 1))
    shape, axes = (*packed.shape, 1), graph.constant(np.array([-1], np.int64))
    parts = []
    for shift in range(0, 8, bits):
        moved = packed
        if shift:
            by = graph.constant(np.uint8(shift))
            moved = graph.node("BitShift", (packed, by), packed.shape, "uint8", direction="RIGHT")
        low = graph.node("BitwiseAnd", (moved, mask), packed.shape, "uint8")
        parts.append(graph.node("Unsqueeze", (low, axes), shape, "uint8"))
    count = len(parts)
    stacked = graph.node("Concat", parts, (*packed.shape, count), "uint8", axis=-1)
    flat = graph.constant(np.array([0, 0, -1], np.int64))
    return graph.node("Reshape", (stacked, flat), (*packed.shape[:2], packed.shape[2] * count), "uint8")
