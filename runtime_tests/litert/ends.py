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
from runtime_tests.litert.cuts.forced import GIVEN, Forced
from runtime_tests.litert.rings import held, live
from runtime_tests.litert.runners.interpreter import Interpreter, feed
from runtime_tests.readers.dimensions import SLIDING

Arrays = dict[str, NDArray[Any]]


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
    """Attention outputs that see a row they must not, or not the oldest that they must, in a call at the end.

    Keys are zeros, so that every visible row weighs the same; values are small. A row that is replaced gets a key of
    large numbers and, since its product with a query may have either sign, another time their negatives.
    """
    count = last_rows(case, length)
    start, wrong = case.context - count, []
    for boundary in sorted(item for item in forced.boundaries if item.endswith("/attention")):
        layer = int(boundary.removeprefix("layers.").split("/")[0])
        owner = case.dims.owner_of(layer)
        number = layout.owners.index(owner)
        caches = [key for key in (f"kv_cache_k_{number}", f"kv_cache_v_{number}") if key in forced.inputs]
        if len(caches) < 2:
            continue
        sliding = case.dims.kinds[layer] == SLIDING
        edge = max(0, start - case.window + 1) if sliding else 0

        def attend(rows: NDArray[np.int64], sign: int, caches: list[str] = caches, boundary: str = boundary) -> Any:
            inputs = _call(case, name, start, count, forced, layout)
            inputs.update({key: _marked(case, key, inputs[key], rows, sign) for key in caches})
            out = interpreter.run("forced", inputs)[boundary]
            return layout.pick(name, boundary, out, count)

        positions = held(layout.ring(caches[0]), start)
        none = np.zeros(0, np.int64)
        plain, unseen = attend(none, 1), np.flatnonzero((positions < edge) | (positions < 0))
        oldest = np.flatnonzero(positions == edge)
        if len(unseen) and any(not np.array_equal(plain, attend(unseen, sign)) for sign in (1, -1)):
            wrong.append(f"{boundary}: a token at {start} or behind it sees what lies before {edge}")
        found = [attend(oldest, sign) for sign in (1, -1)] if len(oldest) else []
        if found and all(np.array_equal(plain[0], one[0]) for one in found):
            wrong.append(f"{boundary}: the token at {start} does not see {edge}")
        if sliding and any(not np.array_equal(plain[1:], one[1:]) for one in found):
            wrong.append(f"{boundary}: a token behind {start} sees {edge}")
    return wrong


def _call(case: LitertCase, name: str, start: int, count: int, forced: Forced, layout: Cache) -> Arrays:
    """Inputs of a call at a position, with the reference's first rows, whatever they mean there; caches are zeros."""
    trace, model, rows = layout.trace, case.model(DECODER), slice(0, count)
    per_layer = None if trace.per_layer is None else trace.per_layer[rows]
    inputs = feed(model, name, start, trace.embeddings[rows], per_layer)
    inputs.update({key: np.zeros_like(cache) for key, cache in layout.filled(0, forced.inputs).items()})
    inputs = {key: value for key, value in inputs.items() if key in forced.inputs}
    return {**inputs, **{boundary + GIVEN: layout.place(name, boundary, rows) for boundary in forced.given}}


def _marked(case: LitertCase, key: str, cache: NDArray[Any], rows: NDArray[np.int64], sign: int) -> NDArray[Any]:
    """A cache of zeros with large numbers in some rows, the same whichever they are."""
    keys = "_k_" in key
    turned = np.moveaxis(cache.copy(), 2 if keys else 3, 0)
    drawn = np.random.default_rng(7).integers(40, 120, turned.shape[1:]) * (sign if keys else 1)
    turned[rows] = drawn.astype(cache.dtype)
    return np.ascontiguousarray(np.moveaxis(turned, 0, 2 if keys else 3))
