"""``genai_config.json``: what onnxruntime-genai reads to drive the models.

Names and meanings as its ``src/config.h`` has them. ``gemma4`` is the kind of model with an embedding model in front.
"""

from __future__ import annotations

import json
from typing import Any

from convert.checkpoint.types import Checkpoint

NAME = "genai_config.json"


def genai_config(checkpoint: Checkpoint, context: int, decoder: str, embedding: str) -> str:
    """The text of the file; deterministic.

    Args:
        context: most tokens of a conversation.
        decoder, embedding: file names of the models.
    """
    config, settings = checkpoint.text.config, checkpoint.settings
    owners, sampler = config.owners, settings.sampler
    inputs = {
        "inputs_embeds": "inputs_embeds",
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
    rows = {"inputs_embeds": "inputs_embeds"}
    if config.per_layer_width:
        inputs["per_layer_inputs"] = rows["per_layer_inputs"] = "per_layer_inputs"
    session: dict[str, Any] = {"log_id": "onnxruntime-genai", "provider_options": []}
    model = {
        "type": "gemma4",
        "vocab_size": config.vocab,
        "context_length": context,
        "bos_token_id": settings.start,
        "eos_token_id": [stop.token for stop in settings.stops],
        "pad_token_id": settings.pad,
        "decoder": {
            "filename": decoder,
            "session_options": session,
            "hidden_size": config.hidden,
            "num_attention_heads": config.heads,
            "num_hidden_layers": len(owners),
            "num_key_value_heads": owners[0].kv_heads,
            "head_size": owners[0].head_dim,
            "inputs": inputs,
            "outputs": outputs,
        },
        "embedding": {"filename": embedding, "inputs": {"input_ids": "input_ids"}, "outputs": rows},
    }
    search = {
        "do_sample": sampler.sample,
        "max_length": context,
        "num_beams": 1,
        "past_present_share_buffer": False,
        **(
            {"top_k": sampler.top_k, "top_p": sampler.top_p, "temperature": sampler.temperature}
            if sampler.sample
            else {}
        ),
    }
    return json.dumps({"model": model, "search": search}, indent=2, sort_keys=True) + "\n"
