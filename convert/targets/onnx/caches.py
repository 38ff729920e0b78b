"""Keys and values of before in an ONNX graph, and what is kept of them.

A full layer keeps all rows. A sliding layer keeps those that the next token looks at beside itself, ``window - 1``, or
as many as the cache has that it is given, if these are more: see ``Window``. ``GroupQueryAttention`` masks by the
distance of a query and a key alone, and keys are turned by their positions before, so attention over the rows that are
left is the attention over all. The operator's own ``sliding_window_cache`` is not used: in a piece of many tokens it
leaves nothing to layers that read another's keys and values, and it wants a whole window before the first token.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convert.checkpoint.config import SLIDING, Layer, TextConfig
from convert.targets.onnx.emit import Symbol
from convert.targets.onnx.graph import (
    PAST,
    TOTAL,
    WINDOW_PAST,
    WINDOW_SEEN,
    WINDOW_TOTAL,
    Graph,
    Value,
)

_END = np.array([np.iinfo(np.int64).max], np.int64)
_ROWS = np.array([2], np.int64)  # the axis


@dataclass(frozen=True)
class Lengths:
    """What ``GroupQueryAttention`` asks for: rows so far less one, int32 ``[1]``, and rows so far, an int32 scalar."""

    less: Value
    whole: Value


@dataclass(frozen=True)
class Window:
    """Rows of a sliding layer, int64 ``[1]`` each. A cache of p rows is given, T tokens are seen with the n new ones.

    Attributes:
        live: rows of the cache that hold tokens, ``min(T - n, p)``, its first ones.
        drop: rows of these and the new ones together that are left out of the cache.
        kept: rows that are in it: ``min(T, max(p, window - 1))``.
    """

    live: Value
    drop: Value
    kept: Value


@dataclass
class Slot:
    """Keys or values of a layer.

    Attributes:
        past: of before.
        new: those of a call, ``[1, n, kv * head_dim]``.
        seen: what the layer and those that read it look at.
        present: what the next call is given.
    """

    past: Value
    new: Symbol | None = None
    seen: Value | None = None
    present: Value | None = None


class Caches:
    """The caches of a graph, inputs ``past_key_values.<i>.<part>``, by owning layer.

    Args:
        total: tokens so far, int64 ``[1]``.
        new: tokens of the call, int64 ``[1]``.
    """

    def __init__(self, graph: Graph, config: TextConfig, total: Value, new: Value) -> None:
        self._graph = graph
        self.slots: dict[int, tuple[Slot, Slot]] = {}
        for i, layer in enumerate(config.owners):
            rows = WINDOW_PAST if layer.kind == SLIDING else PAST
            shape = (1, layer.kv_heads, rows, layer.head_dim)
            keys, values = (
                Slot(graph.input(f"past_key_values.{i}.{part}", shape, "float32")) for part in ("key", "value")
            )
            self.slots[layer.index] = keys, values
        self._full, self._window, self._sliding = self._lengths(total), None, None
        first = next((self.slots[layer.index][0].past for layer in config.owners if layer.kind == SLIDING), None)
        if first is not None:
            self._window, self._sliding = self._narrowed(first, config.window, total, new)

    def lengths(self, layer: Layer) -> Lengths:
        """Of the rows that a layer looks at."""
        return self._sliding if layer.kind == SLIDING and self._sliding is not None else self._full

    def live(self, slot: Slot, layer: Layer) -> Value:
        """The rows of before that hold tokens."""
        if layer.kind != SLIDING or self._window is None:
            return slot.past
        shape = (1, layer.kv_heads, WINDOW_SEEN, layer.head_dim)
        return self._rows(slot.past, None, self._window.live, shape)

    def seen_rows(self, layer: Layer) -> int:
        """The dimension of what a layer looks at."""
        return WINDOW_SEEN if layer.kind == SLIDING else TOTAL

    def keep(self, slot: Slot, seen: Value, layer: Layer) -> None:
        """Sets what a layer looked at, and what is kept of it.

        Of a cache with more rows than tokens the last ones stay as they are, so that it has as many behind a call as
        before it: some runtimes give one buffer for both.
        """
        slot.seen = slot.present = seen
        if layer.kind == SLIDING and self._window is not None:
            shape = (1, layer.kv_heads, WINDOW_TOTAL, layer.head_dim)
            last = self._rows(seen, self._window.drop, None, shape)
            rest = self._rows(slot.past, self._window.kept, None, shape)
            slot.present = self._graph.node("Concat", (last, rest), shape, "float32", axis=2)

    def _lengths(self, rows: Value) -> Lengths:
        graph = self._graph
        whole = graph.node("Cast", (rows,), (1,), "int32", to=6)
        less = graph.node("Sub", (whole, graph.constant(np.array([1], np.int32))), (1,), "int32")
        return Lengths(less, graph.node("Reshape", (whole, graph.constant(np.zeros(0, np.int64))), (), "int32"))

    def _narrowed(self, first: Value, window: int, total: Value, new: Value) -> tuple[Window, Lengths]:
        def count(type: str, *inputs: Value) -> Value:
            return self._graph.node(type, inputs, (1,), "int64")

        given = self._graph.node("Shape", (first,), (1,), "int64", start=2, end=3)
        live = count("Min", count("Sub", total, new), given)
        seen = count("Add", live, new)
        least = self._graph.constant(np.array([window - 1], np.int64))
        kept = count("Min", total, count("Max", given, least))
        return Window(live, count("Sub", seen, kept), kept), self._lengths(seen)

    def _rows(self, x: Value, begin: Value | None, end: Value | None, shape: tuple[int, ...]) -> Value:
        zero, axis = self._graph.constant(np.zeros(1, np.int64)), self._graph.constant(_ROWS)
        given = (x, begin or zero, end or self._graph.constant(_END), axis)
        return self._graph.node("Slice", given, shape, x.dtype)
