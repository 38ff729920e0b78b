"""The reference's greedy answers to many prompts at once, and how certain each of their tokens is.

Prompts of similar length make a batch; the shorter ones are padded on the left and the padding is masked. A masked row
has a weight of exactly 0 in attention, so padding moves a logit by no more than a sum in another order does.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests import metrics
from runtime_tests.floor import RELATIVE
from runtime_tests.reference import Ids, Reference

ROWS, TOKENS = 128, 2048  # of one batch: beyond, activations leave the processor's caches and time doubles
KEPT_BYTES = 1 << 30  # larger models unpack their weights on every call, as transformers does
SAMPLE, DRAWS = 64, 4


@dataclass(frozen=True)
class Greedy:
    """One prompt, continued greedily.

    Attributes:
        ids: the prompt's tokens, start token included.
        new: what was chosen, ``[K]``; a stop token ends it and is included.
        margins: how far each choice lay before the second best, in logits, ``[K]``.
    """

    ids: Ids
    new: Ids
    margins: NDArray[np.float64]


def answers(reference: Reference, prompts: Sequence[Ids], steps: int, stops: frozenset[int]) -> list[Greedy]:
    """Continues every prompt by at most ``steps`` tokens; in the prompts' order."""
    out: dict[int, Greedy] = {}
    with kept_weights(reference):
        for where in batches([len(ids) for ids in prompts], ROWS, TOKENS):
            found = _continue(reference, [prompts[i] for i in where], steps, stops)
            out.update(zip(where, found, strict=True))
    return [out[i] for i in range(len(prompts))]


Within = Callable[[], contextlib.AbstractContextManager[None]]


def disturbance(reference: Reference, found: Sequence[Greedy], beside: Within | None = None) -> float:
    """The floor: how far the disturbance of floor.py moves any logit that chose a token, in logits.

    It is the largest of ``DRAWS`` draws over ``SAMPLE`` answers, evenly spaced. One figure for all positions, because
    a few draws leave most single positions undisturbed by luck.

    Args:
        beside: within it the reference has weights that count as well as its own; what they move counts like a draw.
    """
    sample = [found[i] for i in sorted({int(i) for i in np.linspace(0, len(found) - 1, min(SAMPLE, len(found)))})]
    with kept_weights(reference):
        together = batches([len(item.ids) + len(item.new) for item in sample], ROWS, TOKENS)
        return max((_moved(reference, [sample[i] for i in where], beside) for where in together), default=0.0)


def certain(item: Greedy, floor: float) -> int:
    """How many tokens of a continuation come before its first near-tie: a margin of at most twice the floor.

    >>> certain(Greedy(np.zeros(1, np.int32), np.zeros(3, np.int32), np.array([3.0, 0.5, 2.0])), 0.25)
    1
    """
    ties = item.margins <= 2.0 * floor
    return int(np.argmax(ties)) if ties.any() else len(item.new)


def batches(lengths: Sequence[int], rows: int, tokens: int) -> Iterator[list[int]]:
    """Indices ordered by length, so many together that the longest of them times their number keeps the bounds.

    >>> list(batches([3, 2, 9, 3], 2, 10))
    [[1, 0], [3], [2]]
    """
    together: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if together and (len(together) == rows or (len(together) + 1) * lengths[i] > tokens):
            yield together
            together = []
        together.append(i)
    if together:
        yield together


@dataclass(frozen=True)
class _Padded:
    """Prompts padded on the left: ``tokens``, ``mask`` and ``positions``, int64 tensors ``[N, T]``."""

    tokens: Any
    mask: Any
    positions: Any


def _padded(prompts: Sequence[Ids]) -> _Padded:
    import torch

    longest = max(map(len, prompts))
    tokens, mask = np.zeros((2, len(prompts), longest), np.int64)
    for row, ids in enumerate(prompts):
        tokens[row, longest - len(ids) :], mask[row, longest - len(ids) :] = ids, 1
    positions = np.maximum(np.cumsum(mask, axis=1) - 1, 0)
    return _Padded(*map(torch.from_numpy, (tokens, mask, positions)))


def _continue(reference: Reference, prompts: Sequence[Ids], steps: int, stops: frozenset[int]) -> list[Greedy]:
    import torch

    cache, given = reference.cache(), _padded(prompts)
    tokens, mask, positions = given.tokens, given.mask, given.positions
    going = np.ones(len(prompts), bool)
    chosen: list[Ids] = []
    margins: list[NDArray[np.float64]] = []
    while len(chosen) < steps and going.any():
        with torch.no_grad():
            rows = reference.model(
                input_ids=tokens,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        logits = rows.logits[:, -1].float().numpy()
        chosen.append(logits.argmax(axis=-1).astype(np.int32))
        margins.append(metrics.margins(logits))
        going &= ~np.isin(chosen[-1], list(stops))
        tokens = torch.from_numpy(chosen[-1].astype(np.int64))[:, None]
        mask = torch.cat([mask, torch.ones_like(tokens)], dim=1)
        positions = positions[:, -1:] + 1
    new, gaps = np.stack(chosen, axis=1), np.stack(margins, axis=1)
    ends = [next((k + 1 for k, token in enumerate(row) if int(token) in stops), len(row)) for row in new]
    return [Greedy(ids, new[i, :end], gaps[i, :end]) for i, (ids, end) in enumerate(zip(prompts, ends, strict=True))]


def _moved(reference: Reference, items: Sequence[Greedy], beside: Within | None) -> float:
    """The largest change of a logit at the positions that chose a token."""
    import torch

    given, longest = _padded([item.ids for item in items]), max(len(item.new) for item in items)
    forced = np.zeros((len(items), longest - 1), np.int64)
    for row, item in enumerate(items):
        forced[row, : len(item.new) - 1] = item.new[:-1]  # attention is causal: zeros after it change nothing before
    more = torch.from_numpy(forced)
    tokens = torch.cat([given.tokens, more], dim=1)
    mask = torch.cat([given.mask, torch.ones_like(more)], dim=1)
    positions = torch.cat([given.positions, given.positions[:, -1:] + 1 + torch.arange(longest - 1)], dim=1)

    def logits() -> Any:
        with torch.no_grad():
            out = reference.model(
                input_ids=tokens,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=reference.cache(),
                use_cache=True,
                logits_to_keep=longest,
            )
        return out.logits

    chose = torch.arange(longest) < torch.tensor([[len(item.new)] for item in items])
    plain = logits()

    def distance() -> float:
        return float((logits() - plain).abs().amax(-1)[chose].max())

    with reference.disturbance(RELATIVE):
        moved = max(distance() for _ in range(DRAWS))
    if beside is not None:
        with beside():
            moved = max(moved, distance())
    return moved


@contextlib.contextmanager
def kept_weights(reference: Reference) -> Iterator[None]:
    """Within this, quantized linears of a small model keep their float weights instead of unpacking them every time.

    The values are those of their own unpacking; only the repetition goes.
    """
    linears = [module for module in reference.model.modules() if hasattr(module, "weight_scale")]
    linears = [module for module in linears if "_dequantize_weights" not in module.__dict__]  # nested use
    if sum(module.in_features * module.out_features * 4 for module in linears) > KEPT_BYTES:
        linears = []
    try:
        for module in linears:
            module._dequantize_weights = functools.partial(_kept, module._dequantize_weights())
        yield
    finally:
        for module in linears:
            del module._dequantize_weights


def _kept(weight: Any, _dtype: Any = None) -> Any:
    return weight
