"""The network to be trained: transformers' own Gemma 4 with values to start from that make it learn quickly."""

from __future__ import annotations

import json
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from convert.demo.writing.config import model_config
from convert.demo.writing.shape import TextShape

SCALAR_LOW, SCALAR_HIGH = 0.75, 1.0


def build(shape: TextShape, seed: int) -> Any:
    """A ``Gemma4ForConditionalGeneration`` in float32 with a tied head and seeded weights."""
    import torch
    from transformers import AutoConfig, Gemma4ForConditionalGeneration

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(model_config(shape, "q4_0")), "utf-8")
        config = AutoConfig.from_pretrained(folder)
    model = Gemma4ForConditionalGeneration._from_config(config, dtype=torch.float32, attn_implementation="sdpa")
    generator = torch.Generator().manual_seed(seed)
    decoder = model.model.language_model
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            if name.startswith("embed_tokens"):
                # Multiplied by the root of its width later, a row has size one.
                width = shape.per_layer_width if "per_layer" in name else shape.hidden
                parameter.normal_(0, width**-0.5, generator=generator)
            elif parameter.dim() == 2:
                parameter.normal_(0, parameter.shape[1] ** -0.5, generator=generator)
            else:
                parameter.fill_(_norm(name, parameter.shape[0]))
        for index, layer in enumerate(decoder.layers):
            # Published scalars are not one; neither are these. They are not trained: eighths of bfloat16 are exact.
            share = np.random.default_rng([seed, zlib.crc32(f"layers.{index}.layer_scalar".encode())]).random()
            layer.layer_scalar.fill_(round((SCALAR_LOW + (SCALAR_HIGH - SCALAR_LOW) * share) * 128) / 128)
    return model.train()


def _norm(name: str, width: int) -> float:
    if name.endswith("k_norm.weight"):
        return float(width**-0.5)  # attention scores are not scaled: so they begin with size one
    return 0.5 if "post_" in name else 1.0


def answer_logits(model: Any, ids: Any, targets: Any, head: Any) -> tuple[Any, Any]:
    """Logits where something is to be said, and what: ``[N, vocab]`` and ``[N]``; softcap included.

    Args:
        head: weight of the head, ``[vocab, hidden]``.
    """
    import torch
    import torch.nn.functional as F

    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
    wanted = targets >= 0
    cap = model.config.text_config.final_logit_softcapping
    logits = F.linear(hidden[wanted], head)
    return torch.tanh(logits / cap) * cap, targets[wanted]
