"""The decoder as a program with all its functions: see the package for what they take and give."""

from __future__ import annotations

from convert.checkpoint.types import Checkpoint
from convert.model.decoder import Decoder
from convert.model.signature import Signature
from convert.targets.coreml.emit import Symbol, symbol
from convert.targets.coreml.graph import Function, Program
from convert.targets.coreml.ops import CoremlOps, Slot
from convert.targets.coreml.options import CoremlOptions
from convert.targets.coreml.parts import PER_LAYER, last_layers, owners_by_part, split
from convert.targets.coreml.rings import owners_by_state
from convert.targets.coreml.signature import KINDS, signatures, states


def decoder(checkpoint: Checkpoint, options: CoremlOptions) -> Program:
    """Runs the decoder over symbols, once per function; weights are shared by key."""
    program, ends = Program(), last_layers(checkpoint, options)
    for entry in signatures(checkpoint.text.config, options):
        _function(program.function(entry.name), checkpoint, entry, options, ends)
    return program


def parts(checkpoint: Checkpoint, options: CoremlOptions) -> list[tuple[Program, tuple[Signature, ...]]]:
    """The programs to write, with their functions' inputs, states and outputs; one, save for profile ``ane``."""
    program, made = decoder(checkpoint, options), signatures(checkpoint.text.config, options)
    count = len(last_layers(checkpoint, options))
    return [(program, made)] if count == 1 else split(program, made, count)


def _function(
    function: Function, checkpoint: Checkpoint, entry: Signature, options: CoremlOptions, ends: tuple[int, ...]
) -> None:
    config, n = checkpoint.text.config, entry.length
    inputs = {f.name: symbol(function, function.input(f.name, f.shape, f.dtype)) for f in entry.inputs}
    caches: dict[int, tuple[Slot, Slot]] = {}
    for part, owners in enumerate(owners_by_part(config, ends)):
        suffix = f"_{part}" if len(ends) > 1 else ""
        features = states(config, options, owners)
        kept = [function.input(f"{f.name}{suffix}", f.shape, f.dtype, state=True) for f in features]
        for feature, state in zip(features, kept, strict=True):
            meaning = f"{feature.name.capitalize()} of this part's layers that own them, in order."
            function.offer(state, meaning, feature.name)
        for which, (_, length, layers) in enumerate(owners_by_state(config, options, owners)):
            ring = None if length == options.positions else inputs["ring_rows"]
            for i, index in enumerate(layers):
                layer = config.layers[index]
                keys, values = (
                    Slot(state, i, layer.kv_heads, layer.head_dim, ring) for state in kept[2 * which : 2 * which + 2]
                )
                caches[index] = keys, values
    ops = CoremlOps(function, checkpoint.text, options, inputs["position"])
    turns: dict[str, tuple[Symbol, Symbol]] = {}
    masks: dict[str, Symbol] = {}
    for kind, half in {layer.kind: layer.head_dim // 2 for layer in config.layers}.items():
        rows = (inputs[f"{part}_{KINDS[kind]}"].narrow(1, 0, half) for part in ("cos", "sin"))
        cos, sin = (row.reshape(1, n, 1, half) for row in rows)
        turns[kind] = cos, sin
        masks[kind] = inputs[f"mask_{KINDS[kind]}"]
    run, x = Decoder(config, ops), inputs["embeddings"]
    given = run.per_layer_inputs(x, inputs.get("per_layer_embeddings"))
    if given is not None:
        function.offer(given.value, "What every layer gets of the tokens, from the first part.", PER_LAYER)
    for layer, stream in run.layers(x, given, turns, masks, inputs["position"], caches, {}, entry.gives_logits):
        x = stream
        if layer.index in ends[:-1]:
            function.offer(x.value, f"{x.value.name}: the residual stream between two parts.")
            function.part += 1
    if entry.gives_logits:
        result = run.logits(x)
    else:
        last = config.owners[-1].index
        result = ops.read_cache(caches[last][1], last, "value").box([0, 0, 0, 0], [1, 1, 1, 1]).reshape(1, 1, 1)
    (output,) = entry.outputs
    if result.shape != output.shape:
        raise AssertionError(f"{entry.name}/{output.name}: {result.shape} is not {output.shape}")
    result = result.cast(output.dtype)
    function.output(output.name, result.value)
