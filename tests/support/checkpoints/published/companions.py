"""The JSON files that lie beside the weights of a published Gemma 4 checkpoint, with every key that Google's have.

What is known of Google's files: names and values of the keys, and the SHA-256 of generation_config.json.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from convert.demo.writing import config, tokenizer
from tests.support.checkpoints.corpus import words
from tests.support.checkpoints.published import full_tokenizer
from tests.support.checkpoints.published.tower_shapes import Audio, Vision
from tests.support.checkpoints.shapes import Shape

_WRITER = "5.10.0.dev0"
# config.json spells the media tokens by these keys; tokenizer.MEDIA has the tokens.
_MEDIA_KEYS = {
    "audio_token_id": "<|audio|>",
    "boa_token_id": "<|audio>",
    "boi_token_id": "<|image>",
    "eoa_token_id": "<audio|>",
    "eoa_token_index": "<audio|>",
    "eoi_token_id": "<image|>",
    "image_token_id": "<|image|>",
    "video_token_id": "<|video|>",
}
_ROLES = {
    "audio_token": "<|audio|>",
    "boa_token": "<|audio>",
    "boi_token": "<|image>",
    "eoa_token": "<audio|>",
    "eoi_token": "<image|>",
    "image_token": "<|image|>",
}


def vocabulary(size: int, corpus: Sequence[str] | None = None) -> tokenizer.Pieces:
    """A vocabulary with media tokens at its end: of real size and kind for 262,144, else learned.

    As in a tokenizer that was made from a SentencePiece model, every way to split a piece into two is a merge.
    """
    if size == full_tokenizer.SIZE:
        return full_tokenizer.pieces()
    small = tokenizer.learn(size - len(tokenizer.MEDIA), words() if corpus is None else corpus)
    text = [small.pieces[i] for i in sorted(small.spoken - tokenizer.STOPS)]
    merges = tokenizer.splits([left + right for left, right in small.merges], set(text))
    return replace(small, pieces=(*small.pieces, *tokenizer.MEDIA), merges=tuple(merges))


def text(content: dict[str, Any]) -> str:
    """A file's text as its writer lays it out: sorted keys, two blanks a level."""
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def model_config(shape: Shape, format: str, pieces: tokenizer.Pieces) -> dict[str, Any]:
    """config.json with both towers.

    Args:
        pieces: the vocabulary, which has the media tokens.
    """
    assert shape.towers is not None
    plain = config.model_config(shape, format)
    ids = pieces.media_ids()
    clipped = format != "mobile"
    found = {
        **plain,
        **{key: ids[token] for key, token in _MEDIA_KEYS.items()},
        "audio_config": _audio(shape.towers.audio, clipped),
        "eos_token_id": config.STOP_TOKENS,
        "initializer_range": 0.02,
        "text_config": {**plain["text_config"], "expert_intermediate_size": None},
        "transformers_version": _WRITER,
        "vision_config": _vision(shape.towers.vision, clipped),
        "vision_soft_tokens_per_image": 280,
    }
    if format == "mobile":
        found["quantization_config"] = quantization(shape)
    return found


def quantization(shape: Shape) -> dict[str, Any]:
    """``quantization_config``: 11 patterns where shared layers have MLPs of other bits (E2B), else 10 (E4B)."""
    towers = shape.towers
    assert towers is not None
    layer = r"language_model\.layers\.\d+\."
    bits = {
        r"^lm_head$": shape.embed_bits,
        r"language_model\.embed_tokens$": shape.embed_bits,
        r"language_model\.embed_tokens_per_layer$": shape.per_layer_bits,
    }
    if shape.mlp_bits != shape.shared_mlp_bits:
        bits[rf"language_model\.layers\.{_below(shape.layers - shape.kv_shared)}\.mlp\."] = shape.mlp_bits
    bits |= {
        layer + r"mlp\.": shape.shared_mlp_bits,
        layer + r"per_layer_input_gate$": shape.gate_bits,
        layer + r"per_layer_projection$": shape.gate_bits,
        layer + r"self_attn\.": shape.attention_bits,
        r"vision_tower": towers.vision_bits,
        r"audio_tower(?!.*lconv1d\.linear_start)": towers.audio_bits,
        r"audio_tower\.layers\.\d+\.lconv1d\.linear_start\.": towers.start_bits,
    }
    return {
        "module_quant_configs": {pattern: {"num_bits": width} for pattern, width in bits.items()},
        "modules_to_not_convert": [
            "model.vision_tower.patch_embedder",
            "model.audio_tower.subsample_conv_projection",
            "model.audio_tower.output_proj",
            "relative_k_proj",
            "model.embed_audio",
            "model.embed_vision",
            "per_layer_model_projection",
        ],
        "num_bits": 4,
        "quant_method": "gemma",
        "quantize_embeddings": True,
    }


def _below(count: int) -> str:
    """A regular expression for the numbers below ``count``, at most 20, as the published files spell it."""
    if count <= 10:
        return f"[0-{count - 1}]"
    return rf"(\d|1[0-{count - 11}])"


def _inherited(clipped: bool) -> dict[str, Any]:
    """What earlier releases of transformers wrote into the configuration of every part."""
    return {
        "_name_or_path": "",
        "architectures": None,
        "chunk_size_feed_forward": 0,
        "dtype": "bfloat16",
        "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
        "initializer_range": 0.02,
        "is_encoder_decoder": False,
        "label2id": {"LABEL_0": 0, "LABEL_1": 1},
        "output_attentions": False,
        "output_hidden_states": False,
        "problem_type": None,
        "return_dict": True,
        "rms_norm_eps": 1e-06,
        "use_clipped_linears": clipped,
    }


def _audio(audio: Audio, clipped: bool) -> dict[str, Any]:
    return {
        **_inherited(clipped),
        "attention_chunk_size": 12,
        "attention_context_left": 13,
        "attention_context_right": 0,
        "attention_invalid_logits_value": -1e9,
        "attention_logit_cap": 50.0,
        "conv_kernel_size": audio.kernel,
        "gradient_clipping": 1e10,
        "hidden_act": "silu",
        "hidden_size": audio.hidden,
        "model_type": "gemma4_audio",
        "num_attention_heads": audio.heads,
        "num_hidden_layers": audio.layers,
        "output_proj_dims": audio.output,
        "residual_weight": 0.5,
        "subsampling_conv_channels": list(audio.channels),
    }


def _vision(vision: Vision, clipped: bool) -> dict[str, Any]:
    return {
        **_inherited(clipped),
        "attention_bias": False,
        "attention_dropout": 0.0,
        "default_output_length": 280,
        "global_head_dim": vision.head_dim,
        "head_dim": vision.head_dim,
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": vision.hidden,
        "intermediate_size": vision.intermediate,
        "max_position_embeddings": 131072,
        "model_type": "gemma4_vision",
        "num_attention_heads": vision.heads,
        "num_hidden_layers": vision.layers,
        "num_key_value_heads": vision.heads,
        "patch_size": vision.patch,
        "pooling_kernel_size": 3,
        "position_embedding_size": vision.positions,
        "rope_parameters": {"rope_theta": 100.0, "rope_type": "default"},
        "standardize": False,
    }


def generation_config() -> dict[str, Any]:
    """generation_config.json: Google's file for all sizes, byte for byte when written by ``text``."""
    return {**config.generation_config(), "transformers_version": _WRITER}


def tokenizer_config() -> dict[str, Any]:
    """tokenizer_config.json: roles at top level, and no word about a start token, which the chat template prints."""
    return {
        **{name: content for name, (_, content) in tokenizer.NAMED.items()},
        **_ROLES,
        "backend": "tokenizers",
        "extra_special_tokens": ["<|video|>"],
        "model_max_length": int(1e30),
        "padding_side": "left",
        "processor_class": "Gemma4Processor",
        "tokenizer_class": "GemmaTokenizer",
    }


def chat_template() -> str:
    """A template of our own with the traits of Google's: tools, thoughts, media, and what the engine does not know."""
    return (Path(__file__).parent / "published_template.jinja").read_text("utf-8")
