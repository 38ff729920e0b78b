"""Dimensions of a Gemma 4 text decoder, and those of the embedded demo."""

from __future__ import annotations

from dataclasses import dataclass

SLIDING, FULL = "sliding_attention", "full_attention"


@dataclass(frozen=True)
class TextShape:
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
        embed_bits: bits of embed_tokens and lm_head; likewise for the others. ``shared_mlp_bits`` is the shared tail's.
        softcap: ``final_logit_softcapping``; None for logits without a cap.
        sliding_theta, full_theta: bases of the rotary embeddings.
        partial_rotary: part of a full-attention head that turns.
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


DEMO = TextShape(
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
