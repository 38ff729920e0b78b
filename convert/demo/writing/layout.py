"""Which tensors the text decoder of a published Gemma 4 checkpoint has: names, dtypes and shapes, without values.

Source of the layout: transformers 5.22.2, ``integrations/gemma_quant.py`` and ``models/gemma4/modeling_gemma4.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

from convert.demo.writing.shape import TextShape
from convert.demo.writing.stored import Matrix, Tensor, stored_matrix

PREFIX = "model.language_model."
FORMATS = ("mobile", "q4_0")


def linears(shape: TextShape) -> Iterator[Matrix]:
    """The quantized linears that the decoder's layers compute with, in order of execution.

    Layers that share keys and values have no k and v.
    """
    for i in range(shape.layers):
        base, head = f"layers.{i}.", shape.attention_dim(i)
        queries, keys, width = shape.heads * head, shape.kv_heads * head, shape.mlp_width(i)
        mlp_bits = shape.mlp_bits if shape.owns_kv(i) else shape.shared_mlp_bits
        yield Matrix(base + "self_attn.q_proj", queries, shape.hidden, shape.attention_bits)
        if shape.owns_kv(i):
            yield Matrix(base + "self_attn.k_proj", keys, shape.hidden, shape.attention_bits)
            yield Matrix(base + "self_attn.v_proj", keys, shape.hidden, shape.attention_bits)
        yield Matrix(base + "self_attn.o_proj", shape.hidden, queries, shape.attention_bits)
        yield Matrix(base + "mlp.gate_proj", width, shape.hidden, mlp_bits)
        yield Matrix(base + "mlp.up_proj", width, shape.hidden, mlp_bits)
        yield Matrix(base + "mlp.down_proj", shape.hidden, width, mlp_bits)
        yield Matrix(base + "per_layer_input_gate", shape.per_layer_width, shape.hidden, shape.gate_bits)
        yield Matrix(base + "per_layer_projection", shape.hidden, shape.per_layer_width, shape.gate_bits)


def tables(shape: TextShape) -> tuple[Matrix, Matrix, Matrix]:
    """embed_tokens, the per-layer embedding (one scale per token and layer) and lm_head."""
    return (
        Matrix("embed_tokens", shape.vocab, shape.hidden, shape.embed_bits, embedding=True),
        Matrix(
            "embed_tokens_per_layer",
            shape.vocab,
            shape.per_layer_total,
            shape.per_layer_bits,
            groups=shape.layers,
            embedding=True,
        ),
        Matrix("lm_head", shape.vocab, shape.hidden, shape.embed_bits),
    )


def floats(shape: TextShape) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Names, shapes and parts of the tensors that every format keeps in bfloat16."""
    yield "norm.weight", (shape.hidden,), "norm"
    yield "per_layer_projection_norm.weight", (shape.per_layer_width,), "norm"
    yield "per_layer_model_projection.weight", (shape.per_layer_total, shape.hidden), "dense"
    for i in range(shape.layers):
        base, head = f"layers.{i}.", shape.attention_dim(i)
        for norm in (
            "input_layernorm",
            "post_attention_layernorm",
            "pre_feedforward_layernorm",
            "post_feedforward_layernorm",
            "post_per_layer_input_norm",
        ):
            yield f"{base}{norm}.weight", (shape.hidden,), "norm"
        yield base + "self_attn.q_norm.weight", (head,), "norm"
        if shape.owns_kv(i):
            yield base + "self_attn.k_norm.weight", (head,), "norm"
        yield base + "layer_scalar", (1,), "scalar"


def tensors(shape: TextShape, format: str) -> list[Tensor]:
    """Every tensor that the decoder computes with, sorted by name.

    Args:
        format: ``mobile`` or ``q4_0``.

    Raises:
        ValueError: another format.
    """
    if format not in FORMATS:
        raise ValueError(f"format {format!r} is none of {', '.join(FORMATS)}")
    found = [Tensor(PREFIX + name, "BF16", dims, name, part) for name, dims, part in floats(shape)]
    found += _mobile(shape) if format == "mobile" else _q4_0(shape)
    return sorted(found, key=lambda tensor: tensor.name)


def _mobile(shape: TextShape) -> Iterator[Tensor]:
    for matrix in (*tables(shape), *linears(shape)):
        yield from stored_matrix(matrix.key if matrix.key == "lm_head" else PREFIX + matrix.key, matrix)
    for i in range(shape.layers):
        if shape.owns_kv(i) or shape.shared_cache_scales:
            key = f"layers.{i}.self_attn"
            yield Tensor(f"{PREFIX}{key}.k_cache_scale", "F32", (), key, "key_cache")
            yield Tensor(f"{PREFIX}{key}.v_cache_scale", "F32", (), key, "value_cache")


def _q4_0(shape: TextShape) -> Iterator[Tensor]:
    for table in tables(shape)[:2]:
        name = table.key + ".weight"
        yield Tensor(PREFIX + name, "BF16", (table.rows, table.columns), name, "dense")
    for matrix in linears(shape):
        name = f"{PREFIX}{matrix.key}.weight"
        yield Tensor(name, "BF16", (matrix.rows, matrix.columns), matrix.key, "weight", matrix)
