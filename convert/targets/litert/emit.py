"""Arithmetic on graph values: the few tensor functions that the decoder uses, as TFLite operators.

``Symbol`` stands in for a ``torch.Tensor`` while the decoder runs: its methods and the torch functions applied to it
append operators instead of computing. Real torch tensors that meet a Symbol become constants. Anything the decoder
does not use raises, by name: there is no silent fallback.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema

from convert.targets.litert.graph import Subgraph, Value

_HANDLERS: dict[Any, Callable[..., Any]] = {}


def handles(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            _HANDLERS[function] = handler
        return handler

    return register


class Symbol:
    """A tensor that is not there yet."""

    def __init__(self, value: Value) -> None:
        self.value = value

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def graph(self) -> Subgraph:
        return self.value.graph

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function not in _HANDLERS:
            raise NotImplementedError(f"the LiteRT target has no operator for {function}")
        return _HANDLERS[function](*args, **(kwargs or {}))

    def __add__(self, other: Any) -> Symbol:
        return _binary("ADD", self, other, schema.AddOptionsT())

    def __sub__(self, other: Any) -> Symbol:
        return _binary("SUB", self, other, schema.SubOptionsT())

    def __mul__(self, other: Any) -> Symbol:
        return _binary("MUL", self, other, schema.MulOptionsT())

    def __truediv__(self, other: Any) -> Symbol:
        return _binary("DIV", self, other, schema.DivOptionsT())

    __radd__, __rmul__ = __add__, __mul__

    def __getitem__(self, item: Any) -> Symbol:
        return _index(self, item)

    def pow(self, exponent: int) -> Symbol:
        if exponent != 2:
            raise NotImplementedError(f"power {exponent}")
        return self * self

    def mean(self, dim: int, keepdim: bool) -> Symbol:
        return reduce("MEAN", self, dim, keepdim)

    def float(self) -> Symbol:
        out = self.graph.op("CAST", [self.value], self.shape, "float32", schema.CastOptionsT())
        return Symbol(out)

    def cos(self) -> Symbol:
        return unary("COS", self)

    def sin(self) -> Symbol:
        return unary("SIN", self)

    def reshape(self, *shape: Any) -> Symbol:
        flat = list(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else list(shape)
        if -1 in flat:
            flat[flat.index(-1)] = math.prod(self.shape) // -math.prod(flat)
        if tuple(flat) == self.shape:
            return self
        options = schema.ReshapeOptionsT()
        options.newShape = flat
        size = self.graph.constant(np.asarray(flat, np.int32))
        return Symbol(self.graph.op("RESHAPE", [self.value, size], flat, options=options))

    def permute(self, *order: int) -> Symbol:
        shape = tuple(self.shape[i] for i in order)
        moved = [i for i in order if self.shape[i] != 1]
        if moved == sorted(moved):
            return self.reshape(shape)  # only dimensions of size one move: the bytes stay where they are
        permutation = self.graph.constant(np.asarray(order, np.int32))
        options = schema.TransposeOptionsT()
        return Symbol(self.graph.op("TRANSPOSE", [self.value, permutation], shape, options=options))

    def chunk(self, chunks: int, dim: int) -> tuple[Symbol, ...]:
        axis = dim % len(self.shape)
        size = self.shape[axis] // chunks
        return tuple(self.narrow(axis, i * size, size) for i in range(chunks))

    def narrow(self, dim: int, start: int, length: int) -> Symbol:
        begin = [start if i == dim else 0 for i in range(len(self.shape))]
        size = [length if i == dim else n for i, n in enumerate(self.shape)]
        constants = [self.graph.constant(np.asarray(a, np.int32)) for a in (begin, size)]
        return Symbol(self.graph.op("SLICE", [self.value, *constants], size, options=schema.SliceOptionsT()))


def lift(x: Any, graph: Subgraph, dtype: str) -> Value:
    """A Symbol's value, or a number or torch tensor as a constant of the graph."""
    if isinstance(x, Symbol):
        return x.value
    array = x.numpy() if isinstance(x, torch.Tensor) else np.asarray(x)
    return graph.constant(array.astype(dtype))


def unary(builtin: str, x: Symbol, options: Any = None) -> Symbol:
    return Symbol(x.graph.op(builtin, [x.value], x.shape, options=options))


def reduce(builtin: str, x: Symbol, dim: int, keepdim: bool) -> Symbol:
    options = schema.ReducerOptionsT()
    options.keepDims = keepdim
    axis = dim % len(x.shape)
    shape = [1 if i == axis else n for i, n in enumerate(x.shape) if keepdim or i != axis]
    return Symbol(
        x.graph.op(builtin, [x.value, x.graph.constant(np.asarray([axis], np.int32))], shape, options=options)
    )


def _binary(builtin: str, a: Any, b: Any, options: Any, dtype: str | None = None) -> Symbol:
    known = a if isinstance(a, Symbol) else b
    left, right = (lift(x, known.graph, known.value.dtype) for x in (a, b))
    shape = np.broadcast_shapes(left.shape, right.shape)
    return Symbol(known.graph.op(builtin, [left, right], shape, dtype, options))


def _index(x: Symbol, item: Any) -> Symbol:
    """Integers and full slices only; integers drop their dimension."""
    items = item if isinstance(item, tuple) else (item,)
    out, kept = x, []
    for axis, part in enumerate(items):
        if isinstance(part, int):
            out = out.narrow(axis, part, 1)
        elif part == slice(None):
            kept.append(x.shape[axis])
        else:
            raise NotImplementedError(f"index {part}")
    return out.reshape((*kept, *x.shape[len(items) :]))


@handles(torch.Tensor.lt)
def _less(a: Any, b: Any) -> Symbol:
    return _binary("LESS", a, b, schema.LessOptionsT(), "bool")


@handles(torch.rsqrt)
def _rsqrt(x: Symbol) -> Symbol:
    return unary("RSQRT", x)


@handles(torch.tanh)
def _tanh(x: Symbol) -> Symbol:
    return unary("TANH", x)


@handles(torch.nn.functional.gelu)
def _gelu(x: Symbol, approximate: str = "none") -> Symbol:
    options = schema.GeluOptionsT()
    options.approximate = approximate == "tanh"
    return unary("GELU", x, options)


@handles(torch.softmax)
def _softmax(x: Symbol, dim: int) -> Symbol:
    if dim not in (-1, len(x.shape) - 1):
        raise NotImplementedError("softmax over another dimension than the last")
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    return unary("SOFTMAX", x, options)


@handles(torch.cat)
def concatenate(parts: Sequence[Any], dim: int = 0) -> Symbol:
    known = next(p for p in parts if isinstance(p, Symbol))
    values = [lift(p, known.graph, known.value.dtype) for p in parts]
    axis = dim % len(known.shape)
    options = schema.ConcatenationOptionsT()
    options.axis = axis
    shape = list(known.shape)
    shape[axis] = sum(v.shape[axis] for v in values)
    return Symbol(known.graph.op("CONCATENATION", values, shape, options=options))
