"""What can be chosen for the LiteRT target."""

from __future__ import annotations

from dataclasses import dataclass

# How many int8 terms a float activation is split into before it meets integer weights (see ``dynamic``), by checkpoint
# format. Two are 16 bits: plenty for logits (mobile: lm_head alone). In q4_0 models the errors of all layers add up, so
# they get three, float32's 24 bits; one token takes the kernels as long with three as with two.
TERMS = {"mobile": 2, "q4_0": 3}


@dataclass(frozen=True)
class LitertOptions:
    """Attributes:
    context: positions of the KV cache, in tokens.
    prefill: tokens per prefill call, one signature each.
    cache: element type of the KV cache: ``float32``, or ``int8`` with the checkpoint's scales.
    terms: int8 terms per float activation, 1 to 3: 8, 16 or 24 bits; None takes the format's (``TERMS``).
    """

    context: int
    prefill: tuple[int, ...]
    cache: str = "float32"
    terms: int | None = None
