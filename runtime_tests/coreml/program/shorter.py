"""The same functions over the first positions of the cache alone, for many short conversations at little cost.

A program attends to every position of its cache, also to those that its masks hide; a hidden position has a weight of
exactly 0. So functions cut down to the positions that a conversation reaches give what the whole ones give, save for
the order of sums. Which axis of a value runs over positions is followed from masks and states through the operations;
an operation through which it cannot be followed ends the attempt by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np

from runtime_tests.errors import CannotRunError
from runtime_tests.readers.coreml.mlpackage import MlPackage
from runtime_tests.readers.coreml.program import Constant, Function, Operation, Type

STATE_AXIS, MASK_AXIS = 2, 3
RING = "_sliding"  # ends the names of states and masks of layers that may have rings
SAME = ("cast", "identity", "softmax", "add", "sub", "mul", "real_div", "select", "maximum", "minimum")


def shorten(package: MlPackage, positions: int) -> MlPackage:
    """The package with its functions cut down, save those that take more tokens; weights are those of the whole one.

    Args:
        positions: of the cache that are kept, from the first.

    Raises:
        CannotRunError: the axis of positions cannot be followed; the message names the operation.
    """
    kept = {name: f for name, f in package.functions.items() if f.inputs["embeddings"].shape[1] <= positions}
    made = {name: _Cut(function, positions).function() for name, function in kept.items()}
    return replace(package, functions=made)


class _Cut:
    """One function under way; ``axes`` holds the axis of positions of every value that has one."""

    def __init__(self, function: Function, positions: int) -> None:
        self.whole, self.positions, self.axes = function, positions, dict[str, int]()
        self.full = 0

    def function(self) -> Function:
        inputs, rings = {}, "ring_rows" in self.whole.inputs  # which have rows of their own number
        for name, type in self.whole.inputs.items():
            if (type.state or name.startswith("mask_")) and not (rings and name.endswith(RING)):
                self.axes[name] = STATE_AXIS if type.state else MASK_AXIS
                self.full = type.shape[self.axes[name]]
            inputs[name] = self._type(name, type)
        if self.positions > self.full:
            raise CannotRunError(f"{self.positions} positions of a cache of {self.full}")
        operations = tuple(self._operation(op) for op in self.whole.operations)
        if whole := [name for name in self.whole.outputs if name in self.axes]:
            raise CannotRunError(f"the output {whole[0]} runs over the positions of the cache")
        return replace(self.whole, inputs=inputs, operations=operations)

    def _type(self, name: str, type: Type) -> Type:
        if name not in self.axes:
            return type
        axis = self.axes[name]
        if type.shape[axis] != self.full:
            raise CannotRunError(f"{name} has {type.shape[axis]} positions, others {self.full}")
        return replace(type, shape=(*type.shape[:axis], self.positions, *type.shape[axis + 1 :]))

    def _operation(self, op: Operation) -> Operation:
        names = [a for items in op.inputs.values() for a in items if isinstance(a, str) and a in self.axes]
        if not names or op.kind == "write_state":
            return op
        rules: dict[str, Callable[[Operation], dict[str, tuple[Constant, ...]]]] = {
            "read_state": lambda op: self._same(op, "input"),
            "slice_update": lambda op: self._same(op, "x"),
            "slice_by_index": self._slice,
            "reshape": self._reshape,
            "transpose": self._transpose,
            "matmul": self._matmul,
            **dict.fromkeys(SAME, self._elementwise),
        }
        if op.kind not in rules:
            raise CannotRunError(f"operation {op.name} ({op.kind}): positions cannot be followed through it")
        changed = rules[op.kind](op)
        outputs = tuple((name, self._type(name, type)) for name, type in op.outputs)
        return replace(op, inputs={**op.inputs, **changed}, outputs=outputs)

    def _axis(self, op: Operation, parameter: str) -> int | None:
        name = self.whole.one(op, parameter)
        return self.axes.get(name) if isinstance(name, str) else None

    def _shape(self, op: Operation, parameter: str) -> tuple[int, ...]:
        name = self.whole.one(op, parameter)
        return self.whole.types[name].shape if isinstance(name, str) else ()

    def _numbers(self, op: Operation, parameter: str) -> list[int]:
        argument = self.whole.one(op, parameter)
        constant = None if argument is None else self.whole.constant(argument)
        if constant is None:
            raise CannotRunError(f"operation {op.name} ({op.kind}): {parameter} is not known beforehand")
        return [int(n) for n in np.atleast_1d(constant.array())]

    def _same(self, op: Operation, parameter: str) -> dict[str, tuple[Constant, ...]]:
        axis = self._axis(op, parameter)
        if axis is None:  # a whole value that is to be written into a cut one, or the like
            raise CannotRunError(f"operation {op.name} ({op.kind}): positions cannot be followed through it")
        self.axes[op.name] = axis
        return {}

    def _elementwise(self, op: Operation) -> dict[str, tuple[Constant, ...]]:
        rank, found = len(op.outputs[0][1].shape), set()
        for parameter in op.inputs:
            axis, shape = self._axis(op, parameter), self._shape(op, parameter)
            if axis is not None:
                found.add(rank - len(shape) + axis)
        (axis,) = found if len(found) == 1 else (None,)
        whole = [
            p
            for p in op.inputs
            if axis is not None and self._axis(op, p) is None and self.full in self._shape(op, p)[axis - rank :][:1]
        ]
        if axis is None or whole:
            raise CannotRunError(f"operation {op.name} ({op.kind}): positions on several axes")
        self.axes[op.name] = axis
        return {}

    def _slice(self, op: Operation) -> dict[str, tuple[Constant, ...]]:
        axis = self._axis(op, "x")
        begin, end = self._numbers(op, "begin"), self._numbers(op, "end")
        if axis is None or set(op.inputs) != {"x", "begin", "end"} or begin[axis] != 0:
            raise CannotRunError(f"operation {op.name} ({op.kind}): positions cannot be followed through it")
        if end[axis] <= self.positions:  # a part that is still there
            return {}
        if end[axis] != self.full:
            raise CannotRunError(f"operation {op.name} ({op.kind}): the first {end[axis]} positions are asked for")
        self.axes[op.name] = axis
        end[axis] = self.positions
        return {"end": (_constant(end),)}

    def _reshape(self, op: Operation) -> dict[str, tuple[Constant, ...]]:
        before, axis = self._shape(op, "x"), self._axis(op, "x")
        after = op.outputs[0][1].shape
        assert axis is not None
        # Where as many elements lie behind the axis as before, it is the same axis.
        inner = prod(before[axis + 1 :])
        found = [i for i, size in enumerate(after) if size == self.full and prod(after[i + 1 :]) == inner]
        if len(found) != 1:
            raise CannotRunError(f"operation {op.name} ({op.kind}): positions are mixed with another axis")
        self.axes[op.name] = found[0]
        return {"shape": (_constant([self.positions if i == found[0] else n for i, n in enumerate(after)]),)}

    def _transpose(self, op: Operation) -> dict[str, tuple[Constant, ...]]:
        axis, rank = self._axis(op, "x"), len(op.outputs[0][1].shape)
        self.axes[op.name] = [n % rank for n in self._numbers(op, "perm")].index(axis)  # type: ignore[arg-type]
        return {}

    def _matmul(self, op: Operation) -> dict[str, tuple[Constant, ...]]:
        rank = len(op.outputs[0][1].shape)
        summed, kept = [], []
        # Seen from the end: x sums over its last axis and keeps the one before, y the other way round.
        for parameter, inner, outer in (("x", 1, 2), ("y", 2, 1)):
            if (axis := self._axis(op, parameter)) is None:
                continue
            flag = f"transpose_{parameter}"
            turned = flag in op.inputs and bool(self._numbers(op, flag)[0])
            place = len(self._shape(op, parameter)) - axis
            summed += [parameter] if place == (outer if turned else inner) else []
            kept += [outer] if place == (inner if turned else outer) else []
        if len(kept) > 1 or len(summed) == 1 or not (kept or summed):
            raise CannotRunError(f"operation {op.name} ({op.kind}): positions of one side alone are summed over")
        if kept:
            self.axes[op.name] = rank - kept[0]
        return {}


def _constant(numbers: list[int]) -> Constant:
    return Constant(Type("int32", (len(numbers),)), np.array(numbers, np.int32))
