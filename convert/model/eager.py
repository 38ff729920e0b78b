"""Runs the decoder in torch, weights read from the checkpoint: for proving the mathematics.

``python -m convert.model.eager CHECKPOINT --tokens tokens.npy --logits logits.npy`` lets a judge that imports
nothing of this package compare the decoder with another implementation. A layer runs over all tokens before the next
one's weights are read, so that a model of any depth fits.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convert.checkpoint.config import Layer, TextConfig
from convert.checkpoint.types import Module
from convert.lattice import dequantize
from convert.model.decoder import Decoder
from convert.model.ops import attend, normalize

Each = Callable[[int, Callable[[np.ndarray], np.ndarray]], None]
_WHOLE = 64 << 20  # elements: a larger matrix, which is a head's, is multiplied with in slices of its rows


def round_to_grid(x: torch.Tensor, scale: float) -> torch.Tensor:
    """Static int8 quantization: ``clamp(round(x / scale), -128, 127) * scale``, half to even; scale 0: x itself."""
    if scale == 0:
        return x
    return (x / scale).round_().clamp_(-128, 127).mul_(scale)


class EagerOps:
    """Implements ``convert.model.ops.Ops[torch.Tensor, torch.Tensor]`` in float32.

    Args:
        observe: called with every marked tensor and its name.
    """

    def __init__(self, module: Module[Any], observe: Callable[[torch.Tensor, str], None] | None = None) -> None:
        self._module, self._observe = module, observe
        self._weight = functools.cache(self._read)

    def forget(self) -> None:
        """Lets go of the weights that were read so far."""
        self._weight.cache_clear()

    def linear(self, x: torch.Tensor, key: str) -> torch.Tensor:
        scales = self._module.activations.get(key)
        if scales is None:
            return self._product(x, key)
        return round_to_grid(self._product(round_to_grid(x, float(scales.input)), key), float(scales.output))

    def _product(self, x: torch.Tensor, key: str) -> torch.Tensor:
        rows, columns = self._shape(key)
        if rows * columns < _WHOLE:
            return x @ self._weight(key, 0, rows).T
        step = _WHOLE // columns
        return torch.cat([x @ self._read(key, a, min(rows, a + step)).T for a in range(0, rows, step)], dim=-1)

    def spread(self, x: torch.Tensor, key: str, rows: int) -> Iterator[torch.Tensor]:
        return (self.linear(piece, key) for piece in x.split(rows, dim=1))

    def gather(self, pieces: Iterable[torch.Tensor], key: str) -> torch.Tensor:
        return torch.cat([self.linear(piece, key) for piece in pieces], dim=1)

    def scale(self, x: torch.Tensor, key: str) -> torch.Tensor:
        return x * torch.from_numpy(self._module.floats[key].float32())

    def normalize(self, x: torch.Tensor, eps: float) -> torch.Tensor:
        return normalize(x, eps)

    def clip(self, x: torch.Tensor, low: str, high: str) -> torch.Tensor:
        below, above = (torch.from_numpy(self._module.floats[key].float32()) for key in (low, high))
        return torch.minimum(torch.maximum(x, below), above)

    def rows(self, key: str, axis: int, ids: torch.Tensor) -> torch.Tensor:
        table = torch.from_numpy(self._module.floats[key].float32(axis, axis + 1)[0])
        return table[ids.long()]

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

    def attention(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None, layer: Layer
    ) -> torch.Tensor:
        assert mask is not None
        return attend(self, query, keys, values, mask, layer)

    def attention_scores(self, query: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        return query @ keys.transpose(2, 3)

    def attention_mix(self, weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return weights @ values.transpose(2, 3)

    pool = attention_mix

    def _shape(self, key: str) -> tuple[int, int]:
        if key in self._module.quants:
            return self._module.quants[key].rows, self._module.quants[key].columns
        rows, columns = self._module.floats[f"{self._module.stored_key(key)}.weight"].shape
        return rows, columns

    def _read(self, key: str, start: int, stop: int) -> torch.Tensor:
        if key in self._module.quants:
            tensor = self._module.quants[key]
            values = torch.from_numpy(dequantize(tensor.codes(start, stop), tensor.scales(start, stop)))
            # Where the grid's points are stored rounded to bfloat16, that is what a reference computes with.
            return values.bfloat16().float() if self._module.stored == "rounded lattice" else values
        return torch.from_numpy(self._module.floats[f"{self._module.stored_key(key)}.weight"].float32(start, stop))


def look_up(module: Module[Any], key: str, ids: np.ndarray, factor: float) -> torch.Tensor:
    """Rows ``ids`` of a table, float32 ``[1, n, width]``, times ``factor``."""
    rows = []
    for i in ids.tolist():
        if key in module.quants:
            table = module.quants[key]
            rows.append(dequantize(table.codes(i, i + 1), table.scales(i, i + 1)))
        else:
            rows.append(module.floats[f"{key}.weight"].float32(i, i + 1))
    return torch.from_numpy(np.concatenate(rows))[None] * factor


@dataclasses.dataclass
class _Piece:
    """Tokens that run together: what of each layer is the same, and how far they have come."""

    position: torch.Tensor
    turns: dict[str, tuple[torch.Tensor, torch.Tensor]]
    masks: dict[str, torch.Tensor]
    per_layer: list[torch.Tensor] | None
    x: torch.Tensor


@torch.no_grad()
def run(
    text: Module[TextConfig],
    tokens: np.ndarray,
    prefill: int,
    context: int,
    observe: Callable[[torch.Tensor, str], None] | None = None,
    singles: int | None = None,
    first: int = 0,
    each: Each | None = None,
    told: Callable[[int], None] = lambda layer: None,
) -> np.ndarray:
    """Logits: the first ``prefill`` tokens run in one piece, those between in another, the last ones one at a time.

    Args:
        text: of a checkpoint.
        tokens: int32 ``[T]``.
        singles: how many run one at a time; None for all behind the first piece.
        first: the first position whose logits are wanted.
        each: called in every layer with its index and a function that runs that layer alone, over all tokens, on
            other inputs: float32 ``[T, hidden]`` to the same. Layers must be given in order, for later ones may read
            the keys and values of earlier ones.
        told: called with the index of a layer that is done.

    Returns:
        float32 ``[T - first, vocab]``.
    """
    config = text.config
    ops = EagerOps(text, observe)
    decoder: Decoder[torch.Tensor, torch.Tensor] = Decoder(config, ops)
    pieces = [_piece(text, decoder, tokens, part, context) for part in _parts(len(tokens), prefill, singles)]
    empty = {
        layer.index: (
            torch.zeros(1, layer.kv_heads, context, layer.head_dim),
            torch.zeros(1, layer.kv_heads, layer.head_dim, context),
        )
        for layer in config.owners
    }
    free, given = dict(empty), dict(empty)

    def step(
        layer: Layer, piece: _Piece, x: torch.Tensor, caches: dict[int, tuple[torch.Tensor, torch.Tensor]]
    ) -> torch.Tensor:
        out = decoder.layer(
            x, layer, piece.per_layer, piece.turns, piece.masks, piece.position, caches, caches, logits=True
        )
        assert out is not None
        return out

    for layer in config.layers:
        for piece in pieces:
            piece.x = step(layer, piece, piece.x, free)
        if each is not None:

            def alone(rows: np.ndarray, layer: Layer = layer) -> np.ndarray:
                found = [
                    step(layer, piece, torch.from_numpy(rows[piece.position.numpy()])[None], given) for piece in pieces
                ]
                return np.concatenate([part[0].numpy() for part in found])

            each(layer.index, alone)
        ops.forget()
        told(layer.index)
    x = torch.cat([piece.x for piece in pieces], dim=1)[:, first:]
    return np.asarray(decoder.logits(x)[0].numpy())


def in_files(folder: Path) -> Each:
    """For ``each``: a layer's inputs are ``<layer>.npy`` in a folder, and its outputs take their place."""

    def each(layer: int, alone: Callable[[np.ndarray], np.ndarray]) -> None:
        file = folder / f"{layer}.npy"
        found = alone(np.load(file, allow_pickle=False))
        file.unlink()  # it may be another name of a file that somebody still reads
        np.save(file, found)

    return each


def _parts(total: int, prefill: int, singles: int | None) -> list[tuple[int, int]]:
    start = min(prefill, total)
    middle = start if singles is None else max(start, total - singles)
    found = [(0, start), (start, middle), *((i, i + 1) for i in range(middle, total))]
    return [(a, b) for a, b in found if b > a]


def _piece(
    text: Module[TextConfig],
    decoder: Decoder[torch.Tensor, torch.Tensor],
    tokens: np.ndarray,
    part: tuple[int, int],
    context: int,
) -> _Piece:
    config, ids = text.config, tokens[part[0] : part[1]]
    x = look_up(text, "embed_tokens", ids, float(config.hidden) ** 0.5)
    table = None
    if config.per_layer_width:
        table = look_up(text, "embed_tokens_per_layer", ids, float(config.per_layer_width) ** 0.5)
        table = table.reshape(1, len(ids), len(config.layers), config.per_layer_width)
    position = torch.arange(*part, dtype=torch.int32)
    allowed = torch.arange(context).reshape(1, 1, 1, -1) <= position.reshape(1, 1, -1, 1)
    turns, masks = decoder.turns(position), decoder.masks(torch.where(allowed, 0.0, -2.0e38), position)
    given = decoder.per_layer_inputs(x, table)
    return _Piece(position, turns, masks, None if given is None else decoder.by_layer(given), x)


def _tell(layer: int) -> None:
    sys.stdout.write(f"layer {layer}\n")
    sys.stdout.flush()


def main() -> None:
    from convert.checkpoint import open_checkpoint

    parser = argparse.ArgumentParser(prog="python -m convert.model.eager", description="Logits of the eager decoder.")
    parser.add_argument("checkpoint")
    parser.add_argument("--tokens", type=Path, required=True, help="int32 [T], .npy")
    parser.add_argument("--logits", type=Path, required=True, help="float32 [T - first, vocab], .npy, written")
    parser.add_argument("--prefill", type=int, default=16)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--singles", type=int, help="how many of the last tokens run one at a time; all by default")
    parser.add_argument("--first", type=int, default=0, help="the first position whose logits are written")
    parser.add_argument("--unrounded", action="store_true", help="leave static activation scales out")
    parser.add_argument("--rounded", type=Path, help="written like --logits, of a run with static activation scales")
    parser.add_argument(
        "--layers", type=Path, help="folder with inputs of each layer, <layer>.npy; outputs replace them there"
    )
    asked = parser.parse_args()
    tokens = np.load(asked.tokens, allow_pickle=False).astype(np.int32)
    text = open_checkpoint(asked.checkpoint).text
    # Both runs in one process: starting it takes longer than running a small model.
    bare = dataclasses.replace(text, activations={}) if asked.unrounded else text
    each = None if asked.layers is None else in_files(asked.layers)
    for path, module, given in ((asked.logits, bare, each), (asked.rounded, text, None)):
        if path is not None:
            logits = run(
                module,
                tokens,
                asked.prefill,
                asked.context,
                singles=asked.singles,
                first=asked.first,
                each=given,
                told=_tell,
            )
            with path.open("wb") as file:
                np.save(file, logits)


if __name__ == "__main__":
    main()
