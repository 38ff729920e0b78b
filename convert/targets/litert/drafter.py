"""The drafter as a TFLite model of its own: one signature, which reads the decoder's caches under their names."""

from __future__ import annotations

from functools import partial

from convert.checkpoint.modules.drafter import DrafterConfig
from convert.checkpoint.types import Checkpoint, Module
from convert.model.drafter import Drafter
from convert.targets.litert import ordered
from convert.targets.litert.emit import Symbol
from convert.targets.litert.entry import give, ring_of, take
from convert.targets.litert.graph import Model
from convert.targets.litert.modules.drafter import by_groups
from convert.targets.litert.ops import LitertOps
from convert.targets.litert.options import LitertOptions, drafts
from convert.targets.litert.ring import Kept
from convert.targets.litert.signature import drafter_signature


def drafter(checkpoint: Checkpoint, module: Module[DrafterConfig], options: LitertOptions) -> Model:
    """Runs the drafter over symbols once."""
    model, config = Model(), checkpoint.text.config
    owners = sorted({layer.owner for layer in module.config.text.layers})
    guessed = drafts(checkpoint.modules)
    signature, names = drafter_signature(config, owners, options.context, options.cache, guessed)
    graph = model.subgraph(signature.name)
    inputs = take(graph, signature, checkpoint, options)
    caches = {owner: (Kept.whole(inputs[key]), Kept.whole(inputs[value])) for owner, (key, value) in names.items()}
    position, mask = inputs["input_pos"], inputs["mask"]
    ring = ring_of(graph, checkpoint, options, position)
    ops = LitertOps(graph, module, options, ring)
    grouped = partial(ordered.head, graph, module, ops) if by_groups(module) else None
    run: Drafter[Symbol, Kept] = Drafter(module.config, ops, grouped)
    masks = run.masks(mask, position) if ring is None else ring.masks(mask, run.window, behind=1)
    made = run(inputs["activations"], position, masks, caches)
    give(graph, signature, dict(zip((tensor.name for tensor in signature.outputs), made, strict=True)))
    return model
