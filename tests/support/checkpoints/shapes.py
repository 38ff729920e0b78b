"""Dimensions of synthetic Gemma 4 text models: small relatives for tests, and the real sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from convert.demo.writing.shape import TextShape
from tests.support.checkpoints.published.tower_shapes import REAL_TOWERS, SMALL_TOWERS, Towers


@dataclass(frozen=True)
class Temper:
    """How calm random weights make a network: one that keeps its residual or sharpens it multiplies rounding errors.

    Attributes:
        scalars: least and largest ``layer_scalar``.
        attention_spread: spread of the attention scores. Queries and keys are normalized and their product is not
            scaled, so norms set it. At 2 a random mobile network multiplies rounding errors to three tenths of its
            logits; at 1, to a tenth.
        logit_gain: size of the last norm, and so of the logits.
    """

    scalars: tuple[float, float] = (0.35, 0.95)
    attention_spread: float = 1.0
    logit_gain: float = 4.5


@dataclass(frozen=True)
class Shape(TextShape):
    """A text decoder of random weights and what lies beside it.

    Attributes:
        towers: the vision and audio towers of a checkpoint that is stored as Google publishes it, see
            ``tests/support/checkpoints/published``; None for the text decoder alone, in a plain file.
        temper: of the random weights.
    """

    towers: Towers | None = None
    temper: Temper = Temper()


SMALL_E2B = Shape(
    vocab=1003,
    hidden=192,
    intermediate=320,
    layers=10,
    sliding_run=4,
    heads=4,
    kv_heads=1,
    head_dim=32,
    global_head_dim=64,
    window=24,
    max_context=512,
    kv_shared=5,
    double_wide=True,
    per_layer_width=32,
    per_layer_bits=4,
    shared_mlp_bits=2,
)

SMALL_E4B = Shape(
    vocab=1010,
    hidden=192,
    intermediate=416,
    layers=12,
    sliding_run=5,
    heads=4,
    kv_heads=2,
    head_dim=64,
    global_head_dim=128,
    window=24,
    max_context=512,
    kv_shared=6,
    double_wide=False,
    per_layer_width=64,
    shared_cache_scales=False,
    per_layer_bits=2,
    shared_mlp_bits=4,
)

E2B = Shape(
    vocab=262144,
    hidden=1536,
    intermediate=6144,
    layers=35,
    sliding_run=4,
    heads=8,
    kv_heads=1,
    head_dim=256,
    global_head_dim=512,
    window=512,
    max_context=131072,
    towers=REAL_TOWERS,
    kv_shared=20,
    double_wide=True,
    per_layer_width=256,
    per_layer_bits=4,
    shared_mlp_bits=2,
)

E4B = Shape(
    vocab=262144,
    hidden=2560,
    intermediate=10240,
    layers=42,
    sliding_run=5,
    heads=8,
    kv_heads=2,
    head_dim=256,
    global_head_dim=512,
    window=512,
    max_context=131072,
    towers=REAL_TOWERS,
    kv_shared=18,
    double_wide=False,
    per_layer_width=256,
    per_layer_bits=2,
    shared_mlp_bits=4,
)

# As published: an odd number of layers and so of layer scalars, as E2B has, puts the integers at 2 modulo 4.
PUBLISHED_E2B = replace(SMALL_E2B, hidden=160, layers=15, kv_shared=10, towers=SMALL_TOWERS)
PUBLISHED_E4B = replace(SMALL_E4B, shared_cache_scales=True, towers=SMALL_TOWERS)

# The real vocabulary and tokenizer on a network as thin as can be.
WIDE = replace(
    PUBLISHED_E2B,
    vocab=262144,
    hidden=32,
    intermediate=64,
    layers=4,
    sliding_run=1,
    heads=2,
    head_dim=16,
    global_head_dim=32,
    kv_shared=2,
    per_layer_width=16,
)

SMALL = {"e2b": SMALL_E2B, "e4b": SMALL_E4B}
PUBLISHED = {"e2b": PUBLISHED_E2B, "e4b": PUBLISHED_E4B, "wide": WIDE}
FULL_SIZE = {"e2b": E2B, "e4b": E4B}
