"""Which position each row of a cache holds.

A cache of R rows keeps position p in row p modulo R. One with a row for each position of the context is such a ring
that never comes round. LiteRT-LM's convention: it counts positions on and leaves the remainder to the graph.
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


def live(rows: int, count: int, window: int | None) -> NDArray[np.int64]:
    """Rows whose positions later tokens may look at, by position; ``window``: how far they look back, None: all."""
    positions = held(rows, count)
    oldest = 0 if window is None else max(0, count - window)
    found = np.flatnonzero(positions >= oldest)
    return found[np.argsort(positions[found])]
