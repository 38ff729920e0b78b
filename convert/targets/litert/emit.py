"""The operators of TFLite for the steps of ``convert.model.symbol``, and symbols of a subgraph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from convert.model import symbol as model
from convert.targets.litert.graph import Subgraph, Value

Symbol: TypeAlias = model.Symbol[Value]
Step: TypeAlias = model.Step[Value]
Operator: TypeAlias = Callable[[Subgraph, Step], Value]


def symbol(value: Value) -> Symbol:
    """A tensor of a subgraph, for arithmetic."""
    return model.Symbol(Emitter(value.graph), value)


@dataclass(frozen=True)
class Emitter:
    """Implements ``convert.model.symbol.Builder``."""

    graph: Subgraph
    target: str = "LiteRT"

    def constant(self, array: NDArray[Any]) -> Value:
        return self.graph.constant(array)

    def append(self, step: Step) -> Value:
        return model.look_up(OPERATORS, step.operator, self.target)(self.graph, step)


def _plain(builtin: str, options: Callable[[], Any] = lambda: None) -> Operator:
    """An operator without choices."""
    return lambda graph, step: graph.op(builtin, step.inputs, step.shape, step.dtype, options())


def _reduce(builtin: str) -> Operator:
    def append(graph: Subgraph, step: Step) -> Value:
        options = schema.ReducerOptionsT()
        options.keepDims = step.keepdim
        axes = graph.constant(np.asarray([step.axis], np.int32))
        return graph.op(builtin, [*step.inputs, axes], step.shape, options=options)

    return append


def _gelu(graph: Subgraph, step: Step) -> Value:
    options = schema.GeluOptionsT()
    options.approximate = step.approximate == "tanh"
    return graph.op("GELU", step.inputs, step.shape, options=options)


def _softmax(graph: Subgraph, step: Step) -> Value:
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    return graph.op("SOFTMAX", step.inputs, step.shape, options=options)


def _reshape(graph: Subgraph, step: Step) -> Value:
    options = schema.ReshapeOptionsT()
    options.newShape = list(step.shape)
    size = graph.constant(np.asarray(step.shape, np.int32))
    return graph.op("RESHAPE", [*step.inputs, size], step.shape, options=options)


def _transpose(graph: Subgraph, step: Step) -> Value:
    order = graph.constant(np.asarray(step.order, np.int32))
    return graph.op("TRANSPOSE", [*step.inputs, order], step.shape, options=schema.TransposeOptionsT())


def _slice(graph: Subgraph, step: Step) -> Value:
    begin, size = (graph.constant(np.asarray(a, np.int32)) for a in (step.begin, step.shape))
    return graph.op("SLICE", [*step.inputs, begin, size], step.shape, options=schema.SliceOptionsT())


def _concatenate(graph: Subgraph, step: Step) -> Value:
    options = schema.ConcatenationOptionsT()
    options.axis = step.axis
    return graph.op("CONCATENATION", step.inputs, step.shape, options=options)


OPERATORS: Mapping[model.Operator, Operator] = {
    "add": _plain("ADD", schema.AddOptionsT),
    "cast": _plain("CAST", schema.CastOptionsT),
    "concatenate": _concatenate,
    "cos": _plain("COS"),
    "divide": _plain("DIV", schema.DivOptionsT),
    "equal": _plain("EQUAL", schema.EqualOptionsT),
    "floor_divide": _plain("FLOOR_DIV", schema.FloorDivOptionsT),
    "gelu": _gelu,
    "less": _plain("LESS", schema.LessOptionsT),
    "max": _reduce("REDUCE_MAX"),
    "maximum": _plain("MAXIMUM", schema.MaximumMinimumOptionsT),
    "mean": _reduce("MEAN"),
    "min": _reduce("REDUCE_MIN"),
    "minimum": _plain("MINIMUM", schema.MaximumMinimumOptionsT),
    "modulo": _plain("FLOOR_MOD", schema.FloorModOptionsT),
    "multiply": _plain("MUL", schema.MulOptionsT),
    "reshape": _reshape,
    "round": _plain("ROUND"),
    "rsqrt": _plain("RSQRT"),
    "sin": _plain("SIN"),
    "slice": _slice,
    "softmax": _softmax,
    "subtract": _plain("SUB", schema.SubOptionsT),
    "sum": _reduce("SUM"),
    "tanh": _plain("TANH"),
    "transpose": _transpose,
}
