"""Calls at the end of the context: where their rows land, and which rows their tokens look at.

Positions mean nothing to the reference there: no sequence of the judge's is that long. So what a call writes is given,
and what it looks at is found without a reference: rows that a token must not see are replaced, and its output has to
stay the same; one that it must see is replaced, and it has to change. A ring has come round many times there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.litert.cache import Cache
from runtime_tests.litert.case import DECODER, LitertCase
from runtime_tests.litert.cuts import branches
from runtime_tests.litert.cuts.forced import GIVEN, Forced
from runtime_tests.litert.rings import held, live
from runtime_tests.litert.runners.interpreter import Interpreter, feed
from runtime_tests.readers.dimensions import SLIDING

Arrays = dict[str, NDArray[Any]]
_NONE = np.zeros(0, np.int64)
_LONG = 128  # tokens of a chunk of which only the end of the context is asked


def end_of_context(
    case: LitertCase, name: str, length: int, forced: Forced, interpreter: Interpreter, layout: Cache
) -> list[str]:
    """Caches whose last rows are wrong after a call whose padding would reach past the end of the context.

    The engine makes such calls in long conversations. Positions mean nothing here: the new rows are given, and only
    where they land is compared.
    """
    count = last_rows(case, length)
    start = case.context - count
    inputs, rows = _call(case, name, start, count, forced, layout), slice(0, count)
    generator = np.random.default_rng(1)
    before = {}
    for key, cache in layout.filled(0, {*forced.inputs, *forced.outputs}).items():
        before[key] = generator.integers(-100, 100, cache.shape).astype(cache.dtype)
    inputs.update({key: cache for key, cache in before.items() if key in forced.inputs})
    wrong, out = [], interpreter.run("forced", inputs)
    for key, cache in before.items():
        if key not in out:
            continue
        axis, kind = (2, "key") if "_k_" in key else (3, "value")
        layer = layout.owners[int(key.rsplit("_", 1)[1])]
        new = layout.quantized(key, layout._heads(layer, kind)[:, rows])
        expected = np.moveaxis(cache.copy(), axis, 0)
        positions = held(len(expected), case.context)
        own = np.flatnonzero(positions >= start)
        rows_of = np.moveaxis(new, 1, 0)[positions[own] - start]
        expected[own] = rows_of.reshape(expected[own].shape)
        where = live(len(expected), case.context, layout.window(key))
        expected, found = expected[where], np.moveaxis(out[key], axis, 0)[where]
        slack = 1.0 if found.dtype == np.int8 else 1e-4  # one step of rounding, or the last bits
        if not np.allclose(expected.astype(np.float32), found.astype(np.float32), rtol=0, atol=slack):
            wrong.append(key)
    return wrong


def last_rows(case: LitertCase, length: int) -> int:
    """How many rows of the end of the context are written."""
    return min(3, length, len(case.ids))


def looks(
    case: LitertCase, name: str, length: int, forced: Forced, interpreter: Interpreter, layout: Cache
) -> list[str]:
    """Attention outputs that see a row they must not, or not one that they must.

    In a call at the end of the context, and on both sides of every position from which on the graph takes another
    branch. Keys and values are zeros but for the rows that are marked with large numbers; since the product of such a
    key with a query may have either sign, once more with its negative.
    """
    limits = branches.limits(case.model(DECODER), case.model(DECODER).signatures[name].subgraph, case.context)
    last, wrong = last_rows(case, length), []
    few = min(length, len(case.ids))
    near = sorted({start for limit in limits for start in (limit - 1, limit) if 0 < start < case.context - few})
    for boundary in sorted(item for item in forced.boundaries if item.endswith("/attention")):
        layer = int(boundary.removeprefix("layers.").split("/")[0])
        number = layout.owners.index(case.dims.owner_of(layer))
        if f"kv_cache_k_{number}" not in forced.inputs or f"kv_cache_v_{number}" not in forced.inputs:
            continue
        look = _Look(case, name, forced, interpreter, layout, boundary)
        # A ring has no branches, and a long chunk takes long.
        branching = not look.ring and length <= _LONG
        for start, count in [*((start, few) for start in near if branching), (case.context - last, last)]:
            wrong += [f"{boundary} at {start}: {fault}" for fault in look.faults(start, count)]
    return wrong


class _Look:
    """What the tokens of a call see, by the output of one layer's attention."""

    def __init__(
        self,
        case: LitertCase,
        name: str,
        forced: Forced,
        interpreter: Interpreter,
        layout: Cache,
        boundary: str,
    ) -> None:
        self._case, self._name, self._forced, self._interpreter = case, name, forced, interpreter
        self._layout, self._boundary = layout, boundary
        self._layer = int(boundary.removeprefix("layers.").split("/")[0])
        self._owner = case.dims.owner_of(self._layer)
        number = layout.owners.index(self._owner)
        self._keys, self._values = f"kv_cache_k_{number}", f"kv_cache_v_{number}"
        self.ring = layout.ring(self._keys) != case.context

    def faults(self, start: int, count: int) -> list[str]:
        """Of a call with ``count`` tokens from a position on."""
        sliding = self._case.dims.kinds[self._layer] == SLIDING
        edge = max(0, start - self._case.window + 1) if sliding else 0
        positions, wrong = held(self._layout.ring(self._keys), start), []
        plain = self._attend(start, count, _NONE, 1)

        def marked(rows: NDArray[np.int64], own: bool = False) -> list[NDArray[Any]]:
            return [self._attend(start, count, rows, sign, own) for sign in (1, -1)]

        unseen = np.flatnonzero((positions < edge) | (positions < 0))
        if any(not np.array_equal(plain, found) for found in marked(unseen)):
            wrong.append(f"a token sees what lies before {edge} or was never written")
        for position in sorted({edge, start - 1}) if start else []:
            found = marked(np.flatnonzero(positions == position))
            if all(np.array_equal(plain[0], one[0]) for one in found):
                wrong.append(f"the first token does not see {position}")
            # Behind the first token the window moves on.
            past = max(1, position - start + self._case.window) if sliding else count
            if any(not np.array_equal(plain[past:], one[past:]) for one in found):
                wrong.append(f"a later token sees {position}")
        found = marked(_NONE, own=True)
        if all(np.array_equal(plain[-1], one[-1]) for one in found):
            wrong.append("the last token does not see itself")
        if any(not np.array_equal(plain[:-1], one[:-1]) for one in found):
            wrong.append("a token sees the last one")
        return wrong

    def _attend(self, start: int, count: int, rows: NDArray[np.int64], sign: int, own: bool = False) -> NDArray[Any]:
        """The output ``[count, width]`` with some rows of the caches marked, or the call's own last one."""
        case, name, forced, layout = self._case, self._name, self._forced, self._layout
        inputs = _call(case, name, start, count, forced, layout)
        for cache, axis, each in ((self._keys, 2, sign), (self._values, 3, 1)):
            turned = np.moveaxis(inputs[cache].copy(), axis, 0)
            turned[rows] = _mark(turned.shape[1:], each).astype(turned.dtype)
            inputs[cache] = np.ascontiguousarray(np.moveaxis(turned, 0, axis))
        for kind, each in (("key", sign), ("value", 1)):
            given = f"layers.{self._owner}/{kind}{GIVEN}"
            if own and given in inputs:
                inputs[given] = layout.marked(name, given.removesuffix(GIVEN), inputs[given], count - 1, each)
        return layout.pick(name, self._boundary, self._interpreter.run("forced", inputs)[self._boundary], count)


def _mark(shape: tuple[int, ...], sign: int) -> NDArray[np.int64]:
    return np.random.default_rng(7).integers(40, 120, shape) * sign


def _call(case: LitertCase, name: str, start: int, count: int, forced: Forced, layout: Cache) -> Arrays:
    """Inputs of a call at a position, with the reference's first rows, whatever they mean there; caches are zeros."""
    trace, model, rows = layout.trace, case.model(DECODER), slice(0, count)
    per_layer = None if trace.per_layer is None else trace.per_layer[rows]
    inputs = feed(model, name, start, trace.embeddings[rows], per_layer)
    inputs.update({key: np.zeros_like(cache) for key, cache in layout.filled(0, forced.inputs).items()})
    inputs = {key: value for key, value in inputs.items() if key in forced.inputs}
    return {**inputs, **{boundary + GIVEN: layout.place(name, boundary, rows) for boundary in forced.given}}
