"""The text decoder: what a checkpoint has to hold of it. Its dimensions: ``convert.checkpoint.config``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from convert.checkpoint.config import Layer, TextConfig
from convert.checkpoint.module import Given, Kind
from convert.checkpoint.outline import CachePart, Outline, Part
from convert.checkpoint.safetensors import Tensor
from convert.errors import CheckpointError

# Matrices of which a token takes one row.
TABLES = ("embed_tokens", "embed_tokens_per_layer")
# First words of the names of its tensors, below what names the decoder.
WORDS = (*TABLES, "layers", "norm", "per_layer_model_projection", "per_layer_projection_norm")
# transformers' names of the decoder: inside Gemma4ForConditionalGeneration, and in Gemma4ForCausalLM.
_NESTED, _BARE = "model.language_model.", "model."
_HEAD = "lm_head"
_SHARED = re.compile(r"layers\.([0-9]{1,6})\.self_attn\.(?:k_proj|v_proj|k_norm|v_norm)\..+")


def parts(config: TextConfig) -> tuple[Part, ...]:
    """The decoder's parts in the order of computation (transformers 5.22.2, ``Gemma4TextModel``)."""
    found = [Part(TABLES[0], "embedding", (config.vocab, config.hidden))]
    ple = config.per_layer_width
    if ple:
        layers = len(config.layers)
        wide = layers * ple
        found.append(Part(TABLES[1], "embedding", (config.per_layer_vocab, wide), groups=layers))
        found.append(Part("per_layer_model_projection", "linear", (wide, config.hidden)))
        found.append(Part("per_layer_projection_norm.weight", "plain", (ple,)))
    for layer in config.layers:
        found += _layer(config, layer)
    found.append(Part("norm.weight", "plain", (config.hidden,)))
    if not config.tied:
        found.append(Part(_HEAD, "linear", (config.vocab, config.hidden)))
    return tuple(found)


def _layer(config: TextConfig, layer: Layer) -> Iterator[Part]:
    at, hidden, ple = f"layers.{layer.index}.", config.hidden, config.per_layer_width
    norms = ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"]
    norms += ["post_per_layer_input_norm"] if ple else []
    for norm in norms:
        yield Part(f"{at}{norm}.weight", "plain", (hidden,))
    yield Part(f"{at}layer_scalar", "plain", (1,))
    attention, keys = config.heads * layer.head_dim, layer.kv_heads * layer.head_dim
    yield Part(f"{at}self_attn.q_proj", "linear", (attention, hidden), rounded="always")
    yield Part(f"{at}self_attn.q_norm.weight", "plain", (layer.head_dim,))
    if layer.owns_kv:
        yield Part(f"{at}self_attn.k_proj", "linear", (keys, hidden), rounded="always")
        yield Part(f"{at}self_attn.v_proj", "linear", (keys, hidden), rounded="always")
        yield Part(f"{at}self_attn.k_norm.weight", "plain", (layer.head_dim,))
    yield Part(f"{at}self_attn.o_proj", "linear", (hidden, attention), rounded="always")
    yield Part(f"{at}mlp.gate_proj", "linear", (layer.intermediate, hidden), rounded="always")
    yield Part(f"{at}mlp.up_proj", "linear", (layer.intermediate, hidden), rounded="always")
    yield Part(f"{at}mlp.down_proj", "linear", (hidden, layer.intermediate), rounded="always")
    if ple:
        yield Part(f"{at}per_layer_input_gate", "linear", (ple, hidden), rounded="perhaps")
        yield Part(f"{at}per_layer_projection", "linear", (hidden, ple), rounded="perhaps")


def _name(prefix: str, key: str) -> str:
    return key if key.split(".", 1)[0] == _HEAD else prefix + key


def _outline(given: Given) -> Outline[TextConfig]:
    config, prefix = given.text, _NESTED if given.nested else _BARE
    return Outline(
        config=config,
        name=partial(_name, prefix),
        parts=parts(config),
        # Layers that share keys and values store their owner's scales again, or nothing.
        caches={each.index: CachePart(f"layers.{each.index}.self_attn", each.owns_kv) for each in config.layers},
        ties={_HEAD: TABLES[0]} if config.tied else {},
        left_out=partial(_left_out, config, prefix),
    )


def _left_out(config: TextConfig, prefix: str, name: str, stored: Mapping[str, Tensor], asked: str) -> str | None:
    table = stored.get(f"{prefix}{TABLES[0]}.weight")
    if name == f"{_HEAD}.weight" and config.tied and table is not None:
        return tied_head(stored[name], table, asked)
    shared = _SHARED.fullmatch(name.removeprefix(prefix)) if name.startswith(prefix) else None
    if shared and int(shared[1]) < len(config.layers):
        layer = config.layers[int(shared[1])]
        if not layer.owns_kv:
            return f"layer {layer.index} reads the keys and values of layer {layer.owner}"
    return None


def tied_head(head: Tensor, table: Tensor, asked: str) -> str:
    """Why a head that is stored although it is tied to the embedding is left out: it is equal, byte for byte.

    Raises:
        CheckpointError: it is not.
    """
    same = (head.dtype, head.shape) == (table.dtype, table.shape)
    for (start, mine), (_, theirs) in zip(head.chunks(), table.chunks(), strict=True) if same else ():
        if not np.array_equal(mine, theirs):
            row = start + int(np.flatnonzero((mine != theirs).any(axis=1))[0])
            where = f"row {row} of tensor {head.name} is not that of {table.name}"
            break
    else:
        if same:
            return "the head, tied to the embedding and equal to it, byte for byte"
        where = f"tensor {head.name} is {head.dtype} {list(head.shape)}, {table.name} is not"
    found = f"config.json ties the head to the embedding, and {where}"
    action = "Set tie_word_embeddings to false if the model was trained with a head of its own, or remove the head"
    raise CheckpointError(asked, found, action)


def _unread(values: Mapping[str, Any]) -> str | None:
    text = values.get("text_config")
    if (text if isinstance(text, dict) else values).get("enable_moe_block") is not True:
        return None
    return "a mixture of experts, as Gemma 4 26B-A4B is (enable_moe_block is true in config.json)"


MODULE = Kind(title="text decoder", roots=("language_model",), config="text_config", unread=_unread, outline=_outline)
