"""Where the reference's insides belong in a package: named values, states, their layouts.

States are ``keys`` and ``values [owners, kv heads, C, head_dim]``; a layer with fewer heads or columns uses the first.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from runtime_tests import metrics
from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.evaluator import State
from runtime_tests.coreml.matrices import named
from runtime_tests.coreml.session import DECODE, Floats
from runtime_tests.readers.program import Function

_NAME = re.compile(r"layers_(\d+)_(attention|mlp|output|per_layer_input|key|value)")


class Boundaries:
    """The reference's rows by the program's names."""

    def __init__(self, case: CoremlCase) -> None:
        self.case, self.captured = case, case.captured
        self.owners = sorted(self.captured.keys)
        self.codes = {named(f"{key}/codes"): key for key in self.captured.scales}

    def of(self, function: Function) -> list[str]:
        """Boundary names that a function computes, in order."""
        return [name for name in function.producer if _NAME.fullmatch(name)]

    def rows(self, name: str, rows: slice) -> Floats:
        """The reference's rows at a boundary: ``[m, width]``, keys and values head by head."""
        match = _NAME.fullmatch(name)
        assert match is not None
        layer, kind = int(match[1]), match[2]
        if kind in ("key", "value"):
            heads = self._heads(layer, kind)[:, rows]
            return np.ascontiguousarray(heads.transpose(1, 0, 2)).reshape(heads.shape[1], -1)
        return self.captured.boundary[f"layers.{layer}/{kind}"][rows]

    def place(self, function: Function, name: str, rows: slice) -> Floats:
        """Those rows in the shape of the function's value ``[1, n, ...]``, padded with zeros."""
        shape = function.types[name].shape
        found = self.rows(name, rows)
        out = np.zeros((shape[1], found.shape[1]), np.float32)
        out[: len(found)] = found
        return out.reshape(shape)

    def expected_codes(self, name: str, rows: slice) -> NDArray[np.int32]:
        """The reference's int8 output of a linear, by the name of its codes."""
        key = self.codes[name]
        return np.rint(self.captured.linears[key][rows] / np.float32(self.captured.scales[key])).astype(np.int32)

    def states(self, count: int) -> dict[str, Floats]:
        """States that hold the reference's first ``count`` rows, zeros elsewhere."""
        out = {}
        for state, (kind, layers) in self.case.held.items():
            made = np.zeros(self.case.decode.inputs[state].shape, np.float32)
            for number, layer in enumerate(layers):
                heads = self._heads(layer, kind)
                made[number, : heads.shape[0], :count, : heads.shape[2]] = heads[:, :count]
            out[state] = made
        return out

    def written(self, before: dict[str, Floats], after: State, rows: slice, length: int, last: int) -> list[str]:
        """What is wrong with the states after a call.

        The reference's rows must lie at the call's positions, of every owner up to layer ``last``, and nothing but the
        call's ``length`` rows may have changed.
        """
        wrong = []
        for state, (kind, layers) in self.case.held.items():
            found = after[state].numpy().astype(np.float64)
            old = before[state].astype(found.dtype)
            free = np.ones(found.shape, bool)
            for number, layer in enumerate(layers):
                heads = self._heads(layer, kind)
                part = (number, slice(heads.shape[0]), rows, slice(heads.shape[2]))
                quality = metrics.snr_db(heads[:, rows], found[part])
                if layer <= last and quality < self.case.budget.cache_db:
                    wrong.append(f"{kind} of layer {layer} at {rows.start}: {quality:.0f} dB")
                free[number, : heads.shape[0], rows.start : rows.start + length, : heads.shape[2]] = False
            if not np.array_equal(found[free], old[free]):
                wrong.append(f"{state} at {rows.start}: more than the new rows changed")
        return wrong

    def _heads(self, layer: int, kind: str) -> Floats:
        return (self.captured.keys if kind == "key" else self.captured.values)[layer]


def length_of(function: Function) -> int:
    """Tokens per call."""
    return 1 if function.name == DECODE else function.inputs["embeddings"].shape[1]
