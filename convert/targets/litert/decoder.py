"""The decoder as one TFLite model with all its signatures."""

from __future__ import annotations

from collections.abc import Iterable

from convert.checkpoint.types import Checkpoint
from convert.model.decoder import Decoder
from convert.model.signature import Signature
from convert.targets.litert.emit import Symbol
from convert.targets.litert.entry import give, ring_of, take
from convert.targets.litert.graph import Model
from convert.targets.litert.ops import LitertOps
from convert.targets.litert.options import LitertOptions
from convert.targets.litert.ring import Kept


def decoder(checkpoint: Checkpoint, signatures: Iterable[Signature], options: LitertOptions) -> Model:
    """Runs the decoder over symbols, once per signature; weights are shared by key."""
    model = Model()
    for signature in signatures:
        _entry(model, checkpoint, signature, options)
    return model


def _entry(model: Model, checkpoint: Checkpoint, signature: Signature, options: LitertOptions) -> None:
    graph, config = model.subgraph(signature.name), checkpoint.text.config
    inputs = take(graph, signature, checkpoint, options)
    kept = {state.name: Kept.whole(inputs[state.name]) for state in signature.states}
    caches = {layer.index: (kept[f"kv_cache_k_{i}"], kept[f"kv_cache_v_{i}"]) for i, layer in enumerate(config.owners)}
    positions, mask = inputs["input_pos"], inputs["mask"]
    ring = ring_of(graph, checkpoint, options, positions)
    run = Decoder(config, LitertOps(graph, checkpoint.text, options, ring))
    masks = run.masks(mask, positions) if ring is None else ring.masks(mask, run.config.window)
    tables = inputs["embeddings"], inputs.get("per_layer_embeddings")
    stream, written = run.stream(*tables, run.turns(positions), masks, positions, caches, signature.gives_logits)
    results: dict[str, Symbol] = {}
    if signature.gives_logits:
        results["activations"] = run.last(stream)
        results["logits"] = run.head(results["activations"])
    for i, layer in enumerate(config.owners):
        keys, values = written[layer.index]
        results[f"kv_cache_k_{i}"], results[f"kv_cache_v_{i}"] = keys.state, values.state
    give(graph, signature, results)
