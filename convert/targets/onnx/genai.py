"""``genai_config.json``: what onnxruntime-genai reads to drive the models.

Names and meanings as its ``src/config.h`` has them. ``gemma4_text`` is the kind of model that takes token ids.
``gemma4``, with an embedding model in front, loads a vision model whatever there is to see (``src/models/model.cpp``)
[0.18.0].

Caches: with ``sliding_window`` and one buffer for before and after a call, the layers that it names get a cache of so
many rows and sixteen more on a CPU, the others one of ``max_length`` (``src/models/kv_cache.cpp``) [0.18.0]. Without
that buffer every cache has to grow by the tokens of a call, which those of sliding layers do not.
"""

from __future__ import annotations

import json
from typing import Any

from convert.checkpoint.config import SLIDING
from convert.checkpoint.types import Checkpoint


def genai_config(checkpoint: Checkpoint, context: int, text: str) -> str:
    """The text of the file; deterministic.

    Args:
        context: most tokens of a conversation.
        text: file name of the model.
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
    model: dict[str, Any] = {
        "type": "gemma4_text",
        "vocab_size": config.vocab,
        "context_length": context,
        "bos_token_id": settings.start,
        "eos_token_id": [stop.token for stop in settings.stops],
        "pad_token_id": settings.pad,
        "decoder": {
            "filename": text,
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
