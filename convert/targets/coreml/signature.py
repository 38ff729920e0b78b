"""The functions of a package: names, order, shapes, types and meaning of what they take, keep and give."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from convert.checkpoint.config import FULL, SLIDING, TextConfig
from convert.model import signature as model
from convert.model.signature import Signature, Tensor
from convert.targets.coreml.options import CoremlOptions, aligned
from convert.targets.coreml.rings import KEYS, VALUES, owners_by_state, ring_length

# In a mask, where a token may not look: within float16, and finite.
HIDDEN = -10_000.0
# Suffix of the inputs that belong to a kind of layer.
KINDS: Mapping[str, str] = {SLIDING: "sliding", FULL: "full"}


def signatures(config: TextConfig, options: CoremlOptions) -> tuple[Signature, ...]:
    """All functions, prefill lengths ascending, decode last."""
    float_ = options.precision
    kept = states(config, options)
    return tuple(
        replace(
            found,
            inputs=(*found.inputs, *_given(found.length, config, options)),
            outputs=found.outputs or (_done(float_),),
            states=kept,
        )
        for found in model.signatures(config, options.positions, options.prefill, float_, float_)
    )


def states(config: TextConfig, options: CoremlOptions, layers: Collection[int] | None = None) -> tuple[Tensor, ...]:
    """Keys and values of all layers that own them, or of some of them, ``[owners, kv_heads, rows, hd_max]`` each."""
    out = []
    for suffix, rows, owners in owners_by_state(config, options, layers):
        found = [config.layers[index] for index in owners]
        heads, size = max(layer.kv_heads for layer in found), max(layer.head_dim for layer in found)
        meaning = f"of layers {', '.join(map(str, owners))}, in this order; "
        meaning += "rows are positions." if rows == options.positions else f"position p is in row p modulo {rows}."
        for name in (KEYS, VALUES):
            shape = (len(owners), heads, rows, aligned(size))
            out.append(Tensor(f"{name}{suffix}", shape, options.precision, f"{name.capitalize()} {meaning}"))
    return tuple(out)


def _done(float_: str) -> Tensor:
    return Tensor("done", (1, 1, 1), float_, "No information: the states are what this function is for.")


def _given(n: int, config: TextConfig, options: CoremlOptions) -> list[Tensor]:
    """Position, rotary rows and masks of n tokens."""
    float_, context = options.precision, options.positions
    where = f"Position of the first token: row of the states that is written; at most {context - n}."
    inputs, ring = [Tensor("position", (1,), "int32", where)], ring_length(config, options)
    if ring is not None:
        meaning = f"What each row of a ring becomes: row r of it, or new row j as {ring} + j."
        inputs.append(Tensor("ring_rows", (ring,), "int32", meaning))
    layers = {layer.kind: layer for layer in config.layers}
    for part, whole in (("cos", "Cosines"), ("sin", "Sines")):
        for kind, suffix in KINDS.items():
            if kind in layers:
                rope, size = config.ropes[kind], layers[kind].head_dim
                meaning = f"{whole} of the tokens' rotary angles, theta {rope.theta:g}, {rope.kind}; both halves alike."
                inputs.append(Tensor(f"{part}_{suffix}", (n, size), float_, meaning))
    for kind, suffix in KINDS.items():
        if kind in layers:
            within = f", within the last {config.window} positions" if kind == SLIDING else ""
            meaning = f"0 where a token may look (itself and before{within}), {HIDDEN:g} elsewhere."
            columns = context
            if kind == SLIDING and ring is not None:
                columns, meaning = ring + n, f"{meaning} Columns are the ring as it was, then the new rows."
            inputs.append(Tensor(f"mask_{suffix}", (1, 1, n, columns), float_, meaning))
    return inputs
