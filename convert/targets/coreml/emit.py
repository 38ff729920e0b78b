"""The operations of MIL for the steps of ``convert.model.symbol``, and symbols of a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convert.model import symbol as model
from convert.targets.coreml.graph import Function, Value

Symbol: TypeAlias = model.Symbol[Value]
Step: TypeAlias = model.Step[Value]
Operator: TypeAlias = Callable[[Function, Step], Value]

_CAST = {"float16": "fp16", "float32": "fp32"}


def symbol(function: Function, value: Value) -> Symbol:
    """A value of a function, for arithmetic."""
    return model.Symbol(Emitter(function), value)


def append(function: Function, type: str, inputs: Mapping[str, Any], shape: Sequence[int], dtype: str) -> Symbol:
    """An operation; symbols among its inputs are read, numbers and arrays become constants."""
    return symbol(function, _append(function, type, inputs, shape, dtype))


@dataclass(frozen=True)
class Emitter:
    """Implements ``convert.model.symbol.Builder``."""

    function: Function
    target: str = "Core ML"

    def constant(self, array: NDArray[Any]) -> Value:
        return self.function.constant(array)

    def append(self, step: Step) -> Value:
        return model.look_up(OPERATIONS, step.operator, self.target)(self.function, step)


def _append(function: Function, type: str, inputs: Mapping[str, Any], shape: Sequence[int], dtype: str) -> Value:
    return function.op(type, {key: _lift(function, value) for key, value in inputs.items()}, shape, dtype)


def _lift(function: Function, x: Any) -> Any:
    if isinstance(x, model.Symbol):
        return x.value
    if isinstance(x, np.ndarray | np.generic | str | bool):
        return function.constant(x)
    if isinstance(x, list | tuple):
        return [_lift(function, part) for part in x]
    return x


def _two(type: str) -> Operator:
    return lambda function, step: _append(
        function, type, {"x": step.inputs[0], "y": step.inputs[1]}, step.shape, step.dtype
    )


def _one(type: str, more: Callable[[Step], dict[str, Any]] = lambda step: {}) -> Operator:
    """An operation on one value; ``more`` gives its choices."""
    return lambda function, step: _append(function, type, {"x": step.inputs[0], **more(step)}, step.shape, step.dtype)


def _reduce(type: str) -> Operator:
    """Axes count from the end."""

    def more(step: Step) -> dict[str, Any]:
        axis = step.axis - len(step.inputs[0].shape)
        return {"axes": np.array([axis], np.int32), "keep_dims": np.bool_(step.keepdim)}

    return _one(type, more)


def _cast(function: Function, step: Step) -> Value:
    """The same value is cast to a type once."""
    if step.dtype not in _CAST:
        raise NotImplementedError(f"cast to {step.dtype}")
    make = _one("cast", lambda step: {"dtype": _CAST[step.dtype]})
    found: Value = function.once(("cast", id(step.inputs[0]), step.dtype), lambda: make(function, step))
    return found


def _reshape(function: Function, step: Step) -> Value:
    """A single element keeps one dimension: nothing here needs a value without."""
    shape = step.shape or (1,)
    if shape == step.inputs[0].shape:
        return step.inputs[0]
    inputs = {"x": step.inputs[0], "shape": np.asarray(shape, np.int32)}
    return _append(function, "reshape", inputs, shape, step.dtype)


def _slice(function: Function, step: Step) -> Value:
    (x,) = step.inputs
    if step.shape == x.shape:
        return x
    end = [a + b for a, b in zip(step.begin, step.shape, strict=True)]
    inputs = {"x": x, "begin": np.asarray(step.begin, np.int32), "end": np.asarray(end, np.int32)}
    return _append(function, "slice_by_index", inputs, step.shape, step.dtype)


def _concatenate(function: Function, step: Step) -> Value:
    inputs = {"values": step.inputs, "axis": np.int32(step.axis), "interleave": np.bool_(False)}
    return _append(function, "concat", inputs, step.shape, step.dtype)


_GELU = {"tanh": "TANH_APPROXIMATION", "none": "EXACT"}

OPERATIONS: Mapping[model.Operator, Operator] = {
    "abs": _one("abs"),
    "add": _two("add"),
    "cast": _cast,
    "cos": _one("cos"),
    "concatenate": _concatenate,
    "divide": _two("real_div"),
    "equal": _two("equal"),
    "floor_divide": _two("floor_div"),
    "gelu": _one("gelu", lambda step: {"mode": _GELU[step.approximate]}),
    "less": _two("less"),
    "max": _reduce("reduce_max"),
    "maximum": _two("maximum"),
    "mean": _reduce("reduce_mean"),
    "minimum": _two("minimum"),
    "multiply": _two("mul"),
    "reshape": _reshape,
    "sin": _one("sin"),
    "slice": _slice,
    "softmax": _one("softmax", lambda step: {"axis": np.int32(-1)}),
    "subtract": _two("sub"),
    "tanh": _one("tanh"),
    "transpose": _one("transpose", lambda step: {"perm": np.asarray(step.order, np.int32)}),
}
