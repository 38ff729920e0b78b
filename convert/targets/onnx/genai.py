"""``genai_config.json``: what onnxruntime-genai reads to drive the models.

Names and meanings as its ``src/config.h`` has them. ``gemma4_text`` is the kind of model that takes token ids.
``gemma4``, with an embedding model in front, loads a vision model whatever there is to see (``src/models/model.cpp``),
and takes a speech model for one that lacks a file unless both of its names are empty [0.18.0].

Caches: with ``sliding_window`` and one buffer for before and after a call, the layers that it names get a cache of so
many rows and sixteen more on a CPU, the others one of ``max_length`` (``src/models/kv_cache.cpp``) [0.18.0]. Without
that buffer every cache has to grow by the tokens of a call, which those of sliding layers do not.
"""

from __future__ import annotations

import json
from typing import Any

from convert.checkpoint.config import SLIDING
from convert.checkpoint.types import Checkpoint
from convert.targets.onnx.names import EMBEDDING, MODEL, PROCESSOR, TEXT, VISION


def genai_config(checkpoint: Checkpoint, context: int) -> str:
    """The text of the file; deterministic.

    Args:
        context: most tokens of a conversation.
    """
    config, settings = checkpoint.text.config, checkpoint.settings
    owners, sampler = config.owners, settings.sampler
    inputs = {
        "input_ids": "input_ids",
        "attention_mask": "attention_mask",
        "position_ids": "position_ids",
        "past_key_names": "past_key_values.%d.key",
        "past_value_names": "past_key_values.%d.value",
    }
    outputs = {
        "logits": "logits",
        "present_key_names": "present.%d.key",
        "present_value_names": "present.%d.value",
    }
    session: dict[str, Any] = {"log_id": "onnxruntime-genai", "provider_options": []}
    sees = "vision" in checkpoint.modules
    model: dict[str, Any] = {
        "type": "gemma4" if sees else "gemma4_text",
        "vocab_size": config.vocab,
        "context_length": context,
        "bos_token_id": settings.start,
        "eos_token_id": [stop.token for stop in settings.stops],
        "pad_token_id": settings.pad,
        "decoder": {
            "filename": MODEL if sees else TEXT,
            "session_options": session,
            "hidden_size": config.hidden,
            "num_attention_heads": config.heads,
            "num_hidden_layers": len(owners),
            "num_key_value_heads": owners[0].kv_heads,
            "head_size": owners[0].head_dim,
            "inputs": inputs,
            "outputs": outputs,
        },
    }
    sliding = [i for i, layer in enumerate(owners) if layer.kind == SLIDING]
    if sliding:
        model["decoder"]["sliding_window"] = {
            "window_size": config.window,
            "layers": sliding,
            "slide_inputs": False,
            "slide_key_value_cache": False,
        }
    if sees:
        model |= _images(checkpoint, session)
        rows = {name: name for name in _rows(checkpoint)}
        inputs |= rows
        del inputs["input_ids"]
    search = {
        "do_sample": sampler.sample,
        "max_length": context,
        "num_beams": 1,
        "past_present_share_buffer": True,
        **(
            {"top_k": sampler.top_k, "top_p": sampler.top_p, "temperature": sampler.temperature}
            if sampler.sample
            else {}
        ),
    }
    return json.dumps({"model": model, "search": search}, indent=2, sort_keys=True) + "\n"


def processor(rows: int, patch: int, pool: int) -> str:
    """The text of the file that says how onnxruntime-genai cuts an image into patches; deterministic."""
    cut = {"patch_size": patch, "pooling_kernel_size": pool, "max_soft_tokens": rows}
    steps = [
        {"operation": {"name": "decode_image", "type": "DecodeImage", "attrs": {"color_space": "RGB"}}},
        {"operation": {"name": "gemma4_image_transform", "type": "Gemma4ImageTransform", "attrs": cut}},
    ]
    content = {"processor": {"name": "gemma4_image_processor", "transforms": steps}}
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _rows(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Outputs of the embedding that the decoder takes."""
    return ("inputs_embeds", *(("per_layer_inputs",) if checkpoint.text.config.per_layer_width else ()))


def _images(checkpoint: Checkpoint, session: dict[str, Any]) -> dict[str, Any]:
    """What is said of the models beside the decoder, and of the token in whose place a row of an image stands."""

    def same(*names: str) -> dict[str, str]:
        return {name: name for name in names}

    return {
        "image_token_id": checkpoint.settings.placeholders["image"],
        "embedding": {
            "filename": EMBEDDING,
            "session_options": session,
            "inputs": same("input_ids", "image_features"),
            "outputs": same(*_rows(checkpoint)),
        },
        "vision": {
            "filename": VISION,
            "config_filename": PROCESSOR,
            "session_options": session,
            "inputs": same("pixel_values", "pixel_position_ids"),
            "outputs": same("image_features"),
        },
        "speech": {"filename": "", "config_filename": ""},
    }
