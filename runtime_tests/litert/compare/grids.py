"""How much of an int8 cache's grid the reference's keys and values use.

A checkpoint's cache scales say what its trainer expected to store. Where rows reach a few steps of 127 alone, or many
lie beyond, the scales belong to other rows than these: a factor between the two shows here, layer by layer. It is
stated and not judged, for a prompt may be poor, and the scales are carried as they are.
"""

from __future__ import annotations

import numpy as np

from runtime_tests.litert.cache import Cache
from runtime_tests.litert.case import DECODER, LitertCase
from runtime_tests.results import Check, stated

_LAST = 127  # steps of the grid on each side of zero


def cache_grids(case: LitertCase, layout: Cache) -> list[Check]:
    """Of the layer that reaches the fewest steps and of the one that has most values beyond; empty without int8."""
    model = case.model(DECODER)
    graph, entry = model.subgraph("decode"), model.signatures["decode"]
    reached, beyond = dict[str, float](), dict[str, float]()
    for number, layer in enumerate(layout.owners):
        for kind in ("key", "value"):
            tensor = graph.tensors[entry.inputs[f"kv_cache_{kind[0]}_{number}"]]
            if tensor.type == "INT8" and tensor.quantization is not None:
                name = f"layers.{layer}/{kind}"
                steps = np.abs(layout.rows(name, slice(None))) / tensor.quantization.scales[0]
                reached[name], beyond[name] = float(steps.max()), float(np.mean(steps > _LAST + 0.5))
    if not reached:
        return []
    fewest, farthest = min(reached, key=reached.__getitem__), max(reached, key=reached.__getitem__)
    cut = max(beyond, key=beyond.__getitem__)
    told = f"of {_LAST}: {fewest}; the most: {reached[farthest]:.3g}, {farthest}"
    return [
        stated("int8 cache: steps that a layer's rows reach, fewest", reached[fewest], "steps", told),
        stated("int8 cache: values beyond the grid, worst layer", 100 * beyond[cut], "%", cut),
    ]
