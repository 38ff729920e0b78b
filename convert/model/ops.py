"""The semantic operations that the decoder calls and each target lowers in its own way.

The decoder holds no weight: a ``key`` names the checkpoint's tensor (see ``convert.checkpoint.types``), and whoever
implements these operations decides where its bytes come from. Eager execution reads the checkpoint; a target leaves a
hole in its graph and fills it after tracing.
"""

from __future__ import annotations

from typing import Protocol

import torch


def normalize(x: torch.Tensor, eps: float) -> torch.Tensor:
    """Root-mean-square normalization over the last dimension, without a weight."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)


class Ops(Protocol):
    """What a target must implement. Shapes are written ``[...]`` for leading dimensions that pass through."""

    def linear(self, x: torch.Tensor, key: str) -> torch.Tensor:
        """``x [..., in] -> [..., out]`` with the weight ``key``, its static activation scales included."""
        ...

    def scale(self, x: torch.Tensor, key: str) -> torch.Tensor:
        """``x [..., width]`` times the float parameter ``key`` of shape ``[width]`` or ``[1]``."""
        ...

    def normalize(self, x: torch.Tensor, eps: float) -> torch.Tensor:
        """``normalize`` of this module, or what does the same in the target's arithmetic."""
        ...

    def read_cache(self, cache: torch.Tensor, owner: int, part: str) -> torch.Tensor:
        """The cache of layer ``owner`` as float32; ``part`` is ``key`` or ``value``."""
        ...

    def write_cache(
        self, cache: torch.Tensor, rows: torch.Tensor, position: torch.Tensor, axis: int, owner: int, part: str
    ) -> torch.Tensor:
        """The cache with float32 ``rows`` written from ``position`` (int32 scalar) on along ``axis``.

        Rows that would lie past the end are dropped; the rows before them keep their places.
        """
        ...

    def attention_scores(self, query: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """``[1, kv, m, head_dim] x [1, kv, context, head_dim] -> [1, kv, m, context]``."""
        ...

    def attention_mix(self, weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """``[1, kv, m, context] x [1, kv, head_dim, context] -> [1, kv, m, head_dim]``."""
        ...

    def mark(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """x itself; a target that can name tensors calls it ``name``, so that a judge finds it in the artifact."""
        ...
