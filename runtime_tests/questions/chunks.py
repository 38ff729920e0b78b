"""The odd pieces in which a prompt is prefilled."""

from __future__ import annotations

ODD = (13, 7, 25)


def chunks(total: int, longest: int) -> list[tuple[int, int]]:
    """Odd pieces of a prompt, none longer than the longest signature.

    >>> chunks(50, 16)
    [(0, 13), (13, 20), (20, 36), (36, 50)]
    """
    out: list[tuple[int, int]] = []
    start = 0
    while start < total:
        piece = ODD[len(out)] if len(out) < len(ODD) else longest
        stop = min(total, start + min(piece, longest))
        out.append((start, stop))
        start = stop
    return out
