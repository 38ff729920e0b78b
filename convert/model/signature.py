"""The signatures of the decoder: names, order, shapes, types. Exporters, runners, manifest and apps all read this.

``prefill_<n>`` takes n tokens and returns the caches alone: logits of prompt tokens are never needed, so everything
after the last layer that writes keys and values is left out of it. ``decode`` takes one token and returns logits too.
Names follow LiteRT-LM, so that the stock engine runs the file.
"""

from __future__ import annotations

from dataclasses import dataclass

from convert.checkpoint.config import TextConfig

DECODE = "decode"


@dataclass(frozen=True)
class Tensor:
    """An input or output: name, shape, element type (``float32``, ``int32`` or ``int8``)."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Signature:
    """One entry point: ``length`` tokens at a time."""

    name: str
    length: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def gives_logits(self) -> bool:
        return self.name == DECODE


def cache_tensors(config: TextConfig, context: int, dtype: str) -> tuple[Tensor, ...]:
    """One key and one value tensor per layer that owns them, numbered by owner; values are stored transposed."""
    out = []
    for i, layer in enumerate(config.owners):
        out.append(Tensor(f"kv_cache_k_{i}", (1, layer.kv_heads, context, layer.head_dim), dtype))
        out.append(Tensor(f"kv_cache_v_{i}", (1, layer.kv_heads, layer.head_dim, context), dtype))
    return tuple(out)


def signatures(config: TextConfig, context: int, prefill: tuple[int, ...], cache: str) -> tuple[Signature, ...]:
    """All signatures of a decoder, prefill lengths ascending, decode last.

    Args:
        context: positions in the KV cache.
        prefill: numbers of tokens per prefill call.
        cache: element type of the KV cache, ``float32`` or ``int8``.
    """
    caches = cache_tensors(config, context, cache)
    out = []
    for length in (*sorted(set(prefill)), 0):
        name, n = (f"prefill_{length}", length) if length else (DECODE, 1)
        inputs = [Tensor("embeddings", (1, n, config.hidden), "float32")]
        if config.per_layer_width:
            shape = (1, n, len(config.layers), config.per_layer_width)
            inputs.append(Tensor("per_layer_embeddings", shape, "float32"))
        inputs.append(Tensor("input_pos", (n,), "int32"))
        inputs.append(Tensor("mask", (1, 1, n, context), "float32"))
        outputs = list(caches)
        if not length:
            outputs.append(Tensor("logits", (1, 1, config.vocab), "float32"))
        out.append(Signature(name, n, (*inputs, *caches), tuple(outputs)))
    return tuple(out)
