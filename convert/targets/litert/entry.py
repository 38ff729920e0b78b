"""What every signature's subgraph begins and ends with."""

from __future__ import annotations

from collections.abc import Mapping

from convert.checkpoint.types import Checkpoint
from convert.model.signature import Signature
from convert.targets.litert.cache_rows import ring_rows
from convert.targets.litert.emit import Symbol, symbol
from convert.targets.litert.graph import Subgraph, per_tensor
from convert.targets.litert.ops import cache_scale
from convert.targets.litert.options import LitertOptions, drafts
from convert.targets.litert.ring import Ring


def take(graph: Subgraph, signature: Signature, checkpoint: Checkpoint, options: LitertOptions) -> dict[str, Symbol]:
    """Its inputs by name, int8 caches with their scales."""
    scales, inputs = _cache_scales(checkpoint) if options.cache == "int8" else {}, {}
    for tensor in signature.inputs:
        quantization = per_tensor(scales[tensor.name]) if tensor.name in scales else None
        inputs[tensor.name] = symbol(graph.input(tensor.name, tensor.shape, tensor.dtype, quantization))
    return inputs


def give(graph: Subgraph, signature: Signature, results: Mapping[str, Symbol]) -> None:
    """Makes results its outputs."""
    for tensor in signature.outputs:
        found = results[tensor.name]
        if found.shape != tensor.shape or found.dtype != tensor.dtype:
            raise AssertionError(f"{signature.name}/{tensor.name}: {found.shape} is not {tensor.shape}")
        graph.output(tensor.name, found.value)


def ring_of(graph: Subgraph, checkpoint: Checkpoint, options: LitertOptions, positions: Symbol) -> Ring | None:
    """What its sliding layers' caches are; None where each position has a row of its own."""
    rows = ring_rows(checkpoint.text.config, options.context, drafts(checkpoint.modules))
    return None if rows is None else Ring(graph, rows, positions)


def _cache_scales(checkpoint: Checkpoint) -> dict[str, float]:
    """Scales of the int8 caches by the names of the signatures."""
    out = {}
    for i, layer in enumerate(checkpoint.text.config.owners):
        out[f"kv_cache_k_{i}"] = cache_scale(checkpoint.text, layer.index, "key")
        out[f"kv_cache_v_{i}"] = cache_scale(checkpoint.text, layer.index, "value")
    return out
