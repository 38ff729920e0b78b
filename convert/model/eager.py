"""Runs the decoder in torch, weights read from the checkpoint: for proving the mathematics, not for speed.

``python -m convert.model.eager CHECKPOINT --tokens tokens.npy --logits logits.npy`` lets a judge that imports
nothing of this package compare the decoder with another implementation.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from convert.checkpoint.types import Checkpoint
from convert.lattice import dequantize
from convert.model.decoder import Decoder
from convert.model.ops import normalize


def round_to_grid(x: torch.Tensor, scale: float) -> torch.Tensor:
    """Static int8 quantization: ``clamp(round(x / scale), -128, 127) * scale``, half to even; scale 0: x itself."""
    if scale == 0:
        return x
    return torch.clamp(torch.round(x / scale), -128, 127) * scale


class EagerOps:
    """Implements ``convert.model.ops.Ops`` in float32 torch.

    Args:
        observe: called with every marked tensor and its name.
    """

    def __init__(self, checkpoint: Checkpoint, observe: Callable[[torch.Tensor, str], None] | None = None) -> None:
        self._checkpoint, self._observe = checkpoint, observe
        self._weight = functools.cache(self._read)

    def linear(self, x: torch.Tensor, key: str) -> torch.Tensor:
        scales = self._checkpoint.activations.get(key)
        if scales is None:
            return x @ self._weight(key).T
        out = round_to_grid(x, float(scales.input)) @ self._weight(key).T
        return round_to_grid(out, float(scales.output))

    def scale(self, x: torch.Tensor, key: str) -> torch.Tensor:
        return x * torch.from_numpy(self._checkpoint.floats[key].float32())

    def normalize(self, x: torch.Tensor, eps: float) -> torch.Tensor:
        return normalize(x, eps)

    def mark(self, x: torch.Tensor, name: str) -> torch.Tensor:
        if self._observe is not None:
            self._observe(x, name)
        return x

    def read_cache(self, cache: torch.Tensor, owner: int, part: str) -> torch.Tensor:
        return cache

    def write_cache(
        self, cache: torch.Tensor, rows: torch.Tensor, position: torch.Tensor, axis: int, owner: int, part: str
    ) -> torch.Tensor:
        start = int(position)
        room = min(rows.shape[axis], cache.shape[axis] - start)
        out = cache.clone()
        out.narrow(axis, start, room).copy_(rows.narrow(axis, 0, room))
        return out

    def attention_scores(self, query: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        return query @ keys.transpose(2, 3)

    def attention_mix(self, weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return weights @ values.transpose(2, 3)

    def _read(self, key: str) -> torch.Tensor:
        if key in self._checkpoint.quants:
            tensor = self._checkpoint.quants[key]
            values = torch.from_numpy(dequantize(tensor.codes(0, tensor.rows), tensor.scales(0, tensor.rows)))
            # q4_0 checkpoints store the grid's points rounded to bfloat16: that is what a reference computes with.
            return values.bfloat16().float() if self._checkpoint.format == "q4_0" else values
        stored = "embed_tokens" if key == "lm_head" and self._checkpoint.config.tied else key
        return torch.from_numpy(self._checkpoint.floats[f"{stored}.weight"].float32())


def look_up(checkpoint: Checkpoint, key: str, ids: np.ndarray, factor: float) -> torch.Tensor:
    """Rows ``ids`` of a table, float32 ``[1, n, width]``, times ``factor``."""
    rows = []
    for i in ids:
        if key in checkpoint.quants:
            table = checkpoint.quants[key]
            rows.append(dequantize(table.codes(i, i + 1), table.scales(i, i + 1)))
        else:
            rows.append(checkpoint.floats[f"{key}.weight"].float32(i, i + 1))
    return torch.from_numpy(np.concatenate(rows))[None] * factor


@torch.no_grad()
def run(
    checkpoint: Checkpoint,
    tokens: np.ndarray,
    prefill: int,
    context: int,
    observe: Callable[[torch.Tensor, str], None] | None = None,
) -> np.ndarray:
    """Logits of every position: the first ``prefill`` tokens in one piece, the others one at a time.

    Args:
        tokens: int32 ``[T]``.

    Returns:
        float32 ``[T, vocab]``.
    """
    config = checkpoint.config
    decoder = Decoder(config, EagerOps(checkpoint, observe))
    embeddings = look_up(checkpoint, "embed_tokens", tokens, float(config.hidden) ** 0.5)
    table = None
    if config.per_layer_width:
        table = look_up(checkpoint, "embed_tokens_per_layer", tokens, float(config.per_layer_width) ** 0.5)
        table = table.reshape(1, len(tokens), len(config.layers), config.per_layer_width)
    caches = {
        layer.index: (
            torch.zeros(1, layer.kv_heads, context, layer.head_dim),
            torch.zeros(1, layer.kv_heads, layer.head_dim, context),
        )
        for layer in config.owners
    }
    out, start = [], 0
    while start < len(tokens):
        stop = min(start + (prefill if start == 0 else 1), len(tokens))
        position = torch.arange(start, stop, dtype=torch.int32)
        allowed = torch.arange(context).reshape(1, 1, 1, -1) <= position.reshape(1, 1, -1, 1)
        mask = torch.where(allowed, 0.0, -2.0e38)
        rows = slice(start, stop)
        given = None if table is None else table[:, rows]
        logits, caches = decoder(embeddings[:, rows], given, position, mask, caches, logits=True)
        assert logits is not None
        out.append(logits[0].numpy())
        start = stop
    return np.concatenate(out)


def main() -> None:
    from convert.checkpoint import open_checkpoint

    parser = argparse.ArgumentParser(prog="python -m convert.model.eager", description="Logits of the eager decoder.")
    parser.add_argument("checkpoint")
    parser.add_argument("--tokens", type=Path, required=True, help="int32 [T], .npy")
    parser.add_argument("--logits", type=Path, required=True, help="float32 [T, vocab], .npy, written")
    parser.add_argument("--prefill", type=int, default=16)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--unrounded", action="store_true", help="leave static activation scales out")
    asked = parser.parse_args()
    tokens = np.load(asked.tokens, allow_pickle=False).astype(np.int32)
    checkpoint = open_checkpoint(asked.checkpoint)
    if asked.unrounded:
        checkpoint = dataclasses.replace(checkpoint, activations={})
    logits = run(checkpoint, tokens, asked.prefill, asked.context)
    with asked.logits.open("wb") as file:
        np.save(file, logits)


if __name__ == "__main__":
    main()
