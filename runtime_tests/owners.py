"""Which layers have keys and values of their own, from config.json."""

from __future__ import annotations

from typing import Any


def owners(text: dict[str, Any]) -> list[tuple[int, int, int]]:
    """KV-owning layers as (layer, kv heads, head_dim), by the rules of transformers' ``Gemma4TextConfig``."""
    count, shared = text["num_hidden_layers"], text.get("num_kv_shared_layers", 0)
    out = []
    for index in range(count - shared if shared else count):
        full = text["layer_types"][index] == "full_attention"
        head = text.get("global_head_dim", 512) if full else text["head_dim"]
        wide = text.get("num_global_key_value_heads") if full and text.get("attention_k_eq_v") else None
        out.append((index, wide or text["num_key_value_heads"], head))
    return out
