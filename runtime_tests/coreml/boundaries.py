"""Where the reference's insides belong in a package: named values, states, their layouts.

States are ``keys`` and ``values [owners, kv heads, C, head_dim]``; a layer with fewer heads or columns uses the first.
Where sliding layers have rings, they and the full ones have two states each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.program.evaluator import State
from runtime_tests.coreml.program.matrices import named
from runtime_tests.coreml.session import DECODE, Floats
from runtime_tests.measures import metrics
from runtime_tests.readers.coreml.program import Function
from runtime_tests.readers.coreml.rings import held
from runtime_tests.reference.capture import Capture

_NAME = re.compile(r"layers_(\d+)_(attention|mlp|output|per_layer_input|key|value)")
Owned = tuple[str, int]  # a state, and an index of its first axis


class Boundaries:
    """The reference's rows by the program's names."""

    def __init__(self, case: CoremlCase) -> None:
        self.case, self.trace = case, case.trace
        self.owners = [owner.layer for owner in case.dims.owners]
        self._layer: tuple[int, Capture] = (-1, Capture())

    def of(self, function: Function) -> list[str]:
        """Boundary names that a function computes, in order."""
        return [name for name in function.producer if _NAME.fullmatch(name)]

    def known(self, name: str) -> bool:
        """Whether the model has a layer of that number, and one that owns keys and values where these are named."""
        match = _NAME.fullmatch(name)
        owned = match is not None and match[2] in ("key", "value")
        return match is not None and int(match[1]) in (self.owners if owned else range(self.case.dims.layers))

    def codes(self, layer: int) -> dict[str, str]:
        """Names of the int8 outputs of a layer's linears, and the linears' module paths."""
        return {named(f"{key}/codes"): key for key in self._captured(layer).scales}

    def rows(self, name: str, rows: slice) -> Floats:
        """The reference's rows at a boundary: ``[m, width]``, keys and values head by head."""
        match = _NAME.fullmatch(name)
        assert match is not None
        layer, kind = int(match[1]), match[2]
        if kind in ("key", "value"):
            heads = self._heads(layer, kind)[:, rows]
            return np.ascontiguousarray(heads.transpose(1, 0, 2)).reshape(heads.shape[1], -1)
        if kind == "per_layer_input":
            return self.trace.per_layer_input(layer)[rows]
        if kind == "output":
            return self.trace.entering(layer + 1)[rows]
        return self._captured(layer).boundary[f"layers.{layer}/{kind}"][rows]

    def place(self, function: Function, name: str, rows: slice) -> Floats:
        """Those rows in the shape of the function's value ``[1, n, ...]``, padded with zeros."""
        shape = function.types[name].shape
        found = self.rows(name, rows)
        out = np.zeros((shape[1], found.shape[1]), np.float32)
        out[: len(found)] = found
        return out.reshape(shape)

    def expected_codes(self, key: str, rows: slice) -> NDArray[np.int32]:
        """The reference's int8 output of a linear, by its module path."""
        captured = self._captured(int(key.split(".")[1]))
        return np.rint(captured.linears[key][rows] / np.float32(captured.scales[key])).astype(np.int32)

    def owned(self, layers: Iterable[int]) -> list[Owned]:
        """Where the keys and values of some layers lie in the states."""
        wanted = {*layers}
        return [
            (state, number)
            for state, (_, held) in self.case.held.items()
            for number, layer in enumerate(held)
            if layer in wanted
        ]

    def fill(self, states: State, places: Iterable[Owned], count: int) -> None:
        """Writes the reference's first ``count`` rows to places of empty states, of a ring what is left of them."""
        import torch

        for state, number in places:
            if state in states and state in self.case.held:
                kind, layers = self.case.held[state]
                positions = held(self.case.rows(layers[number]), count)
                where, into = np.flatnonzero(positions >= 0), states[state][number]
                heads = torch.from_numpy(self._heads(layers[number], kind)[:, positions[where]])
                into[: heads.shape[0], torch.from_numpy(where), : heads.shape[2]] = heads.to(into.dtype)

    def disturb(self, states: State, places: Iterable[Owned]) -> None:
        """Fills places of empty states with numbers that nobody wrote there."""
        import torch

        noise = torch.Generator().manual_seed(1)
        for state, number in places:
            if state in states:
                states[state][number] = torch.randn(states[state][number].shape, generator=noise)

    def written(
        self,
        before: State,
        after: State,
        places: Iterable[Owned],
        rows: slice,
        length: int,
        last: int,
        at: int | None = None,
    ) -> list[str]:
        """What is wrong with some places of the states after a call.

        The reference's rows must lie at the call's positions, of every owner up to layer ``last``, and nothing but the
        call's ``length`` rows may have changed; in a ring nothing but those of its tokens, for padding is not kept.

        Args:
            at: position of the call's first token, where that is another than that of the rows.
        """
        wrong, at = [], rows.start if at is None else at
        for state, number in places:
            kind, layers = self.case.held[state]
            layer, found, old = layers[number], after[state][number].numpy(), before[state][number].numpy()
            heads = self._heads(layer, kind)
            size = self.case.rows(layer)
            positions = held(size, at + rows.stop - rows.start)
            where = np.flatnonzero(positions >= at)
            expected = heads[:, positions[where] - at + rows.start]
            quality = metrics.snr_db(expected, found[: heads.shape[0], where, : heads.shape[2]])
            if layer <= last and quality < self.case.budget.cache_db:
                wrong.append(f"{kind} of layer {layer} at {at}: {quality:.0f} dB")
            free = np.ones(found.shape, bool)
            padded = where if size < self.case.context else np.arange(at, at + length)
            free[: heads.shape[0], padded, : heads.shape[2]] = False
            if not np.array_equal(found[free], old[free]):
                wrong.append(f"{state} at {at}: more than the new rows changed")
        return wrong

    def _heads(self, layer: int, kind: str) -> Floats:
        return self.trace.rows(layer)[0 if kind == "key" else 1]

    def _captured(self, layer: int) -> Capture:
        """A layer's insides; those of one layer are kept."""
        if self._layer[0] != layer:
            self._layer = layer, self.trace.layer(layer)
        return self._layer[1]


def length_of(function: Function) -> int:
    """Tokens per call."""
    return 1 if function.name == DECODE else function.inputs["embeddings"].shape[1]
