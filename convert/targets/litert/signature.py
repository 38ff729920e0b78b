"""The signatures of a `.litertlm`, as LiteRT-LM calls them: the caches go in and come out under one name."""

from __future__ import annotations

from dataclasses import replace

from convert.checkpoint.config import TextConfig
from convert.model import signature as model
from convert.model.signature import Signature, Tensor
from convert.targets.litert.ring import ring_rows


def signatures(config: TextConfig, context: int, prefill: tuple[int, ...], cache: str) -> tuple[Signature, ...]:
    """All signatures, prefill lengths ascending, decode last.

    Args:
        context: positions in the KV cache.
        prefill: numbers of tokens per prefill call.
        cache: element type of the KV cache, ``float32`` or ``int8``.
    """
    ring = ring_rows(config, context)
    found = model.signatures(config, context, prefill, "float32", cache, ring)
    return tuple(_fed(one, context) for one in found)


def _fed(found: Signature, context: int) -> Signature:
    n = found.length
    given = (
        Tensor("input_pos", (n,), "int32", "Positions of the tokens, one after the other; those of padding are 0."),
        Tensor("mask", (1, 1, n, context), "float32", "0 where a token may look, a large negative number elsewhere."),
    )
    return replace(found, inputs=(*found.inputs, *given, *found.states), outputs=(*found.states, *found.outputs))
