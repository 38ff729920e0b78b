"""The vision tower's mathematics on semantic operations: patches of an image to rows of the text decoder.

It follows transformers' ``Gemma4VisionModel`` and ``Gemma4MultimodalEmbedder`` for one image in float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol

import torch
import torch.nn.functional as F

from convert.checkpoint.modules.vision import EMBEDDER, TABLE, TOWER, VisionConfig
from convert.model.rope import angles, rotate
from convert.model.symbol import T

# Added to scores of padding.
_PADDING = -1e9
# Scores of this many bytes exist at once, and as many behind the softmax: all those of an image of 280 rows would be
# 305 MB.
_SCORES = 8 << 20
# So many bytes of one tensor between the linears of an MLP: an image of 280 rows would need 31 MB for each of them.
_WIDE = 8 << 20


class VisionOps(Protocol[T]):
    """What a target must implement. ``linear``, ``scale``, ``normalize`` and ``mark`` are those of the decoder."""

    def linear(self, x: T, key: str) -> T: ...

    def spread(self, x: T, key: str, rows: int) -> Iterator[T]:
        """``linear`` of ``[1, P, width]``, given in pieces of so many rows, each made when it is asked for."""
        ...

    def gather(self, pieces: Iterable[T], key: str) -> T:
        """``linear`` of the pieces behind each other, each taken when its turn comes."""
        ...

    def scale(self, x: T, key: str) -> T: ...

    def normalize(self, x: T, eps: float) -> T: ...

    def mark(self, x: T, name: str) -> T: ...

    def clip(self, x: T, low: str, high: str) -> T:
        """x within the two numbers that the checkpoint stores under these names."""
        ...

    def rows(self, key: str, axis: int, ids: T) -> T:
        """``[1, P, width]`` by ids int32 ``[1, P]``, from one of the tables ``[axes, rows, width]`` under ``key``."""
        ...

    def attention_scores(self, query: T, keys: T) -> T:
        """``[1, heads, m, size] x [1, heads, n, size] -> [1, heads, m, n]``."""
        ...

    def attention_mix(self, weights: T, values: T) -> T:
        """``[1, heads, m, n] x [1, heads, size, n] -> [1, heads, m, size]``."""
        ...

    def pool(self, weights: T, values: T) -> T:
        """As ``attention_mix``, of the residual stream, whose numbers are larger."""
        ...


Turn = tuple[tuple[T, T], tuple[T, T]]


class Vision(Generic[T]):
    """The tower over given operations.

    Args:
        config: dimensions.
        ops: where weights come from and how the semantic operations run.
    """

    def __init__(self, config: VisionConfig, ops: VisionOps[T]) -> None:
        self._config, self._ops = config, ops
        half = config.head_dim // 2
        exponents = torch.arange(0, half, 2, dtype=torch.float32) / half
        self._frequencies = 1.0 / config.theta**exponents

    def __call__(self, patches: T, positions: T) -> tuple[T, T]:
        """Soft tokens of an image.

        Args:
            patches: ``[1, P, pixels]`` from 0 to 1, of each patch its rows, pixels and channels in this order.
            positions: int32 ``[1, P, 2]``, the patches' x and y from 0 on; -1 and -1 for padding.

        Returns:
            ``[1, n, hidden]`` with n = P / pool^2, and bool ``[1, n]``: which of these are there. They come first, row
            by row of the image; the others are 0.
        """
        config, ops = self._config, self._ops
        x, y = positions[:, :, 0], positions[:, :, 1]
        real = (torch.tensor(-1, dtype=torch.int32) < x).float()
        x, y = x.clamp(0), y.clamp(0)
        stream = ops.linear((patches - 0.5) * 2.0, f"{TOWER}.patch_embedder.input_proj")
        stream = stream + (ops.rows(TABLE, 0, x) + ops.rows(TABLE, 1, y))
        stream = ops.mark(stream, "embedded")
        turn = angles(x, self._frequencies), angles(y, self._frequencies)
        hidden = ((real - 1.0) * -_PADDING).reshape(1, 1, 1, -1)
        for index in range(config.layers):
            stream = self._layer(stream, index, turn, hidden)
        return self._pool(stream, x, y, real)

    def project(self, features: T) -> T:
        """Soft tokens ``[1, n, hidden]`` to rows of the decoder ``[1, n, width]``.

        They stand where embeddings stand that are already times the square root of the width.
        """
        return self._ops.linear(
            self._ops.normalize(features, self._config.norm_eps), f"{EMBEDDER}.embedding_projection"
        )

    def _layer(self, x: T, index: int, turn: Turn[T], hidden: T) -> T:
        at, name = f"{TOWER}.encoder.layers.{index}", f"layers.{index}"
        mixed = self._attention(self._norm(x, f"{at}.input_layernorm"), f"{at}.self_attn", turn, hidden)
        x = self._ops.mark(x + self._norm(mixed, f"{at}.post_attention_layernorm"), f"{name}/attention")
        down = self._mlp(self._norm(x, f"{at}.pre_feedforward_layernorm"), f"{at}.mlp")
        return self._ops.mark(x + self._norm(down, f"{at}.post_feedforward_layernorm"), f"{name}/output")

    def _norm(self, x: T, key: str) -> T:
        return self._ops.scale(self._ops.normalize(x, self._config.norm_eps), f"{key}.weight")

    def _linear(self, x: T, at: str) -> T:
        """Clips before the activations are rounded to their grid, and after: the bounds need not lie on it."""
        return self._clip(self._ops.linear(self._clip(x, f"{at}.input"), f"{at}.linear"), f"{at}.output")

    def _clip(self, x: T, bounds: str) -> T:
        return self._ops.clip(x, f"{bounds}_min", f"{bounds}_max") if self._config.clipped else x

    def _attention(self, normed: T, at: str, turn: Turn[T], hidden: T) -> T:
        config, count = self._config, normed.shape[1]
        shape = (1, count, config.heads, config.head_dim)
        query = self._norm(self._linear(normed, f"{at}.q_proj").reshape(shape), f"{at}.q_norm")
        keys = self._norm(self._linear(normed, f"{at}.k_proj").reshape(shape), f"{at}.k_norm")
        values = self._ops.normalize(self._linear(normed, f"{at}.v_proj").reshape(shape), config.norm_eps)
        query, keys = (_turned(each, turn).permute(0, 2, 1, 3) for each in (query, keys))
        values, step = values.permute(0, 2, 3, 1), _fitting(count, 4 * config.heads * count, _SCORES)
        found = []
        for start in range(0, count, step):
            scores = self._ops.attention_scores(query.narrow(2, start, step), keys) + hidden
            found.append(self._ops.attention_mix(torch.softmax(scores, dim=-1), values))
        mixed = found[0] if len(found) == 1 else torch.cat(found, dim=2)
        return self._linear(mixed.permute(0, 2, 1, 3).reshape(1, count, config.heads * config.head_dim), f"{at}.o_proj")

    def _mlp(self, normed: T, at: str) -> T:
        """Piece by piece between its linears, so that nothing of their width stands whole in float32."""
        rows = _fitting(normed.shape[1], 4 * self._config.intermediate, _WIDE)

        def spread(name: str) -> Iterator[T]:
            key = f"{at}.{name}"
            found = self._ops.spread(self._clip(normed, f"{key}.input"), f"{key}.linear", rows)
            return (self._clip(piece, f"{key}.output") for piece in found)

        key = f"{at}.down_proj"
        gated = (
            F.gelu(gate, approximate="tanh") * up
            for gate, up in zip(spread("gate_proj"), spread("up_proj"), strict=True)
        )
        down = self._ops.gather((self._clip(piece, f"{key}.input") for piece in gated), f"{key}.linear")
        return self._clip(down, f"{key}.output")

    def _pool(self, x: T, column: T, row: T, real: T) -> tuple[T, T]:
        config, count = self._config, x.shape[1]
        pool, tokens = config.pool, count // config.pool**2
        width = (column.amax(1, keepdim=True) + 1) // pool  # soft tokens of a row of the image
        token = (column // pool + width * (row // pool)).reshape(1, 1, count)
        hits = (torch.arange(tokens, dtype=torch.int32).reshape(1, tokens, 1) == token).float()
        hits = hits * (real * (1.0 / pool**2)).reshape(1, 1, count)
        pooled = self._ops.pool(hits.reshape(1, 1, tokens, count), x.permute(0, 2, 1).reshape(1, 1, -1, count))
        there = torch.tensor(0.0) < hits.amax(-1, keepdim=False)
        return pooled.reshape(1, tokens, config.hidden) * config.hidden**0.5, there


def _turned(x: T, turn: Turn[T]) -> T:
    """``[1, P, heads, size]``: the first half of each head turned by x, the second by y."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([rotate(first, *turn[0]), rotate(second, *turn[1])], dim=-1)


def _fitting(count: int, row: int, most: int) -> int:
    """How many rows, of so many, are worked on at once: the largest divisor of their number that fits into ``most``.

    Args:
        row: bytes of one.
    """
    fit = max(1, most // row)
    return max(each for each in range(1, count + 1) if not count % each and each <= fit)
