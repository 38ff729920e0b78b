"""What runs become: medians with their ranges, ratios of two runtimes round by round, and shares of the bandwidth."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

FIGURES = ("ready", "prefill", "first", "decode", "resident")


@dataclass(frozen=True)
class Run:
    """One start of a runtime.

    Attributes:
        ready: seconds from the start of loading until a prompt can be taken.
        first: seconds from there to the first token.
        prefill, decode: tokens a second.
        resident: most bytes of memory that its process held, mapped pages of files included.
    """

    ready: float
    first: float
    prefill: float
    decode: float
    resident: int


@dataclass(frozen=True)
class Spread:
    """The median of some figures, the least and the most of them."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Side:
    """A runtime's runs at one setting.

    Attributes:
        files: bytes of the model.
        read: bytes of weights that every token reads.
        start: the very first one, which may write a cache; it counts in no median.
        runs: one for each round.
    """

    name: str
    files: int
    read: int
    start: Run
    runs: tuple[Run, ...]


def spread(values: Sequence[float]) -> Spread:
    """Of at least one figure."""
    return Spread(statistics.median(values), min(values), max(values))


def of(side: Side, figure: str) -> Spread:
    """A figure of a runtime over its rounds."""
    return spread([float(getattr(run, figure)) for run in side.runs])


def ratio(ours: Side, theirs: Side, figure: str) -> Spread:
    """How many times theirs ours is. Runs of one round stand beside each other: what else the machine did then, it did
    to both.
    """
    pairs = zip(ours.runs, theirs.runs, strict=True)
    return spread([float(getattr(a, figure)) / float(getattr(b, figure)) for a, b in pairs])


def share(side: Side, bandwidth: float) -> float:
    """Which part of the bytes that memory gives in a second decoding moves, the median; weights alone, no cache."""
    return of(side, "decode").median * side.read / bandwidth
