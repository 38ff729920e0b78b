"""The reference's greedy answers to many prompts at once, and how certain each of their tokens is.

Most answers need no generation: somebody else's are read in one pass (``follow``), and the reference writes on only
where its own first choice is another. Prompts of similar length make a batch; while it generates, the shorter ones are
padded on the left and the padding is masked. A masked row has a weight of exactly 0 in attention, so padding moves a
logit by no more than a sum in another order does.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.measures import metrics
from runtime_tests.memory.pages import release
from runtime_tests.progress import steps
from runtime_tests.reference.floor import RELATIVE
from runtime_tests.reference.model import TOKENS_AT_ONCE, Floats, Ids, Reference

ROWS, TOKENS = 128, 2048  # of one batch: beyond, activations leave the processor's caches and time doubles
KEPT_BYTES = 1 << 30  # of float weights; larger models keep their integers, a byte each,
KEPT_CODES = 5 << 29  # and those still larger unpack them on every call, as transformers does
SAMPLE, DRAWS = 64, 4
SAMPLE_TOKENS = 4096  # of all answers of the sample with their prompts; each draw reads them anew
SAMPLE_ROWS = 16  # the last tokens of an answer stand for all


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


def answers(reference: Reference, prompts: Sequence[Ids], limits: Sequence[int], stops: frozenset[int]) -> list[Greedy]:
    """Continues every prompt by at most so many tokens; in the prompts' order."""
    out: dict[int, Greedy] = {}
    with kept_weights(reference):
        for where in batches([len(ids) for ids in prompts], ROWS, TOKENS):
            found = _continue(reference, [prompts[i] for i in where], [limits[i] for i in where], stops)
            out.update(zip(where, found, strict=True))
    return [out[i] for i in range(len(prompts))]


class Memory:
    """What is known already of answers that are being read or generated; this one forgets everything."""

    def get(self, stage: str, i: int) -> Greedy | None:
        """What a stage, ``read`` or ``written``, made of an answer."""
        return None

    def put(self, stage: str, i: int, answer: Greedy) -> None:
        """Keeps it."""


def follow(
    reference: Reference,
    prompts: Sequence[Ids],
    drafts: Sequence[Ids],
    limits: Sequence[int],
    stops: frozenset[int],
    memory: Memory | None = None,
) -> list[Greedy]:
    """As :func:`answers`, and all of it the reference's; but what it would say as well is read and not generated.

    Args:
        drafts: of each prompt tokens that the reference may say. Good ones save time, and no draft changes an answer.
        memory: of a run that was killed. Whole batches of it are taken over or none of a batch, for another batch
            would change the last bits of a logit.
    """
    memory = memory or Memory()
    out = _read(reference, prompts, drafts, limits, stops, memory)
    parted = [i for i, item in enumerate(out) if len(item.new) < limits[i] and int(item.new[-1]) not in stops]
    known = [memory.get("written", i) for i in parted]
    if all(known):
        rest = [item for item in known if item is not None]
    else:
        begun = [np.concatenate([prompts[i], out[i].new]).astype(np.int32) for i in parted]
        rest = answers(reference, begun, [limits[i] - len(out[i].new) for i in parted], stops)
        for i, item in zip(parted, rest, strict=True):
            memory.put("written", i, item)
    for i, more in zip(parted, rest, strict=True):
        margins = np.concatenate([out[i].margins, more.margins])
        out[i] = Greedy(prompts[i], np.concatenate([out[i].new, more.new]).astype(np.int32), margins)
    return out


def _read(
    reference: Reference,
    prompts: Sequence[Ids],
    drafts: Sequence[Ids],
    limits: Sequence[int],
    stops: frozenset[int],
    memory: Memory,
) -> list[Greedy]:
    """The reference's answers as far as the drafts are its own, each ended by its own choice where they part."""
    given = [_ended(draft[:limit], stops) for draft, limit in zip(drafts, limits, strict=True)]
    # The logits that chose a draft's last token stand before it; those behind it are wanted where it may go on.
    over = [bool(len(d)) and (len(d) == limit or int(d[-1]) in stops) for d, limit in zip(given, limits, strict=True)]
    fed = [draft[:-1] if end else draft for draft, end in zip(given, over, strict=True)]
    sequences = [np.concatenate([ids, new]).astype(np.int32) for ids, new in zip(prompts, fed, strict=True)]
    out: dict[int, Greedy] = {}
    with steps("answers read by the reference", len(prompts)) as advance:
        for group in batches([len(ids) for ids in sequences], len(sequences), TOKENS_AT_ONCE):
            known = [memory.get("read", i) for i in group]
            if all(known):
                out.update((i, item) for i, item in zip(group, known, strict=True) if item is not None)
            else:
                firsts = [len(prompts[i]) - 1 for i in group]
                for place, rows, _ in reference.many([sequences[i] for i in group], firsts):
                    i = group[place]
                    out[i] = _agreeing(prompts[i], rows, given[i])
                    memory.put("read", i, out[i])
            advance(len(group))
    return [out[i] for i in range(len(prompts))]


def _agreeing(ids: Ids, rows: Floats, given: Ids) -> Greedy:
    new = rows.argmax(axis=-1).astype(np.int32)
    gaps = np.concatenate([metrics.margins(rows[k : k + 16]) for k in range(0, len(rows), 16)])  # in float64
    differs = new[: len(given)] != given[: len(new)]
    end = int(np.argmax(differs)) + 1 if differs.any() else len(new)
    return Greedy(ids, new[:end], gaps[:end])


def _ended(draft: Ids, stops: frozenset[int]) -> Ids:
    """A draft up to its first stop token."""
    ends = np.flatnonzero(np.isin(draft, list(stops)))
    return draft[: ends[0] + 1] if len(ends) else draft


Within = Callable[[], contextlib.AbstractContextManager[None]]


def disturbance(reference: Reference, found: Sequence[Greedy], beside: Within | None = None) -> float:
    """The floor: how far the disturbance of floor.py moves any logit that chose a token, in logits.

    It is the largest of ``DRAWS`` draws over a sample of the answers (:func:`sampled`). One figure for all positions,
    because a few draws leave most single positions undisturbed by luck.

    Args:
        beside: within it the reference has weights that count as well as its own; what they move counts like a draw.
    """
    sample = [found[i] for i in sampled([len(item.ids) + len(item.new) for item in found])]
    sequences = [np.concatenate([item.ids, item.new[:-1]]).astype(np.int32) for item in sample]
    rows = [min(SAMPLE_ROWS, len(item.new)) for item in sample]
    firsts = [len(ids) - count for ids, count in zip(sequences, rows, strict=True)]
    farthest, plain = 0.0, {}
    for i, logits, moved in reference.many(sequences, firsts, DRAWS, RELATIVE):
        farthest = max(farthest, *(float(np.abs(logits - draw).max()) for draw in moved))
        if beside is not None:
            plain[i] = logits.copy()
    if beside is not None:
        with beside():
            for i, logits, _ in reference.many(sequences, firsts):
                farthest = max(farthest, float(np.abs(logits - plain[i]).max()))
    return farthest


def sampled(lengths: Sequence[int]) -> list[int]:
    """Which answers are disturbed: evenly spaced ones, so many that they have some thousand tokens at most.

    >>> sampled([10] * 3), len(sampled([10] * 1000)), len(sampled([1024] * 100))
    ([0, 1, 2], 64, 4)
    """
    count = min(SAMPLE, len(lengths))
    while True:
        found = sorted({int(i) for i in np.linspace(0, len(lengths) - 1, count)})
        if count <= 1 or sum(lengths[i] for i in found) <= SAMPLE_TOKENS:
            return found
        count -= 1


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


def _continue(
    reference: Reference, prompts: Sequence[Ids], limits: Sequence[int], stops: frozenset[int]
) -> list[Greedy]:
    import torch

    cache, given = reference.cache(), _padded(prompts)
    tokens, mask, positions = given.tokens, given.mask, given.positions
    going = np.ones(len(prompts), bool)
    chosen: list[Ids] = []
    margins: list[NDArray[np.float64]] = []
    while going.any():
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
        going &= ~np.isin(chosen[-1], list(stops)) & (np.array(limits) > len(chosen))
        tokens = torch.from_numpy(chosen[-1].astype(np.int64))[:, None]
        mask = torch.cat([mask, torch.ones_like(tokens)], dim=1)
        positions = positions[:, -1:] + 1
    new, gaps = np.stack(chosen, axis=1), np.stack(margins, axis=1)
    most = [row[:limit] for row, limit in zip(new, limits, strict=True)]
    ends = [next((k + 1 for k, token in enumerate(row) if int(token) in stops), len(row)) for row in most]
    return [Greedy(ids, new[i, :end], gaps[i, :end]) for i, (ids, end) in enumerate(zip(prompts, ends, strict=True))]


@contextlib.contextmanager
def kept_weights(reference: Reference) -> Iterator[None]:
    """Within this, quantized linears of a small model keep their float weights instead of unpacking them every time.

    Those of a larger one keep their integers, unpacked by transformers' own functions into bytes, which it takes as
    codes of 8 bits. The values are those of their own unpacking; only the repetition goes.
    """
    linears = [module for module in reference.model.modules() if hasattr(module, "weight_scale")]
    linears = [module for module in linears if "_dequantize_weights" not in module.__dict__]  # nested use
    size = sum(module.in_features * module.out_features for module in linears)
    with _kept_floats(linears) if size * 4 <= KEPT_BYTES else _kept_codes(linears if size <= KEPT_CODES else []):
        yield


@contextlib.contextmanager
def _kept_floats(linears: Sequence[Any]) -> Iterator[None]:
    try:
        for module in linears:
            module._dequantize_weights = functools.partial(_kept, module._dequantize_weights())
        yield
    finally:
        for module in linears:
            del module._dequantize_weights


@contextlib.contextmanager
def _kept_codes(linears: Sequence[Any]) -> Iterator[None]:
    import torch
    from transformers.integrations import gemma_quant

    unpack = {2: gemma_quant._unpack_int2, 4: gemma_quant._unpack_int4}
    packed = [(module, module.weight, module.num_bits) for module in linears if module.num_bits in unpack]
    try:
        for module, weight, bits in packed:
            codes = unpack[bits](weight.data, module.in_features)
            module.weight, module.num_bits = torch.nn.Parameter(codes, requires_grad=False), 8
            release(weight.data.numpy())  # not looked at again before the end
        yield
    finally:
        for module, weight, bits in packed:
            module.weight, module.num_bits = weight, bits


def _kept(weight: Any, _dtype: Any = None) -> Any:
    return weight
