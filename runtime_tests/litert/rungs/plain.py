"""A block by LiteRT's plain kernels, where XNNPACK's own sums are too coarse to tell whether the file is right.

How good a runtime's sums are depends on the width of a product and on the processor: with 12,288 columns of weights in
blocks, XNNPACK leaves 86 dB of float64's product on a processor with AVX512-VNNI, and LiteRT's plain kernels leave 115
on the same one (``just bench products``). A bar low enough for that would forgive
faults of the file. So a block that misses its bar is run again by plain kernels on the same bytes, and those must reach
the bar, in decode and in the shortest prefill signature: plain kernels take minutes for a long one. What XNNPACK is
held to in such a block is what its sums are good for at all, and that no signature is worse than those two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runtime_tests.litert.cache import Cache
from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.cuts.forced import Cut, Part
from runtime_tests.litert.forced_calls import Call, Tally, calls, measure

SPREAD_DB = 6.0  # a kernel for one row and one for many add in another order


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
    plain = {name: _plain(case, part, name, lengths[name], cuts[name], layout) for name in asked if missed}
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


def _plain(case: LitertCase, part: Part, name: str, length: int, cut: Cut, layout: Cache) -> dict[str, float]:
    forced = cut.part(part)
    if forced is None:
        return {}
    interpreter = forced.interpreter("builtin", case.threads)
    found = measure(case, name, _few(calls(case, name, length)), interpreter, forced, layout, Tally())
    forced.release()
    return found


def _few(made: list[Call]) -> list[Call]:
    """One, from the middle of the sequence."""
    return [made[len(made) // 2]]
