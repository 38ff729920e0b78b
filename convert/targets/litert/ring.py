"""Caches of sliding layers as rings: position p lies in row p modulo the ring's length, and old rows are overwritten.

A call of one token writes its row and then looks at the ring. A call of several looks at the ring as it was and at its
own rows behind it, because the first of its tokens may still look at rows that the last of them overwrite. Then every
row of the ring is taken from the newest position that belongs there, so a row of padding, which has no position, is
written nowhere. What attention reads and what is kept are therefore two tensors, see :class:`Kept`.

The engine counts positions on and never wraps them; it knows such a cache by its type in ``ExecutorMetadata``
(``TYPE_LOCAL_KEY_CACHE``), which keeps it out of the capacity of a conversation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.checkpoint.config import FULL, SLIDING
from convert.model.decoder import OUTSIDE_WINDOW
from convert.model.symbol import binary, concatenate
from convert.targets.litert.emit import Symbol, symbol
from convert.targets.litert.fitting import gather, update
from convert.targets.litert.graph import Subgraph


@dataclass(frozen=True)
class Kept:
    """Keys or values of a layer.

    Attributes:
        state: what the next call gets.
        seen: what this call's tokens look at.
    """

    state: Symbol
    seen: Symbol

    @classmethod
    def whole(cls, cache: Symbol) -> Kept:
        """A cache of which attention reads what is kept."""
        return cls(cache, cache)


class Ring:
    """The rings of one signature's subgraph; the index arithmetic, in int32, is done once for all layers.

    Args:
        rows: of each ring, an attribute too.
        positions: int32 ``[n]``, consecutive; those of padding behind them are 0.
    """

    def __init__(self, graph: Subgraph, rows: int, positions: Symbol) -> None:
        self._graph, self.rows = graph, rows
        self._length = positions.shape[0]
        self._start = positions.narrow(0, 0, 1) if self._length > 1 else positions
        self._positions = positions

    def masks(self, mask: Symbol, window: int, behind: int = 0) -> dict[str, Symbol]:
        """By kind of layer: ``mask`` as it is given for full ones; for the others see :meth:`mask`."""
        return {FULL: mask, SLIDING: self.mask(window, behind)}

    def mask(self, window: int, behind: int = 0) -> Symbol:
        """``[1, 1, n, m]``, added to the scores of what a call's tokens look at.

        Args:
            window: positions that they look back, their own included.
            behind: how far they stand behind their positions.
        """
        n = self._length
        queries = self._start + (_arange(n) + np.int32(behind))
        held = self._held(self._start if n == 1 else self._start - 1)
        if n > 1:
            held = concatenate([held, queries], dim=0)
        across, down = held.reshape(1, 1, 1, -1), queries.reshape(1, 1, n, 1)
        # A row that was never written has a position below 0.
        oldest = (down - (window - 1)).maximum(0)
        hidden = binary("less", across, oldest, "bool").float()
        if n > 1:
            hidden = hidden + binary("less", down, across, "bool").float()
        return hidden * OUTSIDE_WINDOW

    def write(self, cache: Symbol, rows: Symbol, axis: int, quantization: Any) -> Kept:
        """Rows ``n`` long along ``axis`` written into a ring, both of one element type.

        Args:
            quantization: of both.
        """
        if self._length == 1:
            return Kept.whole(update(cache, rows, self._row(), axis, quantization))
        seen = concatenate([cache, rows], dim=axis)
        self._graph.tensors[seen.value.index].quantization = quantization
        return Kept(gather(seen, self._sources(), axis, quantization), seen)

    def _held(self, newest: Symbol) -> Symbol:
        """int32 ``[rows]``: the newest position of each row, none beyond ``newest``; below 0 where there is none."""
        return newest - (newest - _arange(self.rows)).modulo(self.rows)

    def _row(self) -> Symbol:
        """int32 ``[1]``: where the one row goes."""
        return symbol(self._graph.once(("ring row",), lambda: self._start.modulo(self.rows).value))

    def _sources(self) -> Symbol:
        """int32 ``[rows]``: which row of the ring and the new rows behind it each row of the ring becomes."""

        def make() -> Symbol:
            # Padding has position 0, so the largest is the last real one.
            behind = self._held(self._positions.reduce("max", 0, True)) - self._start
            old = binary("less", behind, 0, "bool").cast("int32")
            new = binary("less", -1, behind, "bool").cast("int32")
            return old * _arange(self.rows) + new * (behind + self.rows)

        return symbol(self._graph.once(("ring sources",), lambda: make().value))


def _arange(length: int) -> Any:
    return np.arange(length, dtype=np.int32)
