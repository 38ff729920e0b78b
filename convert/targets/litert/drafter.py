"""The drafter as a TFLite model of its own: one signature, which reads the decoder's caches under their names."""

from __future__ import annotations

from functools import partial

from convert.checkpoint.config import FULL, SLIDING
from convert.checkpoint.modules.drafter import DrafterConfig
from convert.checkpoint.types import Checkpoint, Module
from convert.model.drafter import Drafter
from convert.targets.litert import ordered
from convert.targets.litert.cache_rows import ring_rows
from convert.targets.litert.decoder import cache_scales
from convert.targets.litert.emit import Symbol, symbol
from convert.targets.litert.graph import Model, per_tensor
from convert.targets.litert.ops import LitertOps
from convert.targets.litert.options import LitertOptions, drafts
from convert.targets.litert.ring import Kept, Ring
from convert.targets.litert.signature import drafter_signature


def drafter(checkpoint: Checkpoint, module: Module[DrafterConfig], options: LitertOptions) -> Model:
    """Runs the drafter over symbols once."""
    model, config = Model(), checkpoint.text.config
    owners = sorted({layer.owner for layer in module.config.text.layers})
    guessed = drafts(checkpoint.modules)
    signature, names = drafter_signature(config, owners, options.context, options.cache, guessed)
    graph = model.subgraph(signature.name)
    scales = cache_scales(checkpoint) if options.cache == "int8" else {}
    inputs: dict[str, Symbol] = {}
    for tensor in signature.inputs:
        quantization = per_tensor(scales[tensor.name]) if tensor.name in scales else None
        inputs[tensor.name] = symbol(graph.input(tensor.name, tensor.shape, tensor.dtype, quantization))
    caches = {owner: (_kept(inputs[key]), _kept(inputs[value])) for owner, (key, value) in names.items()}
    position, rows = inputs["input_pos"], ring_rows(config, options.context, guessed)
    ring = None if rows is None else Ring(graph, rows, position)
    ops = LitertOps(graph, module, options, ring)
    grouped = partial(ordered.head, graph, module, ops) if ordered.by_groups(module) else None
    run: Drafter[Symbol, Kept] = Drafter(module.config, ops, grouped)
    if ring is None:
        masks = run.masks(inputs["mask"], position)
    else:
        masks = {FULL: inputs["mask"], SLIDING: ring.mask(run.window, behind=1)}
    made = run(inputs["activations"], position, masks, caches)
    for tensor, found in zip(signature.outputs, made, strict=True):
        if found.shape != tensor.shape or found.dtype != tensor.dtype:
            raise AssertionError(f"{signature.name}/{tensor.name}: {found.shape} is not {tensor.shape}")
        graph.output(tensor.name, found.value)
    return model


def _kept(cache: Symbol) -> Kept:
    return Kept(cache, cache)
