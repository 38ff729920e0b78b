"""Faults of the decoder that know where a token stands: rotary embedding, masks, windows, the KV cache.

They reach the model, which rung 2a judges, and the eager form of rung 1. Where a target's graph takes rotary rows and
masks as inputs, there is no operation to wrap for some: there the same faults are in what feeds the model, and their
names are those of ``coreml/feeding.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from convert.checkpoint.config import FULL, SLIDING, Rope, TextConfig
from tests.mutants.beds import adapters
from tests.mutants.mutant import Build, Mutant, everywhere
from tests.mutants.wrap import At, wraps

KIND = "positions"
FED: dict[str, tuple[str, ...]] = {target: () for target, adapter in adapters().items() if not adapter.MAKES_ROWS}


def _each(name: str, what: str, fault: Any, *expected: str, but: dict[str, tuple[str, ...]] | None = None) -> Any:
    return everywhere(name, KIND, "mobile", what, expected or ("1", "2a"), Build(fault), but)


def _fed(name: str, what: str, fault: Any, *expected: str) -> Any:
    return _each(name, what, fault, *expected, but=FED)


def _turned_by(position: Callable[[Any], Any]) -> Any:
    return wraps(angles=lambda sound, at, positions, frequencies: sound(position(positions), frequencies))


def _swapped(config: TextConfig) -> TextConfig:
    return replace(config, ropes=dict(zip(config.ropes, reversed(config.ropes.values()), strict=True)))


def _window(change: int) -> Any:
    return wraps(config=lambda config: replace(config, window=config.window + change))


def _all_pairs(sound: Any, at: At, rope: Rope, head_dim: int) -> Any:
    return sound(replace(rope, partial=1.0), head_dim)


def _spaced_as_usual(sound: Any, at: At, rope: Rope, head_dim: int) -> Any:
    """Over the rotated part alone, as if that were a whole head."""
    if rope.kind != "proportional":
        return sound(rope, head_dim)
    turning = int(rope.partial * head_dim // 2)
    return torch.cat([sound(replace(rope, partial=1.0), 2 * turning), torch.zeros(head_dim // 2 - turning)])


def _sine_sign(sound: Any, at: At, x: Any, cos: Any, sin: Any) -> Any:
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos + second * sin, second * cos + first * sin], dim=-1)


def _queries_stand(sound: Any, at: At, x: Any, cos: Any, sin: Any) -> Any:
    return x if at.behind("q_proj") else sound(x, cos, sin)


def _rolled(x: Any, axis: int) -> Any:
    """Each element of an axis in the place of the one before it, the first in the last one's."""
    return torch.cat([x.narrow(axis, 1, x.shape[axis] - 1), x.narrow(axis, 0, 1)], dim=axis)


def _rows_of_the_next(sound: Any, at: At, turns: Any, **rest: Any) -> Any:
    if rest["x"].shape[1] > 1:
        turns = {kind: tuple(_rolled(rows, 1) for rows in pair) for kind, pair in turns.items()}
    return sound(turns=turns, **rest)


def _masked_by(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """``change`` gets the masks ``[1, 1, n, context]`` by kind of layer, and gives others."""
    return wraps(layer=lambda sound, at, masks, **rest: sound(masks=change(masks), **rest))


def _one_too_far(masks: dict[str, Any]) -> dict[str, Any]:
    def moved(mask: Any) -> Any:
        return torch.cat([mask.narrow(3, 0, 1), mask.narrow(3, 0, mask.shape[3] - 1)], dim=3)

    return {kind: moved(mask) for kind, mask in masks.items()}


def _one_too_short(masks: dict[str, Any]) -> dict[str, Any]:
    def moved(mask: Any) -> Any:
        return torch.cat([mask.narrow(3, 1, mask.shape[3] - 1), mask.narrow(3, mask.shape[3] - 1, 1)], dim=3)

    return {kind: moved(mask) for kind, mask in masks.items()}


def _ignored_in_decode(masks: dict[str, Any]) -> dict[str, Any]:
    return {kind: mask * 0.0 if mask.shape[2] == 1 else mask for kind, mask in masks.items()}


def _of_the_chunk(masks: dict[str, Any]) -> dict[str, Any]:
    """What lies outside the first token's window lies outside the whole chunk's."""
    sliding, whole = masks[SLIDING], masks[FULL]
    if whole.shape[2] == 1:
        return masks
    if sliding.shape == whole.shape:
        return {**masks, SLIDING: whole + sliding.narrow(2, 0, 1) - whole.narrow(2, 0, 1)}
    ring = sliding.shape[3] - sliding.shape[2]  # rows from before the chunk, and behind them its own
    kept = sliding.narrow(3, 0, ring)
    return {
        **masks,
        SLIDING: torch.cat([kept * 0.0 + kept.narrow(2, 0, 1), sliding.narrow(3, ring, sliding.shape[2])], dim=3),
    }


def _not_narrowed(masks: dict[str, Any]) -> dict[str, Any]:
    """Sliding layers see what full ones do; where they keep a ring, all of it."""
    sliding, whole = masks[SLIDING], masks[FULL]
    return {**masks, SLIDING: whole if sliding.shape == whole.shape else sliding * 0.0}


def _narrowed_everywhere(sound: Any, at: At, masks: dict[str, Any], input_pos: Any, **rest: Any) -> Any:
    narrow = masks[SLIDING]
    if narrow.shape != masks[FULL].shape:
        columns = torch.arange(masks[FULL].shape[-1], dtype=torch.int32).reshape(1, 1, 1, -1)
        outside = columns < input_pos.reshape(1, 1, -1, 1) - (at.config.window - 1)
        narrow = masks[FULL] + outside.float() * -1e9
    return sound(masks={**masks, FULL: narrow}, input_pos=input_pos, **rest)


def _owner_before(sound: Any, at: At, layer: Any, **rest: Any) -> Any:
    wrong = layer.kind == SLIDING and not layer.owns_kv
    return sound(layer=replace(layer, owner=layer.owner - 1) if wrong else layer, **rest)


def _one_late() -> Any:
    moved: dict[int, tuple[Any, Any]] = {}

    def fault(sound: Any, at: At, cache: Any, rows: Any, position: Any, **rest: Any) -> Any:
        """One more operation for keys and values together, as a decoder would have it."""
        held, later = moved.get(id(position), (None, None))
        if held is not position:
            later = position + 1
            moved[id(position)] = position, later
        return sound(cache, rows, later, **rest)

    return wraps(write_cache=fault)


def _halves_exchanged(sound: Any, at: At, cache: Any, rows: Any, position: Any, axis: int, **rest: Any) -> Any:
    if rows.shape[axis] > 1:
        rows = torch.cat(rows.chunk(2, dim=axis)[::-1], dim=axis)
    return sound(cache, rows, position, axis=axis, **rest)


MUTANTS: tuple[Mutant, ...] = (
    # Attention scores know differences of positions only: every logit stays, but the cache holds other keys.
    *_fed("rope_position_off_by_one", "positions count from one", _turned_by(lambda p: p + 1), "2a"),
    *_fed(
        "rope_position_off_in_decode",
        "positions off by one where one token is run",
        _turned_by(lambda p: p + (1 if p.shape[0] == 1 else 0)),
    ),
    *_fed(
        "rope_restarts_in_every_chunk",
        "positions counted from the chunk's first token",
        _turned_by(lambda p: p - p[0]),
    ),
    *_fed(
        "rope_thetas_swapped",
        "full layers turn by the sliding layers' base and the reverse",
        wraps(config=_swapped),
    ),
    *_fed("partial_rotary_ignored", "all pairs of full layers turn", wraps(inverse_frequencies=_all_pairs)),
    *_fed(
        "partial_rotary_spaced_as_usual",
        "exponents spaced over the rotated part",
        wraps(inverse_frequencies=_spaced_as_usual),
    ),
    *_each("rope_sine_sign", "half of each pair turns backwards", wraps(rotate=_sine_sign)),
    *_each("queries_not_rotated", "only keys are turned", wraps(rotate=_queries_stand)),
    *_each(
        "rope_rows_of_the_next", "each token of a chunk turns by the next one's row", wraps(layer=_rows_of_the_next)
    ),
    *_each("mask_one_too_far", "a token sees the one after it", _masked_by(_one_too_far)),
    *_each("mask_one_too_short", "a token does not see itself", _masked_by(_one_too_short)),
    *_each(
        "decode_ignores_the_mask",
        "one token alone sees every row of the cache, stale ones too",
        _masked_by(_ignored_in_decode),
    ),
    *_fed("window_one_too_long", "a sliding layer sees one token more", _window(1)),
    *_fed("window_one_too_short", "a sliding layer sees one token less", _window(-1)),
    *_each("window_ignored", "sliding layers see everything", _masked_by(_not_narrowed)),
    *_each("window_everywhere", "full layers slide as well", wraps(layer=_narrowed_everywhere)),
    *_each(
        "window_of_the_chunk",
        "the window of a whole chunk is that of its first token",
        _masked_by(_of_the_chunk),
        "2a",  # rung 1 prefills less than a window
    ),
    *_each("wrong_owner", "shared sliding layers read the owner before theirs", wraps(layer=_owner_before)),
    # Core ML writes where its function's input says: see coreml/program.py.
    *_fed("cache_written_one_late", "new keys and values go one row too far", _one_late()),
    *_each(
        "prefill_rows_out_of_order",
        "the halves of a chunk are written in the wrong order",
        wraps(write_cache=_halves_exchanged),
        "2a",
    ),
)
