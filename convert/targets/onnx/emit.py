"""The operators of ONNX for the steps of ``convert.model.symbol``, and symbols of a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convert.model import symbol as model
from convert.targets.onnx.graph import Graph, Value, element, unknown

Symbol: TypeAlias = model.Symbol[Value]
Step: TypeAlias = model.Step[Value]
Operator: TypeAlias = Callable[[Graph, Step], Value]


def symbol(graph: Graph, value: Value) -> Symbol:
    """A value of a graph, for arithmetic."""
    return model.Symbol(Emitter(graph), value)


@dataclass(frozen=True)
class Emitter:
    """Implements ``convert.model.symbol.Builder``."""

    graph: Graph
    target: str = "ONNX"

    def constant(self, array: NDArray[Any]) -> Value:
        return self.graph.constant(array)

    def append(self, step: Step) -> Value:
        return model.look_up(OPERATIONS, step.operator, self.target)(self.graph, step)


def _plain(type: str, more: Callable[[Step], dict[str, Any]] = lambda step: {}) -> Operator:
    """An operator on the step's operands; ``more`` gives its attributes."""
    return lambda graph, step: graph.node(type, step.inputs, step.shape, step.dtype, **more(step))


def _reduce(type: str) -> Operator:
    """Axes count from the end."""

    def emit(graph: Graph, step: Step) -> Value:
        (x,) = step.inputs
        axes = graph.constant(np.array([step.axis - len(x.shape)], np.int64))
        return graph.node(type, (x, axes), step.shape, step.dtype, keepdims=int(step.keepdim))

    return emit


def _cast(graph: Graph, step: Step) -> Value:
    """The same value is cast to a type once."""
    (x,) = step.inputs
    kind = element(step.dtype)
    found: Value = graph.once(
        ("cast", id(x), step.dtype), lambda: graph.node("Cast", (x,), step.shape, step.dtype, to=kind)
    )
    return found


def _reshape(graph: Graph, step: Step) -> Value:
    """A dimension that is not known yet is copied from its place in the operand, or follows from the others."""
    (x,) = step.inputs
    wanted = [
        0 if unknown(size) and i < len(x.shape) and x.shape[i] == size else -1 if unknown(size) else size
        for i, size in enumerate(step.shape)
    ]
    if wanted.count(-1) > 1:
        raise AssertionError(f"reshape of {x.shape} to {step.shape} leaves two dimensions open")
    shape = graph.constant(np.array(wanted, np.int64))
    return graph.node("Reshape", (x, shape), step.shape, step.dtype)


def _slice(graph: Graph, step: Step) -> Value:
    (x,) = step.inputs
    axes = [i for i, (size, whole) in enumerate(zip(step.shape, x.shape, strict=True)) if size != whole]
    if not axes:
        return x
    if any(unknown(x.shape[i]) for i in axes):
        raise NotImplementedError("a slice along a dimension that is known at run time alone")
    corners = ([step.begin[i] for i in axes], [step.begin[i] + step.shape[i] for i in axes], axes)
    given = (graph.constant(np.array(corner, np.int64)) for corner in corners)
    return graph.node("Slice", (x, *given), step.shape, step.dtype)


def _rsqrt(graph: Graph, step: Step) -> Value:
    root = graph.node("Sqrt", step.inputs, step.shape, step.dtype)
    return graph.node("Reciprocal", (root,), step.shape, step.dtype)


OPERATIONS: Mapping[model.Operator, Operator] = {
    "abs": _plain("Abs"),
    "add": _plain("Add"),
    "cast": _cast,
    "concatenate": _plain("Concat", lambda step: {"axis": step.axis}),
    "cos": _plain("Cos"),
    "divide": _plain("Div"),
    "equal": _plain("Equal"),
    "floor_divide": _plain("Div"),  # of whole numbers that are not negative: it rounds towards zero
    "gelu": _plain("Gelu", lambda step: {"approximate": step.approximate}),
    "less": _plain("Less"),
    "max": _reduce("ReduceMax"),
    "maximum": _plain("Max"),
    "mean": _reduce("ReduceMean"),
    "minimum": _plain("Min"),
    "multiply": _plain("Mul"),
    "reshape": _reshape,
    "round": _plain("Round"),
    "rsqrt": _rsqrt,
    "sin": _plain("Sin"),
    "slice": _slice,
    "softmax": _plain("Softmax", lambda step: {"axis": -1}),
    "subtract": _plain("Sub"),
    "sum": _reduce("ReduceSum"),
    "tanh": _plain("Tanh"),
    "transpose": _plain("Transpose", lambda step: {"perm": step.order}),
}
