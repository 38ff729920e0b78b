"""Calls at the end of the context: which rows their tokens look at, and which are kept for the next one.

No sequence of the judge's is that long, and positions mean nothing to the reference there. So what a call looks at is
found without a reference: rows that a token must not see are replaced, and its output has to stay the same; one that it
must see is replaced, and it has to change. A window is given as its own rows alone and in a buffer with some more, as
onnxruntime-genai has them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.cut import GIVEN, Cut
from runtime_tests.onnx.runner import Arrays, Runner, places
from runtime_tests.readers.dimensions import SLIDING

SLACK = 16  # rows of a buffer behind the window
_CACHES = ("past_key_values.", "present.", "seen.")


def first_kept(case: OnnxCase, layer: int, total: int) -> int:
    """The first position whose rows the token at ``total`` looks at."""
    return max(0, total - (case.dims.window - 1)) if case.dims.kinds[layer] == SLIDING else 0


def last_tokens(case: OnnxCase) -> int:
    """How many tokens are asked at the end of the context."""
    return min(3, len(case.ids))


def faults(case: OnnxCase, layer: int, part: Cut, runner: Runner, given: Arrays) -> list[str]:
    """What is wrong at the end of the context.

    Args:
        given: inputs of a call with as many tokens, wherever; what they are does not matter.
    """
    sliding, window = case.dims.kinds[layer] == SLIDING, case.dims.window
    start = case.context - last_tokens(case)
    calls = {(start, min(start, window - 1)), (start, min(start, window + SLACK))} if sliding else {(start, start)}
    if sliding and any(name.startswith("present.") for name in part.outputs):
        calls.add((0, window + SLACK))  # of a buffer for the whole conversation, before its first token
    wrong = []
    for place, rows in sorted(calls):
        call = _Call(case, layer, part, runner, given, place, rows)
        found = (*call.looks(), *call.keeps())
        wrong += [f"layer {layer} at {place}, {rows} rows of before: {fault}" for fault in found]
    return wrong


class _Call:
    """One call at a position, its cache ``rows`` long, the first of which hold the last tokens."""

    def __init__(
        self, case: OnnxCase, layer: int, part: Cut, runner: Runner, given: Arrays, start: int, rows: int
    ) -> None:
        self._case, self._layer, self._runner = case, layer, runner
        self._start, self._count = start, last_tokens(case)
        self._before, self._live = rows, min(start, rows)
        self._given = {**given, **places(start, self._count)}
        self._names = [name for name in part.given if name.startswith(_CACHES)]
        self._made = part.outputs

    def looks(self) -> list[str]:
        """Rows that are seen and must not be, or the other way round."""
        first, wrong = self._start - self._live, []
        edge = first_kept(self._case, self._layer, self._start)
        plain = self._attend(slice(0, 0), 1)
        for position in sorted({edge, self._start - 1}) if self._start else []:
            found = [self._attend(slice(position - first, position - first + 1), sign) for sign in (1, -1)]
            if all(np.array_equal(plain[0], one[0]) for one in found):
                wrong.append(f"the first token does not see {position}")
            # Behind the first token the window moves on.
            sliding = self._case.dims.kinds[self._layer] == SLIDING
            past = max(1, position - self._start + self._case.dims.window) if sliding else self._count
            if any(not np.array_equal(plain[past:], one[past:]) for one in found):
                wrong.append(f"a later token sees {position}")
        hidden = [(slice(0, edge - first), f"lies before {edge}")]
        if self._own():  # what another layer is given has the new rows behind those
            hidden.append((slice(self._live, None), "is no token"))
        for unseen, what in hidden:
            if any(not np.array_equal(plain, self._attend(unseen, sign)) for sign in (1, -1)):
                wrong.append(f"a token sees what {what}")
        return wrong

    def keeps(self) -> list[str]:
        """Caches that are not the last rows of those of before and the new ones, as many as there have to be.

        Behind them lies what lay there.
        """
        inputs, wrong = self._inputs(), []
        generator = np.random.default_rng(1)
        inputs |= {name: generator.normal(size=inputs[name].shape).astype(np.float32) for name in self._own()}
        made = self._runner.run(inputs)
        for name in self._own():
            number, part = name.split(".")[1:]
            new = inputs[f"{GIVEN}layers.{self._layer}/{part}"].transpose(0, 2, 1, 3)
            whole = np.concatenate([inputs[name][:, :, : self._live], new], axis=2)
            sliding = self._case.dims.kinds[self._layer] == SLIDING
            least = min(self._case.context, self._case.dims.window - 1) if sliding else self._case.context
            kept = min(self._start + self._count, max(self._before, least))
            expected = np.concatenate([whole[:, :, whole.shape[2] - kept :], inputs[name][:, :, kept:]], axis=2)
            if not np.array_equal(made[f"present.{number}.{part}"], expected):
                wrong.append(f"present.{number}.{part} is not the last {kept} rows")
        return wrong

    def _own(self) -> list[str]:
        """Caches of before of the layer itself."""
        made = {name.split(".", 1)[1] for name in self._made if name.startswith("present.")}
        return [name for name in self._names if name.startswith("past") and name.split(".", 1)[1] in made]

    def _attend(self, rows: slice, sign: int) -> NDArray[Any]:
        """What attention adds up to, ``[n, width]``, with some rows of the layer's cache marked."""
        inputs, own = self._inputs(), set(self._own())
        for name in self._names:
            if name in own or not (own or name.startswith("past")):
                cache = inputs[name if name.startswith("past") else GIVEN + name]
                marked = np.random.default_rng(7).uniform(4, 12, cache.shape).astype(np.float32)
                cache[:, :, rows] = marked[:, :, rows] * (sign if name.endswith("key") else 1)
        found = self._runner.run(inputs)[f"layers.{self._layer}/attention"]
        return found.reshape(self._count, -1)

    def _inputs(self) -> Arrays:
        """Caches are zeros."""
        inputs = dict(self._given)
        for name in self._names:
            number = int(name.split(".")[1])
            owner = self._case.dims.owners[number]
            sliding = self._case.dims.kinds[owner.layer] == SLIDING
            rows = self._before if sliding == (self._case.dims.kinds[self._layer] == SLIDING) else self._start
            rows = rows if name.startswith("past") else min(rows, self._start) + self._count
            cache = np.zeros((1, owner.kv_heads, rows, owner.head_dim), np.float32)
            inputs[name if name.startswith("past") else GIVEN + name] = cache
        return inputs
