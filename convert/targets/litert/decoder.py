"""The decoder as one TFLite model with all its signatures."""

from __future__ import annotations

from collections.abc import Iterable

from convert.checkpoint.config import FULL, SLIDING
from convert.checkpoint.types import Checkpoint
from convert.model.decoder import Decoder
from convert.model.signature import Signature
from convert.targets.litert.cache_rows import ring_rows
from convert.targets.litert.emit import Symbol, symbol
from convert.targets.litert.graph import Model, per_tensor
from convert.targets.litert.ops import LitertOps, cache_scale
from convert.targets.litert.options import LitertOptions, drafts
from convert.targets.litert.ring import Kept, Ring


def decoder(checkpoint: Checkpoint, signatures: Iterable[Signature], options: LitertOptions) -> Model:
    """Runs the decoder over symbols, once per signature; weights are shared by key."""
    model = Model()
    for signature in signatures:
        _entry(model, checkpoint, signature, options)
    return model


def _entry(model: Model, checkpoint: Checkpoint, signature: Signature, options: LitertOptions) -> None:
    graph, config = model.subgraph(signature.name), checkpoint.text.config
    scales = cache_scales(checkpoint) if options.cache == "int8" else {}
    inputs: dict[str, Symbol] = {}
    for tensor in signature.inputs:
        quantization = per_tensor(scales[tensor.name]) if tensor.name in scales else None
        inputs[tensor.name] = symbol(graph.input(tensor.name, tensor.shape, tensor.dtype, quantization))
    kept = {state.name: Kept(inputs[state.name], inputs[state.name]) for state in signature.states}
    caches = {layer.index: (kept[f"kv_cache_k_{i}"], kept[f"kv_cache_v_{i}"]) for i, layer in enumerate(config.owners)}
    positions, rows = inputs["input_pos"], ring_rows(config, options.context, drafts(checkpoint.modules))
    ring = None if rows is None else Ring(graph, rows, positions)
    run = Decoder(config, LitertOps(graph, checkpoint.text, options, ring))
    if ring is None:
        masks = run.masks(inputs["mask"], positions)
    else:
        masks = {FULL: inputs["mask"], SLIDING: ring.mask(run.config.window)}
    tables = inputs["embeddings"], inputs.get("per_layer_embeddings")
    stream, written = run.stream(*tables, run.turns(positions), masks, positions, caches, signature.gives_logits)
    results: dict[str, Symbol] = {}
    if signature.gives_logits:
        results["activations"] = run.last(stream)
        results["logits"] = run.head(results["activations"])
    for i, layer in enumerate(config.owners):
        keys, values = written[layer.index]
        results[f"kv_cache_k_{i}"], results[f"kv_cache_v_{i}"] = keys.state, values.state
    for tensor in signature.outputs:
        found = results[tensor.name]
        if found.shape != tensor.shape or found.dtype != tensor.dtype:
            raise AssertionError(f"{signature.name}/{tensor.name}: {found.shape} is not {tensor.shape}")
        graph.output(tensor.name, found.value)


def cache_scales(checkpoint: Checkpoint) -> dict[str, float]:
    """Scales of the int8 caches by the names of the signatures."""
    out = {}
    for i, layer in enumerate(checkpoint.text.config.owners):
        out[f"kv_cache_k_{i}"] = cache_scale(checkpoint.text, layer.index, "key")
        out[f"kv_cache_v_{i}"] = cache_scale(checkpoint.text, layer.index, "value")
    return out
