"""Dimensions of synthetic Gemma 4 text models: small relatives for tests, the embedded demo, and the real sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from convert.demo.tower_shapes import REAL_TOWERS, SMALL_TOWERS, Towers

SLIDING, FULL = "sliding_attention", "full_attention"


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
class Shape:
    """Everything that config.json says about a Gemma 4 text decoder, and the bits of a mobile checkpoint.

    Attributes:
        vocab: rows of the embedding, of the per-layer embedding and of the head.
        intermediate: width of an MLP; layers of the shared tail have twice of it when ``double_wide``.
        sliding_run: sliding layers before each full-attention layer (4 on E2B, 5 on E4B).
        head_dim: head size of sliding layers; ``global_head_dim`` that of full-attention layers.
        kv_shared: layers at the end that read the keys and values of the last owner of their kind.
        per_layer_width: width of one layer's slice of the per-layer embedding.
        max_context: ``max_position_embeddings``, in tokens.
        shared_cache_scales: layers of the shared tail repeat the KV cache scales of their owner.
        towers: the vision and audio towers of a checkpoint that is stored as Google publishes it, see
            ``convert/demo/published.py``; None for the text decoder alone, in a plain file.
        embed_bits: bits of embed_tokens and lm_head; likewise for the others. ``shared_mlp_bits`` is the shared tail's.
        softcap: ``final_logit_softcapping``; None for logits without a cap.
        sliding_theta, full_theta: bases of the rotary embeddings.
        partial_rotary: part of a full-attention head that turns.
        temper: of the random weights.
    """

    vocab: int
    hidden: int
    intermediate: int
    layers: int
    sliding_run: int
    heads: int
    kv_heads: int
    head_dim: int
    global_head_dim: int
    window: int
    max_context: int
    kv_shared: int
    double_wide: bool
    per_layer_width: int
    shared_cache_scales: bool = True
    towers: Towers | None = None
    embed_bits: int = 2
    per_layer_bits: int = 4
    attention_bits: int = 4
    mlp_bits: int = 4
    shared_mlp_bits: int = 4
    gate_bits: int = 8
    softcap: float | None = 30.0
    sliding_theta: float = 10_000.0
    full_theta: float = 1_000_000.0
    partial_rotary: float = 0.25
    temper: Temper = Temper()

    def kind(self, layer: int) -> str:
        """``sliding_attention`` or ``full_attention``, which the last layer always is."""
        return SLIDING if (layer + 1) % (self.sliding_run + 1) and layer + 1 < self.layers else FULL

    def owns_kv(self, layer: int) -> bool:
        return layer < self.layers - self.kv_shared

    def attention_dim(self, layer: int) -> int:
        """Head size of a layer."""
        return self.head_dim if self.kind(layer) == SLIDING else self.global_head_dim

    def mlp_width(self, layer: int) -> int:
        return self.intermediate * (2 if self.double_wide and not self.owns_kv(layer) else 1)

    def owner(self, layer: int) -> int:
        """The layer whose keys and values a layer reads."""
        if self.owns_kv(layer):
            return layer
        return max(i for i in range(self.layers - self.kv_shared) if self.kind(i) == self.kind(layer))

    @property
    def per_layer_total(self) -> int:
        """Columns of the per-layer embedding table."""
        return self.layers * self.per_layer_width


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

DEMO = Shape(
    vocab=1280,
    hidden=160,
    intermediate=320,
    layers=10,
    sliding_run=4,
    heads=4,
    kv_heads=1,
    head_dim=32,
    global_head_dim=64,
    window=64,
    max_context=2048,
    kv_shared=5,
    double_wide=True,
    per_layer_width=32,
    per_layer_bits=4,
    shared_mlp_bits=2,
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
