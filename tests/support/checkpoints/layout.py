"""Which tensors a published Gemma 4 checkpoint holds: the text decoder's, the towers' and some that nobody reads."""

from __future__ import annotations

from collections.abc import Iterator

from convert.demo.writing import layout
from convert.demo.writing.stored import Matrix, Tensor, stored_matrix
from tests.support.checkpoints.published import towers
from tests.support.checkpoints.shapes import Shape


def idle(shape: Shape) -> Iterator[Matrix]:
    """k_proj and v_proj of the layers that share keys and values: published mobile files store what nobody reads."""
    for i in range(shape.layers):
        if shape.towers and not shape.owns_kv(i):
            for leaf in ("k_proj", "v_proj"):
                rows = shape.kv_heads * shape.attention_dim(i)
                yield Matrix(f"layers.{i}.self_attn.{leaf}", rows, shape.hidden, shape.attention_bits)


def tensors(shape: Shape, format: str) -> list[Tensor]:
    """Every tensor of a checkpoint, sorted by name.

    Args:
        format: ``mobile`` or ``q4_0``.

    Raises:
        ValueError: another format.
    """
    found = layout.tensors(shape, format)
    if shape.towers:
        found += towers.tensors(shape.towers, shape.hidden, format)
    if format == "mobile":
        for matrix in idle(shape):
            found += stored_matrix(layout.PREFIX + matrix.key, matrix)
    return sorted(found, key=lambda tensor: tensor.name)
