"""A vision tower beside the text decoder: its dimensions, its part of config.json, and which tensors it has.

Source of the layout: transformers 5.22.2, ``Gemma4VisionModel`` and ``Gemma4MultimodalEmbedder``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from convert.demo.writing.stored import Matrix, Tensor, stored_matrix

PREFIX = "model."
PATCH, POOL, BITS = 16, 3, 8


@dataclass(frozen=True)
class VisionShape:
    """Dimensions of the tower.

    Attributes:
        positions: rows of each of the two tables of position embeddings, in patches.
        tokens: rows of the text decoder that an image becomes, at most, as the image processor is told.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    head_dim: int
    positions: int
    tokens: int = 70


DEMO_VISION = VisionShape(layers=3, hidden=64, intermediate=128, heads=4, head_dim=32, positions=210)


def vision_config(shape: VisionShape) -> dict[str, Any]:
    """``vision_config``."""
    return {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "default_output_length": shape.tokens,
        "dtype": "bfloat16",
        "global_head_dim": shape.head_dim,
        "head_dim": shape.head_dim,
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": shape.hidden,
        "initializer_range": 0.02,
        "intermediate_size": shape.intermediate,
        "max_position_embeddings": 131072,
        "model_type": "gemma4_vision",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.heads,
        "patch_size": PATCH,
        "pooling_kernel_size": POOL,
        "position_embedding_size": shape.positions,
        "rms_norm_eps": 1e-06,
        "rope_parameters": {"rope_theta": 100.0, "rope_type": "default"},
        "standardize": False,
        "use_clipped_linears": False,
    }


def processor_config(shape: VisionShape) -> dict[str, Any]:
    """processor_config.json: how an image becomes patches."""
    return {
        "image_processor": {
            "do_convert_rgb": True,
            "do_normalize": False,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.0, 0.0, 0.0],
            "image_processor_type": "Gemma4ImageProcessor",
            "image_seq_length": shape.tokens,
            "image_std": [1.0, 1.0, 1.0],
            "max_soft_tokens": shape.tokens,
            "patch_size": PATCH,
            "pooling_kernel_size": POOL,
            "resample": 3,
            "rescale_factor": 1 / 255,
        },
        "image_seq_length": shape.tokens,
        "processor_class": "Gemma4Processor",
    }


def linears(shape: VisionShape) -> Iterator[Matrix]:
    """The quantized linears, in order of execution; keys are module paths below ``model``."""
    inner = shape.heads * shape.head_dim
    for i in range(shape.layers):
        base = f"vision_tower.encoder.layers.{i}."
        for leaf in "qkv":
            yield Matrix(f"{base}self_attn.{leaf}_proj.linear", inner, shape.hidden, BITS)
        yield Matrix(f"{base}self_attn.o_proj.linear", shape.hidden, inner, BITS)
        yield Matrix(f"{base}mlp.gate_proj.linear", shape.intermediate, shape.hidden, BITS)
        yield Matrix(f"{base}mlp.up_proj.linear", shape.intermediate, shape.hidden, BITS)
        yield Matrix(f"{base}mlp.down_proj.linear", shape.hidden, shape.intermediate, BITS)


def floats(shape: VisionShape, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of what stays in bfloat16; ``width`` is the text decoder's."""
    yield "vision_tower.patch_embedder.input_proj.weight", (shape.hidden, 3 * PATCH**2)
    yield "vision_tower.patch_embedder.position_embedding_table", (2, shape.positions, shape.hidden)
    for i in range(shape.layers):
        base = f"vision_tower.encoder.layers.{i}."
        for norm in (
            "input_layernorm",
            "post_attention_layernorm",
            "pre_feedforward_layernorm",
            "post_feedforward_layernorm",
        ):
            yield f"{base}{norm}.weight", (shape.hidden,)
        for leaf in "qk":
            yield f"{base}self_attn.{leaf}_norm.weight", (shape.head_dim,)
    yield "embed_vision.embedding_projection.weight", (width, shape.hidden)


def tensors(shape: VisionShape, width: int) -> list[Tensor]:
    """Every tensor of the tower in the mobile format, sorted by name."""
    found = [Tensor(PREFIX + name, "BF16", dims, name, "dense") for name, dims in floats(shape, width)]
    for matrix in linears(shape):
        found += stored_matrix(PREFIX + matrix.key, matrix)
    return sorted(found, key=lambda tensor: tensor.name)
