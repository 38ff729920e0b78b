"""Writes a drafter's checkpoint for a text decoder: random weights, on the Q4_0 lattice or on none."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from convert.demo.writing import safetensors
from convert.demo.writing.stored import Matrix, Tensor
from tests.support.checkpoints import values

HIDDEN, INTERMEDIATE, SLIDING_LAYERS, HEADS = 64, 128, 3, 2
PER_GROUP = 16  # tokens of a group, where the head is ordered; a divisor of the vocabulary


def write_assistant(
    folder: Path, model: Path, *, lattice: bool = True, ordered: bool = False, seed: int = 11, heads: int | None = None
) -> Path:
    """Writes a folder that transformers loads as a ``Gemma4AssistantForCausalLM``. Same arguments, same bytes.

    Args:
        model: the checkpoint that it drafts for; its config.json says what has to fit.
        lattice: whether the linears lie on the Q4_0 lattice; else all are bfloat16 numbers.
        ordered: whether groups of tokens come with the head.
        heads: query heads; by default as many as fit the model's key/value heads.
    """
    whole = json.loads((model / "config.json").read_text("utf-8"))
    text = whole.get("text_config", whole)
    config = _config(text, ordered, heads or max(HEADS, text["num_key_value_heads"]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
    tensors = list(_tensors(config, lattice))

    def fill(tensor: Tensor) -> Iterable[bytes]:
        if tensor.part == "ordering":
            yield np.random.default_rng(seed).permutation(tensor.shape[0]).astype("<i8").tobytes()
        elif tensor.part == "weight":
            assert tensor.matrix is not None
            yield values.q4_0(tensor.matrix, seed).tobytes()
        elif tensor.part == "dense":
            yield values.dense(tensor.key, tensor.shape, seed, 1, None).tobytes()
        elif tensor.part == "scalar":
            yield values.layer_scalar(tensor.key, seed).tobytes()
        else:
            yield values.norm(tensor.key, tensor.shape, seed).tobytes()

    safetensors.write(folder, tensors, fill)
    return folder


def _config(text: dict[str, Any], ordered: bool, heads: int) -> dict[str, Any]:
    own = (
        "vocab_size", "head_dim", "global_head_dim", "num_key_value_heads", "sliding_window", "rope_parameters",
        "max_position_embeddings", "rms_norm_eps", "hidden_activation",
    )  # fmt: skip
    layers = [*["sliding_attention"] * SLIDING_LAYERS, "full_attention"]
    inner = {name: text[name] for name in own if name in text}
    inner |= {
        "model_type": "gemma4_text",
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_attention_heads": heads,
        "num_hidden_layers": len(layers),
        "num_kv_shared_layers": len(layers),
        "layer_types": layers,
        "hidden_size_per_layer_input": 0,
        "vocab_size_per_layer_input": 0,
        "final_logit_softcapping": None,
        "enable_moe_block": False,
        "use_double_wide_mlp": False,
    }
    return {
        "architectures": ["Gemma4AssistantForCausalLM"],
        "model_type": "gemma4_assistant",
        "backbone_hidden_size": text["hidden_size"],
        "use_ordered_embeddings": ordered,
        "num_centroids": text["vocab_size"] // PER_GROUP,
        "centroid_intermediate_top_k": 4,
        "tie_word_embeddings": True,
        "dtype": "bfloat16",
        "text_config": inner,
    }


def _tensors(config: dict[str, Any], lattice: bool) -> Iterable[Tensor]:
    text, backbone = config["text_config"], config["backbone_hidden_size"]

    def matrix(name: str, rows: int, columns: int, exact: bool = lattice) -> Tensor:
        part = "weight" if exact else "dense"
        return Tensor(f"{name}.weight", "BF16", (rows, columns), name, part, Matrix(name, rows, columns, 4))

    def vector(name: str, width: int) -> Tensor:
        return Tensor(name, "BF16", (width,), name.removeprefix("model."), "norm")

    vocab, heads = text["vocab_size"], text["num_attention_heads"]
    yield matrix("model.embed_tokens", vocab, HIDDEN)
    yield matrix("pre_projection", HIDDEN, 2 * backbone)
    yield matrix("post_projection", backbone, HIDDEN)
    yield vector("model.norm.weight", HIDDEN)
    for index, kind in enumerate(text["layer_types"]):
        at, width = f"model.layers.{index}", text["head_dim" if kind == "sliding_attention" else "global_head_dim"]
        for norm in (
            "input_layernorm",
            "post_attention_layernorm",
            "pre_feedforward_layernorm",
            "post_feedforward_layernorm",
        ):
            yield vector(f"{at}.{norm}.weight", HIDDEN)
        yield Tensor(f"{at}.layer_scalar", "BF16", (1,), f"layers.{index}.layer_scalar", "scalar")
        yield vector(f"{at}.self_attn.q_norm.weight", width)
        yield matrix(f"{at}.self_attn.q_proj", heads * width, HIDDEN)
        yield matrix(f"{at}.self_attn.o_proj", HIDDEN, heads * width)
        for name in ("gate_proj", "up_proj"):
            yield matrix(f"{at}.mlp.{name}", INTERMEDIATE, HIDDEN)
        yield matrix(f"{at}.mlp.down_proj", HIDDEN, INTERMEDIATE)
    if config["use_ordered_embeddings"]:
        yield matrix("masked_embedding.centroids", config["num_centroids"], HIDDEN, exact=False)
        yield Tensor("masked_embedding.token_ordering", "I64", (vocab,), "token_ordering", "ordering")
