"""Arithmetic on symbols is torch's, whatever the target; what there is not is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from convert.model.symbol import Step, Symbol, concatenate


@dataclass(frozen=True)
class Array:
    """A value of the target below: it is there."""

    content: torch.Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.content.shape)

    @property
    def dtype(self) -> str:
        return str(self.content.dtype).removeprefix("torch.")


COMPUTE: dict[str, Callable[..., torch.Tensor]] = {
    "add": lambda step, a, b: a + b,
    "cast": lambda step, a: a.to(getattr(torch, step.dtype)),
    "concatenate": lambda step, *parts: torch.cat(parts, step.axis),
    "cos": lambda step, a: a.cos(),
    "divide": lambda step, a, b: a / b,
    "gelu": lambda step, a: F.gelu(a, approximate=step.approximate),
    "less": lambda step, a, b: a < b,
    "max": lambda step, a: a.amax(step.axis, step.keepdim),
    "maximum": lambda step, a, b: torch.maximum(a, b),
    "mean": lambda step, a: a.mean(step.axis, step.keepdim),
    "minimum": lambda step, a, b: torch.minimum(a, b),
    "multiply": lambda step, a, b: a * b,
    "reshape": lambda step, a: a.reshape(step.shape),
    "rsqrt": lambda step, a: a.rsqrt(),
    "sin": lambda step, a: a.sin(),
    "slice": lambda step, a: a[tuple(slice(b, b + n) for b, n in zip(step.begin, step.shape, strict=True))],
    "softmax": lambda step, a: a.softmax(-1),
    "subtract": lambda step, a, b: a - b,
    "tanh": lambda step, a: a.tanh(),
    "transpose": lambda step, a: a.permute(step.order),
}


@dataclass(frozen=True)
class Computing:
    """A target that computes each step at once, and notes it."""

    steps: list[Step[Array]] = field(default_factory=list)
    target: str = "computing"

    def constant(self, array: np.ndarray) -> Array:
        return Array(torch.from_numpy(array))

    def append(self, step: Step[Array]) -> Array:
        self.steps.append(step)
        made = Array(COMPUTE[step.operator](step, *(value.content for value in step.inputs)))
        assert (made.shape, made.dtype) == (step.shape, step.dtype)
        return made


def numbers(*shape: int) -> torch.Tensor:
    return torch.arange(1, 1 + int(np.prod(shape)), dtype=torch.float32).reshape(shape) / 8


def symbol(*shape: int, dtype: torch.dtype = torch.float32, graph: Computing | None = None) -> Symbol[Array]:
    return Symbol(graph or Computing(), Array(numbers(*shape).to(dtype)))


USES: dict[str, Callable[[Any], Any]] = {
    "numbers": lambda x: 2.0 / (1.5 * x + 1.0 - x) / 3.0,
    "extremes": lambda x: x.maximum(x * x).minimum(x + 0.5),
    "a broadcast row": lambda x: x * numbers(4),
    "a broadcast column": lambda x: x + numbers(3, 1),
    "a mean": lambda x: x.mean(-1, keepdim=True),
    "a mean without its axis": lambda x: x.mean(1, keepdim=False),
    "a square": lambda x: x.pow(2),
    "an index": lambda x: x[:, 1],
    "indices": lambda x: x[0, 1, :, 2],
    "one element": lambda x: x[0, 1, 2, 3],
    "a reshape": lambda x: x.reshape(2, -1, 4),
    "a reshape to a tuple": lambda x: x.reshape((6, 4)),
    "a turn": lambda x: x.permute(0, 2, 1, 3),
    "a turn of a turn": lambda x: x.permute(0, 2, 3, 1).permute(3, 0, 2, 1),
    "a turn of what does not move": lambda x: x.reshape(1, 6, 1, 4).permute(0, 2, 1, 3).permute(1, 3, 0, 2),
    "halves": lambda x: x.chunk(2, dim=-1)[1],
    "a concatenation": lambda x: torch.cat([x, x, numbers(1, 2, 1, 4)], dim=2),
    "a softmax": lambda x: torch.softmax(x, dim=-1),
    "a gelu": lambda x: F.gelu(x, approximate="tanh"),
    "a comparison": lambda x: numbers(4) < x,
    "a cast": lambda x: (numbers(4) < x).float(),
    "roots and waves": lambda x: torch.tanh(torch.rsqrt(x)).cos().sin(),
}


@pytest.mark.parametrize("use", USES)
def test_a_symbol_computes_what_torch_computes(use: str) -> None:
    expected, found = USES[use](numbers(1, 2, 3, 4)), USES[use](symbol(1, 2, 3, 4))
    assert found.shape == tuple(expected.shape)
    assert torch.equal(found.value.content, expected)  # of one type, too


def test_turning_back_costs_nothing() -> None:
    x = symbol(1, 2, 3, 4)
    assert x.permute(0, 2, 3, 1).permute(0, 3, 1, 2) is x
    assert x.permute(0, 2, 1, 3).permute(0, 1, 3, 2).value is not x.value
    steps = x.builder.steps  # type: ignore[attr-defined]
    assert [(step.inputs, step.order) for step in steps][-1] == ((x.value,), (0, 2, 3, 1))


def test_a_turn_that_moves_no_byte_is_a_reshape() -> None:
    x = symbol(1, 1, 3, 4)
    x.permute(0, 2, 1, 3)
    assert [step.operator for step in x.builder.steps] == ["reshape"]  # type: ignore[attr-defined]


def test_halves_meet_wholes_in_float32_and_a_number_takes_the_others_type() -> None:
    graph = Computing()
    half, single = symbol(4, dtype=torch.float16, graph=graph), symbol(4, graph=graph)
    assert (half + single).dtype == (single + half).dtype == "float32"
    assert [step.operator for step in graph.steps] == ["cast", "add"] * 2
    assert (half * 3).dtype == "float16"
    assert [value.dtype for value in graph.steps[-1].inputs] == ["float16", "float16"]
    with pytest.raises(NotImplementedError, match="add of float32 and int32"):
        single + symbol(4, dtype=torch.int32, graph=graph)
    with pytest.raises(NotImplementedError, match="concatenation of several types"):
        concatenate([half, single])


def test_what_no_symbol_has_is_refused_by_name() -> None:
    x = symbol(1, 4)
    with pytest.raises(NotImplementedError, match=r"the computing target has no operation for .*erf"):
        torch.erf(input=x)  # type: ignore[call-overload]
    with pytest.raises(NotImplementedError, match="power 3"):
        x.pow(3)
    with pytest.raises(NotImplementedError, match="index None"):
        x[None]
    with pytest.raises(NotImplementedError, match="softmax over another dimension than the last"):
        torch.softmax(x, dim=0)  # type: ignore[call-overload]
