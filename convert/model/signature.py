"""The signatures of the decoder: names, order, shapes, types and meanings of what goes in, is kept and comes out.

``prefill_<n>`` takes n tokens and fills the caches alone: logits of prompt tokens are never needed, so everything after
the last layer that writes keys and values is left out of it. ``decode`` takes one token and returns logits too. Where
there is a drafter, ``verify`` takes a token with the drafts behind it and returns logits for each. How positions and
masks go in and where the caches are kept is each runtime's: a target derives its signatures from these. Names follow
LiteRT-LM, so that the stock engine runs the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from convert.checkpoint.config import SLIDING, TextConfig

DECODE, VERIFY = "decode", "verify"


@dataclass(frozen=True)
class Tensor:
    """An input, state or output: name, shape, element type as numpy spells it, and what it means, in a sentence.

    Two that differ in words alone are equal.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    meaning: str = field(default="", compare=False)


@dataclass(frozen=True)
class Signature:
    """One entry point: ``length`` tokens at a time.

    Attributes:
        states: what is kept from call to call. Where the runtime does not keep it itself, each state is among the
            inputs and the outputs too, under its name.
    """

    name: str
    length: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    states: tuple[Tensor, ...] = ()

    @property
    def gives_logits(self) -> bool:
        return self.name in (DECODE, VERIFY)


def cache_tensors(config: TextConfig, context: int, dtype: str, ring: int | None = None) -> tuple[Tensor, ...]:
    """One key and one value tensor per layer that owns them, numbered by owner; values are stored transposed.

    Args:
        ring: rows of sliding layers, where position p lies in row p modulo ``ring``; None: one row per position.
    """
    out = []
    for i, layer in enumerate(config.owners):
        length, which = context, "one per position"
        if ring is not None and layer.kind == SLIDING:
            length, which = ring, f"of the last {ring} positions"
        rows = f"of layer {layer.index}, {which}"
        out.append(Tensor(f"kv_cache_k_{i}", (1, layer.kv_heads, length, layer.head_dim), dtype, f"Keys {rows}."))
        out.append(Tensor(f"kv_cache_v_{i}", (1, layer.kv_heads, layer.head_dim, length), dtype, f"Values {rows}."))
    return tuple(out)


def signatures(
    config: TextConfig,
    context: int,
    prefill: tuple[int, ...],
    element: str,
    cache: str,
    ring: int | None = None,
    drafts: int = 0,
) -> tuple[Signature, ...]:
    """What the signatures of all targets have in common, prefill lengths ascending, then decode, then verify.

    Args:
        context: positions in the KV cache.
        prefill: numbers of tokens per prefill call.
        element: type of what goes in and comes out, ``float32`` or ``float16``.
        cache: element type of the KV cache.
        ring: see ``cache_tensors``.
        drafts: tokens that a drafter guesses at a time; 0: there is none, and nothing to verify.
    """
    states = cache_tensors(config, context, cache, ring)
    out = []
    entries = [(f"prefill_{length}", length) for length in sorted(set(prefill))] + [(DECODE, 1)]
    for name, n in [*entries, *([(VERIFY, drafts + 1)] if drafts else [])]:
        meaning = f"Rows of embed_tokens for {n} tokens, times {config.hidden}^0.5."
        inputs = [Tensor("embeddings", (1, n, config.hidden), element, meaning)]
        if config.per_layer_width:
            shape = (1, n, len(config.layers), config.per_layer_width)
            meaning = f"Rows of embed_tokens_per_layer for the same tokens, times {config.per_layer_width}^0.5."
            inputs.append(Tensor("per_layer_embeddings", shape, element, meaning))
        outputs = []
        if name in (DECODE, VERIFY):
            meaning = "Logits of the next token" + (", for each token" if n > 1 else "") + ", softcap applied."
            outputs.append(Tensor("logits", (1, n, config.vocab), element, meaning))
        if drafts and outputs:
            meaning = "The last hidden states, after the final norm, for the drafter."
            outputs.append(Tensor("activations", (1, n, config.hidden), element, meaning))
        out.append(Signature(name, n, tuple(inputs), tuple(outputs), states))
    return tuple(out)
