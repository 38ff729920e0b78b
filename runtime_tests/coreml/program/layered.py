"""Runs many calls of a package segment by segment (``segments.py``): one segment's weights are held at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from runtime_tests.coreml.program.evaluator import Arithmetic, Evaluator, State, Values
from runtime_tests.coreml.program.segments import Segment, cut
from runtime_tests.coreml.program.values import Weights
from runtime_tests.memory.trim import trim
from runtime_tests.progress import steps
from runtime_tests.readers.coreml.mlpackage import MlPackage

LARGE = 64 << 20  # bytes: of a segment's weights, from which on what it leaves behind is worth looking for


@dataclass
class Call:
    """One call of a function.

    Attributes:
        function: its name.
        inputs: numpy arrays by name.
        values: what segments have made and later ones need.
        outputs: of the function, when the last segment has run.
    """

    function: str
    inputs: Mapping[str, Any]
    values: Values = field(default_factory=dict)
    outputs: Values = field(default_factory=dict)


class Layered:
    """A package, ready to be run segment by segment.

    Args:
        package: the opened package.
        arithmetic: ``declared`` or ``float64``.

    Attributes:
        segments: in order.
    """

    def __init__(self, package: MlPackage, arithmetic: Arithmetic = "declared") -> None:
        self.package, self.arithmetic = package, arithmetic
        self.segments = cut(package)
        self.working = torch.float64 if arithmetic == "float64" else torch.float32

    def run(self, calls: Sequence[Call]) -> None:
        """Runs the calls in order, with states that are empty before the first; fills their outputs.

        Raises:
            CannotRunError: as :class:`Evaluator`.
        """
        for segment in self.walk():
            states = self.empty(segment)
            with self.part(segment) as part:
                for call in calls:
                    part.run(call, states)

    def walk(self) -> Iterator[Segment]:
        """The segments in order; progress is told by layers, the head as one of them."""
        after = [segment.layer for segment in self.segments[1:]] + [self.segments[-1].layer + 1]
        with steps("layers", after[-1]) as advance:
            for segment, layer in zip(self.segments, after, strict=True):
                yield segment
                advance(layer - segment.layer)

    @contextmanager
    def part(self, segment: Segment) -> Iterator[Part]:
        """One segment, ready to run; its weights live no longer than this."""
        weights = Weights(self.working)
        try:
            yield Part(self.package, segment, self.arithmetic, weights)
        finally:
            large = weights.held > LARGE
            weights.drop()  # not by reference counting: the evaluator's steps and what they unpack are a cycle
            if large:
                trim(search=False)

    def empty(self, segment: Segment) -> State:
        """Zeroed states of a segment. Their memory is taken where it is written to, and not before."""
        shapes = {
            name: type.shape
            for function in segment.functions.values()
            for name, type in function.inputs.items()
            if type.state
        }
        kind = np.float64 if self.arithmetic == "float64" else np.float32
        return {name: torch.from_numpy(np.zeros(shape, kind)) for name, shape in shapes.items()}


class Part:
    """One segment, ready to run."""

    def __init__(self, package: MlPackage, segment: Segment, arithmetic: Arithmetic, weights: Weights) -> None:
        self.segment, self.whole = segment, package.functions
        self._evaluator = Evaluator(replace(package, functions=segment.functions), arithmetic, weights=weights)

    def run(
        self, call: Call, states: State, given: Mapping[str, Any] | None = None, wanted: Sequence[str] = ()
    ) -> Values:
        """This segment of a call; what later segments need is kept in the call.

        Args:
            states: of this segment, written into.
            given: values by name that whatever reads them, here or in a later segment, gets in place of those made
                here.
            wanted: names of values made here that are handed back, as the program made them.
        """
        function, given = self.segment.functions.get(call.function), given or {}
        if function is None:
            return {}
        inputs = {
            name: call.values[name] if name in call.values else call.inputs[name]
            for name, type in function.inputs.items()
            if not type.state
        }
        found = self._evaluator.run(call.function, inputs, states, given, tuple(wanted), owned=True)
        held = {value.untyped_storage().data_ptr() for value in states.values()}
        for name in function.outputs:
            value = found[name]
            value = value.clone() if value.untyped_storage().data_ptr() in held else value
            call.values[name] = given.get(name, value)
            if name in self.whole[call.function].outputs:
                call.outputs[name] = value
        for name in self.segment.last[call.function]:
            call.values.pop(name, None)
        return {name: found[name] for name in wanted}
