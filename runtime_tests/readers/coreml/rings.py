"""Which position each row of a ring holds, what a call's tokens see of it, and what its rows become.

A ring of R rows keeps position p in row p modulo R. A call looks at the ring as it was, and at its own rows behind it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def held(rows: int, count: int) -> NDArray[np.int64]:
    """Position in each row once positions 0 to ``count - 1`` were written, ``[rows]``; below 0: none yet.

    >>> held(4, 6).tolist(), held(4, 2).tolist()
    ([4, 5, 2, 3], [0, 1, -2, -1])
    """
    newest = count - 1
    return newest - (newest - np.arange(rows)) % rows


def columns(rows: int, start: int, length: int) -> NDArray[np.int64]:
    """Positions of a mask's columns in a call of ``length`` rows from ``start`` on: of the ring, then of the call."""
    return np.concatenate([held(rows, start), np.arange(start, start + length)])


def becomes(rows: int, start: int, count: int) -> NDArray[np.int32]:
    """Which of the ring's rows and the call's own behind them each row becomes, of a call with ``count`` real tokens.

    >>> becomes(4, 6, 3).tolist()
    [6, 1, 4, 5]
    """
    kept = held(rows, start + count)
    return np.where(kept >= start, rows + kept - start, np.arange(rows)).astype(np.int32)
