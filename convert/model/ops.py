"""The semantic operations that the decoder calls and each target lowers in its own way.

The decoder holds no weight: a ``key`` names the checkpoint's tensor (see ``convert.checkpoint.types``), and whoever
implements these operations decides where its bytes come from. Eager execution reads the checkpoint; a target leaves a
hole in its graph and fills it after tracing.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import torch

from convert.checkpoint.config import Layer
from convert.model.symbol import T

C = TypeVar("C")
Given = TypeVar("Given", contravariant=True)


class Products(Protocol[T, Given]):
    """What attention by parts is made of."""

    def read_cache(self, cache: Given, owner: int, part: str) -> T:
        """The cache of layer ``owner`` as float32; ``part`` is ``key`` or ``value``."""
        ...

    def attention_scores(self, query: T, keys: T) -> T:
        """``[1, kv, m, head_dim] x [1, kv, context, head_dim] -> [1, kv, m, context]``."""
        ...

    def attention_mix(self, weights: T, values: T) -> T:
        """``[1, kv, m, context] x [1, kv, head_dim, context] -> [1, kv, m, head_dim]``."""
        ...


def attend(ops: Products[T, C], query: T, keys: C, values: C, mask: T, layer: Layer) -> T:
    """Attention by products and a softmax over all positions of the cache; arguments as of ``Ops.attention``."""
    heads, n, kv = query.shape[1], query.shape[2], layer.kv_heads
    # Heads that share keys become rows of one matrix, so that keys are read once and not repeated.
    query = query.reshape(1, kv, heads // kv * n, layer.head_dim)
    scores = ops.attention_scores(query, ops.read_cache(keys, layer.owner, "key"))
    context = scores.shape[-1]
    scores = scores.reshape(kv, heads // kv, n, context) + mask
    weights = torch.softmax(scores, dim=-1).reshape(1, kv, heads // kv * n, context)
    mixed = ops.attention_mix(weights, ops.read_cache(values, layer.owner, "value"))
    return mixed.reshape(1, heads, n, layer.head_dim)


def normalize(x: T, eps: float) -> T:
    """Root-mean-square normalization over the last dimension, without a weight."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)


class Ops(Protocol[T, C]):
    """What a target must implement. Shapes are written ``[...]`` for leading dimensions that pass through.

    ``T`` is the tensor that the decoder computes with, a ``torch.Tensor`` or a target's ``Symbol``. ``C`` is what holds
    the keys or the values of a layer: a tensor too, or a place in a state.
    """

    def linear(self, x: T, key: str) -> T:
        """``x [..., in] -> [..., out]`` with the weight ``key``, its static activation scales included."""
        ...

    def scale(self, x: T, key: str) -> T:
        """``x [..., width]`` times the float parameter ``key`` of shape ``[width]`` or ``[1]``."""
        ...

    def normalize(self, x: T, eps: float) -> T:
        """``normalize`` of this module, or what does the same in the target's arithmetic."""
        ...

    def write_cache(self, cache: C, rows: T, position: T, axis: int, owner: int, part: str) -> C:
        """The cache with float32 ``rows`` written from ``position`` (int32 scalar) on along ``axis``.

        The first row lies in the cache: that is the caller's duty. A row past the end is written nowhere. It neither
        moves the rows before it nor comes round to the beginning. So a chunk may be padded, unless the signature says
        that all rows must fit, as it does where a runtime cannot leave rows out.
        """
        ...

    def attention(self, query: T, keys: C, values: C, mask: T | None, layer: Layer) -> T:
        """What the queries find in the caches, ``[1, heads, n, head_dim]`` as the queries: by parts in ``attend``.

        Args:
            keys, values: of the layer that owns them, after the write.
            mask: ``[1, 1, n, context]``, added to the scores; None where the target hides by itself what must be.
        """
        ...

    def mark(self, x: T, name: str) -> T:
        """x itself; a target that can name tensors calls it ``name``, so that a judge finds it in the artifact."""
        ...
