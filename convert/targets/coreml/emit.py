"""Arithmetic on values of a program: the few tensor functions that the decoder uses, as MIL operations.

``Symbol`` stands in for a ``torch.Tensor`` while the decoder runs: its methods and the torch functions applied to it
append operations instead of computing. Types promote as in torch: float16 meets float32 in float32. Anything the
decoder does not use raises, by name: there is no silent fallback.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from convert.targets.coreml.graph import Function, Value

_HANDLERS: dict[Any, Callable[..., Any]] = {}


def handles(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            _HANDLERS[function] = handler
        return handler

    return register


class Symbol:
    """A tensor that is not there yet."""

    def __init__(self, function: Function, value: Value) -> None:
        self.function, self.value = function, value

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def dtype(self) -> str:
        return self.value.dtype

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function not in _HANDLERS:
            raise NotImplementedError(f"the Core ML target has no operation for {function}")
        return _HANDLERS[function](*args, **(kwargs or {}))

    def __add__(self, other: Any) -> Symbol:
        return binary("add", self, other)

    def __sub__(self, other: Any) -> Symbol:
        return binary("sub", self, other)

    def __mul__(self, other: Any) -> Symbol:
        return binary("mul", self, other)

    def __truediv__(self, other: Any) -> Symbol:
        return binary("real_div", self, other)

    __radd__, __rmul__ = __add__, __mul__

    def __getitem__(self, item: Any) -> Symbol:
        """Integers and full slices only; integers drop their dimension, save the last one."""
        items = item if isinstance(item, tuple) else (item,)
        out, kept = self, []
        for axis, part in enumerate(items):
            if isinstance(part, int):
                out = out.narrow(axis, part, 1)
            elif part == slice(None):
                kept.append(self.shape[axis])
            else:
                raise NotImplementedError(f"index {part}")
        return out.reshape((*kept, *self.shape[len(items) :]) or (1,))

    def op(self, type: str, inputs: dict[str, Any], shape: Sequence[int], dtype: str = "") -> Symbol:
        """An operation that reads this value; numbers and arrays among its inputs become constants."""
        given = {key: lift(self.function, value) for key, value in inputs.items()}
        return Symbol(self.function, self.function.op(type, given, shape, dtype or self.dtype))

    def cast(self, dtype: str) -> Symbol:
        if dtype == self.dtype:
            return self
        names = {"float16": "fp16", "float32": "fp32"}
        make = lambda: self.op("cast", {"x": self, "dtype": names[dtype]}, self.shape, dtype)  # noqa: E731
        return self.function.once(("cast", id(self.value), dtype), make)

    def reshape(self, *shape: Any) -> Symbol:
        flat = list(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else list(shape)
        if -1 in flat:
            flat[flat.index(-1)] = math.prod(self.shape) // -math.prod(flat)
        if tuple(flat) == self.shape:
            return self
        return self.op("reshape", {"x": self, "shape": np.asarray(flat, np.int32)}, flat)

    def permute(self, *order: int) -> Symbol:
        """Turning a turned tensor turns the original, so that turning back costs nothing."""
        source, before = self.function.once(("turned", id(self.value)), lambda: (self, tuple(range(len(order)))))
        whole = tuple(before[i] for i in order)
        if whole == tuple(range(len(whole))):
            return source
        shape = tuple(source.shape[i] for i in whole)
        moved = [i for i in whole if source.shape[i] != 1]
        if moved == sorted(moved):
            out = source.reshape(shape)  # only dimensions of size one move
        else:
            out = source.op("transpose", {"x": source, "perm": np.asarray(whole, np.int32)}, shape)
        if out is not source:
            self.function.once(("turned", id(out.value)), lambda: (source, whole))
        return out

    def chunk(self, chunks: int, dim: int) -> tuple[Symbol, ...]:
        axis = dim % len(self.shape)
        size = self.shape[axis] // chunks
        return tuple(self.narrow(axis, i * size, size) for i in range(chunks))

    def narrow(self, dim: int, start: int, length: int) -> Symbol:
        return self.slice(
            [start if i == dim else 0 for i in range(len(self.shape))],
            [length if i == dim else n for i, n in enumerate(self.shape)],
        )

    def slice(self, begin: Sequence[int], shape: Sequence[int]) -> Symbol:
        """A box of ``shape`` from ``begin`` on."""
        if tuple(shape) == self.shape:
            return self
        end = [a + b for a, b in zip(begin, shape, strict=True)]
        inputs = {"x": self, "begin": np.asarray(begin, np.int32), "end": np.asarray(end, np.int32)}
        return self.op("slice_by_index", inputs, shape)


def lift(function: Function, x: Any) -> Any:
    """A Symbol's value, or a constant."""
    if isinstance(x, Symbol):
        return x.value
    if isinstance(x, np.ndarray | np.generic | str | bool):
        return function.constant(x)
    if isinstance(x, list | tuple):
        return [lift(function, part) for part in x]
    return x


def binary(type: str, a: Any, b: Any) -> Symbol:
    """Elementwise, with broadcasting; a number takes the other side's type."""
    known = a if isinstance(a, Symbol) else b
    types = {x.dtype for x in (a, b) if isinstance(x, Symbol)}
    dtype = "float32" if len(types) > 1 else known.dtype
    if len(types) > 1 and types != {"float16", "float32"}:
        raise NotImplementedError(f"{type} of {' and '.join(sorted(types))}")
    left, right = (x.cast(dtype) if isinstance(x, Symbol) else np.dtype(dtype).type(x) for x in (a, b))
    shapes = [x.shape if isinstance(x, Symbol) else () for x in (left, right)]
    return known.op(type, {"x": left, "y": right}, np.broadcast_shapes(*shapes), dtype)


@handles(torch.tanh)
def _tanh(x: Symbol) -> Symbol:
    return x.op("tanh", {"x": x}, x.shape)


@handles(torch.nn.functional.gelu)
def _gelu(x: Symbol, approximate: str = "none") -> Symbol:
    mode = {"tanh": "TANH_APPROXIMATION", "none": "EXACT"}[approximate]
    return x.op("gelu", {"x": x, "mode": mode}, x.shape)


@handles(torch.softmax)
def _softmax(x: Symbol, dim: int) -> Symbol:
    return x.op("softmax", {"x": x, "axis": np.int32(dim)}, x.shape)


@handles(torch.cat)
def concatenate(parts: Sequence[Symbol], dim: int = 0) -> Symbol:
    known = parts[0]
    if len({part.dtype for part in parts}) > 1:
        raise NotImplementedError("concatenation of several types")
    axis, shape = dim % len(known.shape), list(known.shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    inputs = {"values": list(parts), "axis": np.int32(axis), "interleave": np.bool_(False)}
    return known.op("concat", inputs, shape)
