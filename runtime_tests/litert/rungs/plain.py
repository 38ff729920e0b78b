"""A block by LiteRT's plain kernels, where XNNPACK's own sums are too coarse to tell whether the file is right.

How good a runtime's sums are depends on the width of a product and on the processor: with 12,288 columns of weights in
blocks, XNNPACK leaves 86 dB of float64's product on a processor with AVX512-VNNI, and LiteRT's plain kernels leave 115
on the same one (``just bench products``). A bar low enough for that would forgive
faults of the file. So a block that misses its bar is run again by plain kernels on the same bytes, and those must reach
the bar, in decode and in the shortest prefill signature: plain kernels take minutes for a long one. What XNNPACK is
held to in such a block is what its sums are good for at all, and that no signature is worse than those two.

Plain kernels have a weakness of their own: they take the zero point of a token's activations times the sum of a row's
weights from the product, in float32. What that costs is decided by how lopsided a token's activations are: with 10,240
columns and a zero point that is 12, 25 and 50 steps of 255 off the middle, 128 dB become 117, 103 and 92, where XNNPACK
keeps its 88 (``just bench products``). A wrong weight, scale or operator is wrong for every token. So a block that does
not know where a token stands is judged by the token at which it does best; attention, keys and values by all of them
together. Formats with static activations are not: their products are of integers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime_tests.litert.cache import Cache
from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.cuts.forced import Cut, Part
from runtime_tests.litert.forced_calls import Call, Tally, calls, measure, pooled

SPREAD_DB = 6.0  # a kernel for one row and one for many add in another order
TOKENS = 8  # that plain kernels may try: at some three of four they reach the bar
PLACED = ("attention", "key", "value")  # kinds of boundary that depend on where a token stands


@dataclass(frozen=True)
class Float:
    """One float output of a signature.

    Attributes:
        key: the boundary, or ``logits``.
        quality: dB of the reference's, by XNNPACK.
        bar: what that is held to.
        plain: dB by plain kernels, which are held to the format's bar; None where they were not asked.
    """

    key: str
    quality: float
    bar: float
    plain: float | None = None


def weigh(
    case: LitertCase,
    part: Part,
    lengths: Mapping[str, int],
    cuts: Mapping[str, Cut],
    layout: Cache,
    found: Mapping[str, Mapping[str, float]],
) -> dict[str, list[Float]]:
    """The bars of one part's float outputs, after plain kernels were asked where XNNPACK missed the format's.

    Args:
        lengths: tokens by signature: prefills ascending, then decode.
        found: dB by XNNPACK, by signature and boundary.
    """
    least = case.budget.kernel_db
    missed = {key for floats in found.values() for key, quality in floats.items() if quality < bar_of(case, key)}
    asked = [] if least is None else [name for name in dict.fromkeys((next(iter(lengths)), "decode")) if name in found]
    plain = {name: _plain(case, part, name, lengths[name], cuts[name], layout, missed) for name in asked if missed}
    out: dict[str, list[Float]] = {}
    for name, floats in found.items():
        out[name] = []
        for key, quality in floats.items():
            bar, beside = bar_of(case, key), [found[other][key] for other in asked if key in found[other]]
            if key in missed and beside and least is not None:
                bar = min(bar, max(least, min(beside) - SPREAD_DB))
            seen = plain.get(name, {}).get(key) if key in missed else None
            out[name].append(Float(key, quality, bar, seen))
    return out


def bar_of(case: LitertCase, key: str) -> float:
    """The format's bar for a float output, dB."""
    return case.budget.logits_db if key == "logits" else case.budget.block_bar(key.rsplit("/", 1)[-1])


def best_token(key: str, expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """dB of a float output by plain kernels, ``[T, width]``: of the best token where none has a place, else of all."""
    if _placed(key):
        return pooled(key, expected, found)
    return max(pooled(key, expected[i : i + 1], found[i : i + 1]) for i in range(len(expected)))


def _plain(
    case: LitertCase, part: Part, name: str, length: int, cut: Cut, layout: Cache, missed: Collection[str]
) -> dict[str, float]:
    forced = cut.part(part)
    if forced is None:
        return {}
    interpreter, found = forced.interpreter("builtin", case.threads), dict[str, float]()
    for call in _tries(calls(case, name, length), max(1, TOKENS // length)):
        seen = measure(case, name, [call], interpreter, forced, layout, Tally(), best_token)
        found = seen if not found else {k: q if _placed(k) else max(q, seen[k]) for k, q in found.items()}
        if not any(q < bar_of(case, k) for k, q in found.items() if k in missed and not _placed(k)):
            break
    forced.release()
    return found


def _placed(key: str) -> bool:
    return key.rsplit("/", 1)[-1] in PLACED


def _tries(made: list[Call], count: int) -> list[Call]:
    """So many, the first from the middle of the sequence."""
    order = [len(made) // 2, *np.linspace(len(made) - 1, 0, count + 1).round().astype(int).tolist()]
    return [made[i] for i in list(dict.fromkeys(order))[:count]]
