"""Writes a trained drafter as a Hugging Face folder, its linears on the q4_0 lattice."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from convert.demo.train.fake_quant import Q40Linear, q4_0
from convert.demo.writing import bfloat16, safetensors
from convert.demo.writing.stored import Tensor

HIDDEN, INTERMEDIATE, HEADS, SLIDING_LAYERS = 64, 128, 2, 3
_SHARED = (
    "vocab_size", "head_dim", "global_head_dim", "num_key_value_heads", "sliding_window", "rope_parameters",
    "max_position_embeddings", "rms_norm_eps", "hidden_activation", "bos_token_id", "eos_token_id", "pad_token_id",
)  # fmt: skip


def config(model: Path) -> dict[str, Any]:
    """config.json of a drafter for a model, with the fields that have to fit taken from the model's."""
    text = json.loads((model / "config.json").read_text("utf-8"))["text_config"]
    layers = [*["sliding_attention"] * SLIDING_LAYERS, "full_attention"]
    inner = {name: text[name] for name in _SHARED} | {
        "model_type": "gemma4_text",
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_attention_heads": HEADS,
        "num_hidden_layers": len(layers),
        "num_kv_shared_layers": len(layers),
        "layer_types": layers,
        "hidden_size_per_layer_input": 0,
        "vocab_size_per_layer_input": 0,
        "enable_moe_block": False,
        "use_double_wide_mlp": False,
        "tie_word_embeddings": True,
    }
    return {
        "architectures": ["Gemma4AssistantForCausalLM"],
        "backbone_hidden_size": text["hidden_size"],
        "dtype": "bfloat16",
        "model_type": "gemma4_assistant",
        "text_config": inner,
        "tie_word_embeddings": True,
        "use_ordered_embeddings": False,
    }


def write(folder: Path, drafter: Any, model: Path) -> None:
    """The folder as Google publishes drafters: bfloat16 throughout, the head under the embedding's name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config(model), indent=2, sort_keys=True) + "\n", "utf-8")
    found: dict[str, Any] = {}
    exact = {name for name, module in drafter.named_modules() if isinstance(module, Q40Linear)}
    for name, value in drafter.state_dict().items():
        if value.is_floating_point() and name != "model.embed_tokens.weight":
            kept = q4_0(value) if name.removesuffix(".weight") in exact else value
            found["model.embed_tokens.weight" if name == "lm_head.weight" else name] = kept

    def fill(tensor: Tensor) -> Iterable[bytes]:
        yield bfloat16.to_bits(np.ascontiguousarray(found[tensor.name].numpy())).tobytes()

    tensors = [Tensor(name, "BF16", tuple(value.shape), name, "dense") for name, value in found.items()]
    safetensors.write(folder, tensors, fill)
