"""The signatures of a `.litertlm`, as LiteRT-LM calls them: the caches go in and come out under one name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from convert.checkpoint.config import TextConfig
from convert.model import signature as model
from convert.model.signature import Signature, Tensor
from convert.targets.litert.cache_rows import ring_rows

DRAFTER = "mtp_drafter"


def signatures(
    config: TextConfig, context: int, prefill: tuple[int, ...], cache: str, drafts: int = 0
) -> tuple[Signature, ...]:
    """All signatures, prefill lengths ascending, then decode, then verify where there are drafts.

    Args:
        context: positions in the KV cache.
        prefill: numbers of tokens per prefill call.
        cache: element type of the KV cache, ``float32`` or ``int8``.
        drafts: tokens that a drafter guesses at a time.
    """
    ring = ring_rows(config, context, drafts)
    found = model.signatures(config, context, prefill, "float32", cache, ring, drafts)
    return tuple(_fed(each, context) for each in found)


def drafter_signature(
    config: TextConfig, owners: Sequence[int], context: int, cache: str, drafts: int
) -> tuple[Signature, dict[int, tuple[str, str]]]:
    """The drafter's one signature, and by layer the names of the decoder's caches that it reads.

    Args:
        config: of the decoder.
        owners: the layers whose caches are read, ascending.
        drafts: tokens that it guesses at a time.
    """
    names = {
        layer.index: (f"kv_cache_k_{i}", f"kv_cache_v_{i}")
        for i, layer in enumerate(config.owners)
        if layer.index in owners
    }
    read = {name for pair in names.values() for name in pair}
    given = (
        Tensor("activations", (1, 1, 2 * config.hidden), "float32", "The last token's embedding, and a hidden state."),
        Tensor("input_pos", (1,), "int32", "The last position that the caches hold, the same for all drafts."),
        Tensor("mask", (1, 1, 1, context), "float32", "0 where a token may look, a large negative number elsewhere."),
        *(
            tensor
            for tensor in model.cache_tensors(config, context, cache, ring_rows(config, context, drafts))
            if tensor.name in read
        ),
    )
    made = (
        Tensor("logits", (1, 1, config.vocab), "float32", "Logits of the drafted token."),
        Tensor("projected_activations", (1, 1, config.hidden), "float32", "The hidden state for the next draft."),
    )
    return Signature(DRAFTER, 1, given, made), names


def _fed(found: Signature, context: int) -> Signature:
    n = found.length
    given = (
        Tensor("input_pos", (n,), "int32", "Positions of the tokens, one after the other; those of padding are 0."),
        Tensor("mask", (1, 1, n, context), "float32", "0 where a token may look, a large negative number elsewhere."),
    )
    return replace(found, inputs=(*found.inputs, *given, *found.states), outputs=(*found.states, *found.outputs))
