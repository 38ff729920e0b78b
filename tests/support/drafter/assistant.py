"""Writes a drafter's checkpoint for a text decoder: random weights, on the Q4_0 lattice or on none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.demo.writing import safetensors
from convert.demo.writing.stored import Matrix, Tensor
from tests.support.checkpoints import streamed, values

SLIDING_LAYERS = 3  # and behind them a full one
PER_GROUP = 16  # tokens of a group, where the head is ordered; a divisor of the vocabulary


@dataclass(frozen=True)
class Width:
    """A drafter's own dimensions, beside those that follow from its model's.

    Attributes:
        heads: query heads.
        groups: of tokens, where the head is ordered.
        taken: groups that are scored.
    """

    hidden: int
    intermediate: int
    heads: int
    groups: int
    taken: int


# Of google/gemma-4-E2B-it-qat-q4_0-unquantized-assistant, 77.7 million parameters; the file has its size to the byte.
# E4B's has the same, 78.5 million parameters because its model is wider.
PUBLISHED = Width(hidden=256, intermediate=2048, heads=4, groups=2048, taken=32)


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
    text = _text(model)
    wide = heads or max(2, text["num_key_value_heads"])
    width = Width(hidden=64, intermediate=128, heads=wide, groups=text["vocab_size"] // PER_GROUP, taken=4)

    def weights(tensor: Tensor) -> Iterable[bytes]:
        assert tensor.matrix is not None
        if tensor.part == "weight":
            yield values.q4_0(tensor.matrix, seed).tobytes()
        else:
            yield values.dense(tensor.key, tensor.shape, seed, 1, None).tobytes()

    return _write(folder, _config(text, ordered, width), lattice, seed, weights)


def write_published(folder: Path, model: Path, *, lattice: bool = True, seed: int = 11) -> Path:
    """The same in the dimensions of those for E2B and E4B, with groups of tokens, its weights drawn in pieces.

    Args:
        model: the checkpoint that it drafts for, or a folder with its config.json alone.
        lattice: as of :func:`write_assistant`; what is published is bfloat16 numbers.
    """

    def weights(tensor: Tensor) -> Iterable[bytes]:
        assert tensor.matrix is not None
        if tensor.part == "weight":
            return streamed.lattice(tensor.matrix, seed)
        return streamed.dense(tensor.key, tensor.shape, seed, 1, values.row_gains(tensor.matrix, seed, None))

    return _write(folder, _config(_text(model), True, PUBLISHED), lattice, seed, weights)


def file_bytes(config: dict[str, Any]) -> int:
    """Bytes of the weights' file of a drafter of this config.json."""
    tensors = list(_tensors(config, False))
    return 8 + len(safetensors.header(tensors)[0]) + sum(map(safetensors.size, tensors))


def _text(model: Path) -> dict[str, Any]:
    """The text decoder's part of a config.json."""
    whole: dict[str, Any] = json.loads((model / "config.json").read_text("utf-8"))
    found: dict[str, Any] = whole.get("text_config", whole)
    return found


def _write(
    folder: Path, config: dict[str, Any], lattice: bool, seed: int, weights: Callable[[Tensor], Iterable[bytes]]
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")

    def fill(tensor: Tensor) -> Iterable[bytes]:
        if tensor.matrix is not None:
            yield from weights(tensor)
        elif tensor.part == "ordering":
            yield np.random.default_rng(seed).permutation(tensor.shape[0]).astype("<i8").tobytes()
        elif tensor.part == "scalar":
            yield values.layer_scalar(tensor.key, seed).tobytes()
        else:
            yield values.norm(tensor.key, tensor.shape, seed).tobytes()

    safetensors.write(folder, list(_tensors(config, lattice)), fill)
    return folder


def _config(text: dict[str, Any], ordered: bool, width: Width) -> dict[str, Any]:
    own = (
        "vocab_size", "head_dim", "global_head_dim", "num_key_value_heads", "sliding_window", "rope_parameters",
        "max_position_embeddings", "rms_norm_eps", "hidden_activation",
    )  # fmt: skip
    layers = [*["sliding_attention"] * SLIDING_LAYERS, "full_attention"]
    inner = {name: text[name] for name in own if name in text}
    inner |= {
        "model_type": "gemma4_text",
        "hidden_size": width.hidden,
        "intermediate_size": width.intermediate,
        "num_attention_heads": width.heads,
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
        "num_centroids": width.groups,
        "centroid_intermediate_top_k": width.taken,
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
    hidden, inner = text["hidden_size"], text["intermediate_size"]
    yield matrix("model.embed_tokens", vocab, hidden)
    yield matrix("pre_projection", hidden, 2 * backbone)
    yield matrix("post_projection", backbone, hidden)
    yield vector("model.norm.weight", hidden)
    for index, kind in enumerate(text["layer_types"]):
        at, width = f"model.layers.{index}", text["head_dim" if kind == "sliding_attention" else "global_head_dim"]
        for norm in (
            "input_layernorm",
            "post_attention_layernorm",
            "pre_feedforward_layernorm",
            "post_feedforward_layernorm",
        ):
            yield vector(f"{at}.{norm}.weight", hidden)
        yield Tensor(f"{at}.layer_scalar", "BF16", (1,), f"layers.{index}.layer_scalar", "scalar")
        yield vector(f"{at}.self_attn.q_norm.weight", width)
        yield matrix(f"{at}.self_attn.q_proj", heads * width, hidden)
        yield matrix(f"{at}.self_attn.o_proj", hidden, heads * width)
        for name in ("gate_proj", "up_proj"):
            yield matrix(f"{at}.mlp.{name}", inner, hidden)
        yield matrix(f"{at}.mlp.down_proj", hidden, inner)
    if config["use_ordered_embeddings"]:
        yield matrix("masked_embedding.centroids", config["num_centroids"], hidden, exact=False)
        yield Tensor("masked_embedding.token_ordering", "I64", (vocab,), "token_ordering", "ordering")
