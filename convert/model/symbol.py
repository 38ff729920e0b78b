"""A tensor that is not there yet: the decoder runs over symbols, and the graph of a target grows.

``Symbol`` stands in for a ``torch.Tensor``. Its methods, and the torch functions applied to it, work out the shape and
type of a result as torch does and have the target append one of its operators. The target brings a :class:`Builder`:
constants, and a table of its operators by the names in ``Operator``. What is not in the table here or in the
target's raises, by name: there is no silent fallback.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, Self, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray


class Arithmetic(Protocol):
    """What the decoder does to a tensor besides functions of torch: ``torch.Tensor`` has it, and ``Symbol``."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __add__(self, other: Self | float, /) -> Self: ...

    def __sub__(self, other: Self | float, /) -> Self: ...

    def __mul__(self, other: Self | float, /) -> Self: ...

    def __truediv__(self, other: Self | float, /) -> Self: ...

    def __floordiv__(self, other: Self | int, /) -> Self: ...

    def __getitem__(self, item: Any, /) -> Self: ...

    def pow(self, exponent: int, /) -> Self: ...

    def mean(self, dim: int, /, keepdim: bool) -> Self: ...

    def amax(self, dim: int, /, keepdim: bool) -> Self: ...

    def clamp(self, minimum: int, /) -> Self: ...

    def narrow(self, dim: int, start: int, length: int, /) -> Self: ...

    def float(self) -> Self: ...

    def cos(self) -> Self: ...

    def sin(self) -> Self: ...

    def reshape(self, *shape: Any) -> Self: ...

    def permute(self, *order: int) -> Self: ...

    def chunk(self, chunks: int, /, dim: int) -> tuple[Self, ...]: ...


class Value(Protocol):
    """What a graph's own tensor says of itself; ``dtype`` as numpy spells it."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> str: ...


T = TypeVar("T", bound=Arithmetic)
V = TypeVar("V", bound=Value)

Two: TypeAlias = Literal[
    "add", "subtract", "multiply", "divide", "floor_divide", "maximum", "minimum", "equal", "less", "modulo"
]
One: TypeAlias = Literal["abs", "cos", "gelu", "round", "rsqrt", "sin", "softmax", "tanh"]
Reduction: TypeAlias = Literal["max", "mean", "min", "sum"]
Move: TypeAlias = Literal["concatenate", "reshape", "slice", "transpose"]
Operator: TypeAlias = Two | One | Reduction | Move | Literal["cast"]


@dataclass(frozen=True)
class Step(Generic[V]):
    """An operator to append.

    Attributes:
        operator: its name here; ``softmax`` is over the last axis, everything else of one or two operands element by
            element, with numpy's broadcasting.
        inputs: its operands.
        shape, dtype: of its result.
        axis: of a reduction or ``concatenate``, from 0 on.
        keepdim: of a reduction.
        order: of ``transpose``: the operand's axes as the result has them.
        begin: of ``slice``: the corner of the box.
        approximate: of ``gelu``: ``tanh`` or ``none``.
    """

    operator: Operator
    inputs: tuple[V, ...]
    shape: tuple[int, ...]
    dtype: str
    axis: int = 0
    keepdim: bool = False
    order: tuple[int, ...] = ()
    begin: tuple[int, ...] = ()
    approximate: str = "none"


class Builder(Protocol[V]):
    """What a target brings. ``target`` is its name in messages."""

    @property
    def target(self) -> str: ...

    def constant(self, array: NDArray[Any], /) -> V:
        """A small constant of the graph."""
        ...

    def append(self, step: Step[V], /) -> V:
        """The result of an operator; where nothing has to be done, it may be an operand itself.

        Raises:
            NotImplementedError: the target has no such operator.
        """
        ...


G = TypeVar("G")


def look_up(
    table: Mapping[Operator, Callable[[G, Step[V]], V]], operator: Operator, target: str
) -> Callable[[G, Step[V]], V]:
    """The entry of a target's table of operators.

    Raises:
        NotImplementedError: there is none.
    """
    if operator not in table:
        raise NotImplementedError(f"the {target} target has no operation for {operator}")
    return table[operator]


class Symbol(Generic[V]):
    """A tensor that is not there yet.

    Attributes:
        builder: appends operators to the graph that the tensor belongs to.
        value: the graph's own tensor.
    """

    def __init__(self, builder: Builder[V], value: V) -> None:
        self.builder, self.value = builder, value
        self._turned: tuple[Symbol[V], tuple[int, ...]] = (self, tuple(range(len(value.shape))))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def dtype(self) -> str:
        return self.value.dtype

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if function not in _HANDLERS:
            target = _known((*args, *named.values())).builder.target
            raise NotImplementedError(f"the {target} target has no operation for {function}")
        return _HANDLERS[function](*args, **named)

    def __add__(self, other: Any) -> Symbol[V]:
        return binary("add", self, other)

    def __sub__(self, other: Any) -> Symbol[V]:
        return binary("subtract", self, other)

    def __mul__(self, other: Any) -> Symbol[V]:
        return binary("multiply", self, other)

    def __truediv__(self, other: Any) -> Symbol[V]:
        return binary("divide", self, other)

    def __rtruediv__(self, other: Any) -> Symbol[V]:
        return binary("divide", other, self)

    def __floordiv__(self, other: Any) -> Symbol[V]:
        return binary("floor_divide", self, other)

    __radd__, __rmul__ = __add__, __mul__

    def __getitem__(self, item: Any) -> Symbol[V]:
        """Integers and full slices only; integers drop their dimension."""
        items = item if isinstance(item, tuple) else (item,)
        out, kept = self, []
        for axis, part in enumerate(items):
            if isinstance(part, int):
                out = out.narrow(axis, part, 1)
            elif isinstance(part, slice) and part == slice(None):
                kept.append(self.shape[axis])
            else:
                raise NotImplementedError(f"index {part}")
        return out.reshape((*kept, *self.shape[len(items) :]))

    def pow(self, exponent: int) -> Symbol[V]:
        if exponent != 2:
            raise NotImplementedError(f"power {exponent}")
        return self * self

    def modulo(self, other: Any) -> Symbol[V]:
        """The remainder, with the divisor's sign."""
        return binary("modulo", self, other)

    def maximum(self, other: Any) -> Symbol[V]:
        return binary("maximum", self, other)

    def minimum(self, other: Any) -> Symbol[V]:
        return binary("minimum", self, other)

    def clamp(self, minimum: Any) -> Symbol[V]:
        """No element below a number."""
        return self.maximum(minimum)

    def mean(self, dim: int, keepdim: bool) -> Symbol[V]:
        return self.reduce("mean", dim, keepdim)

    def amax(self, dim: int, keepdim: bool) -> Symbol[V]:
        """The largest along one dimension."""
        return self.reduce("max", dim, keepdim)

    def reduce(self, operator: Reduction, dim: int, keepdim: bool) -> Symbol[V]:
        """Along one dimension."""
        axis = dim % len(self.shape)
        shape = tuple(1 if i == axis else n for i, n in enumerate(self.shape) if keepdim or i != axis)
        return self.step(operator, shape, axis=axis, keepdim=keepdim)

    def float(self) -> Symbol[V]:
        return self.cast("float32")

    def cast(self, dtype: str) -> Symbol[V]:
        return self if dtype == self.dtype else self.step("cast", self.shape, dtype)

    def cos(self) -> Symbol[V]:
        return self.unary("cos")

    def sin(self) -> Symbol[V]:
        return self.unary("sin")

    def unary(self, operator: One) -> Symbol[V]:
        """Element by element."""
        return self.step(operator, self.shape)

    def reshape(self, *shape: Any) -> Symbol[V]:
        flat = list(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else list(shape)
        if -1 in flat:
            flat[flat.index(-1)] = math.prod(self.shape) // -math.prod(flat)
        return self if tuple(flat) == self.shape else self.step("reshape", tuple(flat))

    def permute(self, *order: int) -> Symbol[V]:
        """Turning a turned tensor turns the original, so that turning back costs nothing."""
        source, before = self._turned
        whole = tuple(before[i] for i in order)
        shape = tuple(source.shape[i] for i in whole)
        moved = [i for i in whole if source.shape[i] != 1]
        if whole == tuple(range(len(whole))):
            return source
        stays = moved == sorted(moved)  # only dimensions of size one move: the bytes stay where they are
        out = source.reshape(shape) if stays else source.step("transpose", shape, order=whole)
        if out is not source:
            out._turned = (source, whole)
        return out

    def chunk(self, chunks: int, dim: int) -> tuple[Symbol[V], ...]:
        axis = dim % len(self.shape)
        size = self.shape[axis] // chunks
        return tuple(self.narrow(axis, i * size, size) for i in range(chunks))

    def narrow(self, dim: int, start: int, length: int) -> Symbol[V]:
        begin = [start if i == dim else 0 for i in range(len(self.shape))]
        return self.box(begin, [length if i == dim else n for i, n in enumerate(self.shape)])

    def box(self, begin: Sequence[int], shape: Sequence[int]) -> Symbol[V]:
        """The elements of a box of ``shape`` from ``begin`` on."""
        return self.step("slice", tuple(shape), begin=tuple(begin))

    def step(self, operator: Operator, shape: tuple[int, ...], dtype: str | None = None, **options: Any) -> Symbol[V]:
        """An operator on this tensor alone; ``options`` as of :class:`Step`."""
        value = self.builder.append(Step(operator, (self.value,), shape, dtype or self.dtype, **options))
        return self if value is self.value else Symbol(self.builder, value)


def binary(operator: Two, a: Any, b: Any, dtype: str | None = None) -> Symbol[Any]:
    """Element by element, with broadcasting; a number or torch tensor takes the other side's type.

    Types promote as in torch: float16 meets float32 in float32.

    Args:
        dtype: of the result, where it is not that of the operands.
    """
    known, types = _known((a, b)), {x.dtype for x in (a, b) if isinstance(x, Symbol)}
    if len(types) > 1 and types != {"float16", "float32"}:
        raise NotImplementedError(f"{operator} of {' and '.join(sorted(types))}")
    common = "float32" if len(types) > 1 else known.dtype
    left, right = (_lift(x, known.builder, common) for x in (a, b))
    shape = np.broadcast_shapes(left.shape, right.shape)
    return Symbol(known.builder, known.builder.append(Step(operator, (left, right), shape, dtype or common)))


def concatenate(parts: Sequence[Any], dim: int = 0) -> Symbol[Any]:
    """Tensors of one type, side by side."""
    known = _known(parts)
    if len({part.dtype for part in parts if isinstance(part, Symbol)}) > 1:
        raise NotImplementedError("concatenation of several types")
    values = tuple(_lift(part, known.builder, known.dtype) for part in parts)
    axis, shape = dim % len(known.shape), list(known.shape)
    shape[axis] = sum(value.shape[axis] for value in values)
    step = Step("concatenate", values, tuple(shape), known.dtype, axis=axis)
    return Symbol(known.builder, known.builder.append(step))


def _known(operands: Sequence[Any]) -> Symbol[Any]:
    """The first symbol among operands, one of which may be a list of operands."""
    flat = [x for operand in operands for x in (operand if isinstance(operand, list | tuple) else (operand,))]
    return next(x for x in flat if isinstance(x, Symbol))


def _lift(x: Any, builder: Builder[Any], dtype: str) -> Any:
    """A symbol's value in a type, or a number or torch tensor as a constant."""
    if isinstance(x, Symbol):
        return x.cast(dtype).value
    return builder.constant((x.numpy() if isinstance(x, torch.Tensor) else np.asarray(x)).astype(dtype))


def _gelu(x: Symbol[Any], approximate: str = "none") -> Symbol[Any]:
    return x.step("gelu", x.shape, approximate=approximate)


def _softmax(x: Symbol[Any], dim: int) -> Symbol[Any]:
    if dim not in (-1, len(x.shape) - 1):
        raise NotImplementedError("softmax over another dimension than the last")
    return x.unary("softmax")


_HANDLERS: dict[Any, Callable[..., Symbol[Any]]] = {
    torch.Tensor.eq: lambda a, b: binary("equal", a, b, "bool"),
    torch.Tensor.lt: lambda a, b: binary("less", a, b, "bool"),
    torch.cat: concatenate,
    torch.nn.functional.gelu: _gelu,
    torch.rsqrt: lambda x: x.unary("rsqrt"),
    torch.softmax: _softmax,
    torch.tanh: lambda x: x.unary("tanh"),
}
