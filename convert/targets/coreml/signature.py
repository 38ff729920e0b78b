"""The functions of a package: names, order, shapes, types and meaning of what they take, keep and give."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from convert.checkpoint.config import FULL, SLIDING, TextConfig
from convert.model.signature import DECODE
from convert.targets.coreml.options import CoremlOptions, aligned

# In a mask, where a token may not look: within float16, and finite.
HIDDEN = -10_000.0
# Suffix of the inputs that belong to a kind of layer.
KINDS: Mapping[str, str] = {SLIDING: "sliding", FULL: "full"}


@dataclass(frozen=True)
class Feature:
    """An input, state or output; ``meaning`` goes into the model's description."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    meaning: str


@dataclass(frozen=True)
class Entry:
    """One function: ``length`` tokens at a time."""

    name: str
    length: int
    inputs: tuple[Feature, ...]
    states: tuple[Feature, ...]
    outputs: tuple[Feature, ...]

    @property
    def gives_logits(self) -> bool:
        return self.name == DECODE


def entries(config: TextConfig, options: CoremlOptions) -> tuple[Entry, ...]:
    """All functions, prefill lengths ascending, decode last."""
    lengths = [(f"prefill_{n}", n) for n in sorted(set(options.prefill))]
    return tuple(_entry(name, n, config, options) for name, n in [*lengths, (DECODE, 1)])


def states(config: TextConfig, options: CoremlOptions, layers: Collection[int] | None = None) -> tuple[Feature, ...]:
    """Keys and values of all layers that own them, or of some of them, ``[owners, kv_heads, C, hd_max]`` each."""
    owners = [layer for layer in config.owners if layers is None or layer.index in layers]
    heads, size = max(layer.kv_heads for layer in owners), max(layer.head_dim for layer in owners)
    shape = (len(owners), heads, options.positions, aligned(size))
    meaning = f"of layers {', '.join(str(layer.index) for layer in owners)}, in this order"
    return tuple(
        Feature(name, shape, options.precision, f"{name.capitalize()} {meaning}; rows are positions.")
        for name in ("keys", "values")
    )


def _entry(name: str, n: int, config: TextConfig, options: CoremlOptions) -> Entry:
    float_, context = options.precision, options.positions
    inputs = [
        Feature(
            "embeddings",
            (1, n, config.hidden),
            float_,
            f"Rows of embed_tokens for {n} tokens, times {config.hidden}^0.5.",
        )
    ]
    if config.per_layer_width:
        shape = (1, n, len(config.layers), config.per_layer_width)
        meaning = f"Rows of embed_tokens_per_layer for the same tokens, times {config.per_layer_width}^0.5."
        inputs.append(Feature("per_layer_embeddings", shape, float_, meaning))
    inputs.append(
        Feature(
            "position",
            (1,),
            "int32",
            f"Position of the first token: row of the states that is written; at most {context - n}.",
        )
    )
    layers = {layer.kind: layer for layer in config.layers}
    for part, whole in (("cos", "Cosines"), ("sin", "Sines")):
        for kind, suffix in KINDS.items():
            if kind in layers:
                rope, size = config.ropes[kind], layers[kind].head_dim
                meaning = f"{whole} of the tokens' rotary angles, theta {rope.theta:g}, {rope.kind}; both halves alike."
                inputs.append(Feature(f"{part}_{suffix}", (n, size), float_, meaning))
    for kind, suffix in KINDS.items():
        if kind in layers:
            within = f", within the last {config.window} positions" if kind == SLIDING else ""
            meaning = f"0 where a token may look (itself and before{within}), {HIDDEN:g} elsewhere."
            inputs.append(Feature(f"mask_{suffix}", (1, 1, n, context), float_, meaning))
    if name == DECODE:
        output = Feature("logits", (1, 1, config.vocab), float_, "Logits of the next token, softcap applied.")
    else:
        output = Feature("done", (1, 1, 1), float_, "No information: the states are what this function is for.")
    return Entry(name, n, tuple(inputs), states(config, options), (output,))
