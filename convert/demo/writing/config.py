"""config.json and generation_config.json as the published Gemma 4 checkpoints have them, without audio."""

from __future__ import annotations

from typing import Any

from convert.demo.writing.shape import FULL, SLIDING, TextShape
from convert.demo.writing.tokenizer import PICTURE
from convert.demo.writing.tower import VisionShape, vision_config

STOP_TOKENS = [1, 106, 50]


def model_config(shape: TextShape, format: str, tower: VisionShape | None = None) -> dict[str, Any]:
    """config.json of a ``Gemma4ForConditionalGeneration``: a text decoder, and a vision tower if there is one."""
    tied = format != "mobile"
    config: dict[str, Any] = {
        "architectures": ["Gemma4ForConditionalGeneration"],
        "audio_config": None,
        "dtype": "bfloat16",
        "eos_token_id": [1, 106],
        "model_type": "gemma4",
        "text_config": _text(shape, tied),
        "tie_word_embeddings": tied,
        "vision_config": None,
    }
    if tower:
        ids = zip(("boi_token_id", "image_token_id", "eoi_token_id"), PICTURE.values(), strict=True)
        config |= {**dict(ids), "vision_config": vision_config(tower), "vision_soft_tokens_per_image": tower.tokens}
    if format == "mobile":
        config["quantization_config"] = quantization(shape)
    return config


def _text(shape: TextShape, tied: bool) -> dict[str, Any]:
    return {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "attention_k_eq_v": False,
        "bos_token_id": 2,
        "dtype": "bfloat16",
        "enable_moe_block": False,
        "eos_token_id": 1,
        "final_logit_softcapping": shape.softcap,
        "global_head_dim": shape.global_head_dim,
        "head_dim": shape.head_dim,
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": shape.hidden,
        "hidden_size_per_layer_input": shape.per_layer_width,
        "initializer_range": 0.02,
        "intermediate_size": shape.intermediate,
        "layer_types": [shape.kind(i) for i in range(shape.layers)],
        "max_position_embeddings": shape.max_context,
        "model_type": "gemma4_text",
        "moe_intermediate_size": None,
        "num_attention_heads": shape.heads,
        "num_experts": None,
        "num_global_key_value_heads": None,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "num_kv_shared_layers": shape.kv_shared,
        "pad_token_id": 0,
        "rms_norm_eps": 1e-06,
        "rope_parameters": {
            FULL: {
                "partial_rotary_factor": shape.partial_rotary,
                "rope_theta": shape.full_theta,
                "rope_type": "proportional",
            },
            SLIDING: {"rope_theta": shape.sliding_theta, "rope_type": "default"},
        },
        "sliding_window": shape.window,
        "tie_word_embeddings": tied,
        "top_k_experts": None,
        "use_bidirectional_attention": None,
        "use_cache": True,
        "use_double_wide_mlp": shape.double_wide,
        "vocab_size": shape.vocab,
        "vocab_size_per_layer_input": shape.vocab,
    }


def quantization(shape: TextShape) -> dict[str, Any]:
    """``quantization_config``: the first pattern that is found in a module's name gives its bits.

    The patterns of the vision and audio towers stay in, as in the published files; they find nothing here.
    """
    layer = r"language_model\.layers\.\d+\."
    owners = "|".join(str(i) for i in range(shape.layers) if shape.owns_kv(i))
    bits = {
        "^lm_head$": shape.embed_bits,
        r"language_model\.embed_tokens$": shape.embed_bits,
        r"language_model\.embed_tokens_per_layer$": shape.per_layer_bits,
    }
    if shape.mlp_bits != shape.shared_mlp_bits:
        bits[rf"language_model\.layers\.({owners})\.mlp\."] = shape.mlp_bits
    bits |= {
        layer + r"mlp\.": shape.shared_mlp_bits,
        layer + r"per_layer_input_gate$": shape.gate_bits,
        layer + r"per_layer_projection$": shape.gate_bits,
        layer + r"self_attn\.": shape.attention_bits,
        r"lconv1d\.linear_start": 4,
        r"audio_tower\.": 2,
        r"vision_tower\.": 8,
    }
    return {
        "module_quant_configs": {pattern: {"num_bits": width} for pattern, width in bits.items()},
        "modules_to_not_convert": [
            "model.audio_tower.output_proj",
            "model.audio_tower.subsample_conv_projection",
            "model.embed_audio",
            "model.embed_vision",
            "per_layer_model_projection",
            "relative_k_proj",
            "model.vision_tower.patch_embedder",
        ],
        "num_bits": 4,
        "quant_method": "gemma",
        "quantize_embeddings": True,
    }


def generation_config() -> dict[str, Any]:
    """generation_config.json: sampling defaults and the tokens that end a turn."""
    return {
        "bos_token_id": 2,
        "do_sample": True,
        "eos_token_id": STOP_TOKENS,
        "pad_token_id": 0,
        "temperature": 1.0,
        "top_k": 64,
        "top_p": 0.95,
    }
