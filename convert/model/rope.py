"""Rotary position embedding: frequencies of the two kinds of layers.

Formulas: transformers ``Gemma4TextRotaryEmbedding`` (default) and ``_compute_proportional_rope_parameters``.
"""

from __future__ import annotations

import torch

from convert.checkpoint.config import Rope
from convert.model.symbol import T


def inverse_frequencies(rope: Rope, head_dim: int) -> torch.Tensor:
    """Angles per position, float32 ``[head_dim / 2]``, in radians; pairs that stand still have 0.

    ``proportional`` spaces the exponents over the whole head dimension and keeps the first ``partial`` part of the
    pairs, unlike the usual partial rotation, which spaces them over the rotated part.
    """
    turning = int(rope.partial * head_dim // 2) if rope.kind == "proportional" else head_dim // 2
    exponents = torch.arange(0, 2 * turning, 2, dtype=torch.int64).float() / head_dim
    rotated = 1.0 / (rope.theta**exponents)
    return torch.cat([rotated, torch.zeros(head_dim // 2 - turning)])


def angles(position: T, frequencies: torch.Tensor) -> tuple[T, T]:
    """Cosines and sines, float32 ``[1, n, 1, head_dim / 2]``, of positions int32 ``[n]``."""
    radians = position.float().reshape(1, -1, 1, 1) * frequencies.reshape(1, 1, 1, -1)
    return radians.cos(), radians.sin()


def rotate(x: T, cos: T, sin: T) -> T:
    """Turns the pairs ``(x[i], x[i + head_dim / 2])`` of x ``[1, n, heads, head_dim]``."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
