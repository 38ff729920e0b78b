"""The decoder as a program with all its functions: see the package for what they take and give."""

from __future__ import annotations

from typing import Any, cast

from convert.checkpoint.types import Checkpoint
from convert.model.decoder import Decoder
from convert.targets.coreml.emit import Symbol
from convert.targets.coreml.graph import Function, Program
from convert.targets.coreml.ops import CoremlOps, Slot
from convert.targets.coreml.options import CoremlOptions
from convert.targets.coreml.signature import KINDS, Entry, entries


def decoder(checkpoint: Checkpoint, options: CoremlOptions) -> Program:
    """Runs the decoder over symbols, once per function; weights are shared by key."""
    program = Program()
    for entry in entries(checkpoint.config, options):
        _function(program.function(entry.name), checkpoint, entry, options)
    return program


def _function(function: Function, checkpoint: Checkpoint, entry: Entry, options: CoremlOptions) -> None:
    config, n = checkpoint.config, entry.length
    inputs: dict[str, Any] = {f.name: Symbol(function, function.input(f.name, f.shape, f.dtype)) for f in entry.inputs}
    states = [function.input(f.name, f.shape, f.dtype, state=True) for f in entry.states]
    ops = CoremlOps(function, checkpoint, options, inputs["position"].value)
    turns: dict[str, Any] = {}
    masks = {}
    for kind, half in {layer.kind: layer.head_dim // 2 for layer in config.layers}.items():
        rows = (inputs[f"{part}_{KINDS[kind]}"].narrow(1, 0, half) for part in ("cos", "sin"))
        turns[kind] = tuple(row.reshape(1, n, 1, half) for row in rows)
        masks[kind] = inputs[f"mask_{KINDS[kind]}"]
    caches: dict[int, Any] = {
        layer.index: tuple(Slot(state, i, layer.kv_heads, layer.head_dim) for state in states)
        for i, layer in enumerate(config.owners)
    }
    result: Any
    result, _ = Decoder(config, cast(Any, ops)).run(
        inputs["embeddings"],
        inputs.get("per_layer_embeddings"),
        turns,
        masks,
        inputs["position"],
        caches,
        logits=entry.gives_logits,
    )
    if result is None:
        last = config.owners[-1].index
        result = ops.read_cache(caches[last][1], last, "value").slice([0, 0, 0, 0], [1, 1, 1, 1]).reshape(1, 1, 1)
    (output,) = entry.outputs
    if result.shape != output.shape:
        raise AssertionError(f"{entry.name}/{output.name}: {result.shape} is not {output.shape}")
    result = result.cast(output.dtype)
    function.output(output.name, result.value)
