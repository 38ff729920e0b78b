"""Symbols have torch's shapes and types, whatever the target; what a target lacks is refused by name."""

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
class Told:
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Noting:
    """A target that has every operator and only notes what it is asked for."""

    steps: list[Step[Told]] = field(default_factory=list)
    constants: list[np.ndarray] = field(default_factory=list)
    target: str = "noting"

    def constant(self, array: np.ndarray) -> Told:
        self.constants.append(array)
        return Told(array.shape, array.dtype.name)

    def append(self, step: Step[Told]) -> Told:
        self.steps.append(step)
        return Told(step.shape, step.dtype)


def symbol(*shape: int, dtype: str = "float32", graph: Noting | None = None) -> Symbol[Told]:
    return Symbol(graph or Noting(), Told(shape, dtype))


USES: dict[str, Callable[[Any], Any]] = {
    "a number": lambda x: 2.0 / (1.5 * x + 1.0 - x),
    "a broadcast row": lambda x: x * torch.ones(4),
    "a broadcast column": lambda x: x + torch.ones(3, 1),
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
    "a concatenation": lambda x: torch.cat([x, x, torch.ones(1, 2, 1, 4)], dim=2),
    "a softmax": lambda x: torch.softmax(x, dim=-1),
    "a gelu": lambda x: F.gelu(x, approximate="tanh"),
    "a comparison": lambda x: torch.ones(4) < x,
    "a cast": lambda x: (torch.ones(4) < x).float(),
    "roots and waves": lambda x: torch.tanh(torch.rsqrt(x)).cos().sin(),
}


@pytest.mark.parametrize("use", USES)
def test_a_symbol_has_the_shape_and_type_that_torch_gives(use: str) -> None:
    expected, found = USES[use](torch.ones(1, 2, 3, 4)), USES[use](symbol(1, 2, 3, 4))
    assert (found.shape, f"torch.{found.dtype}") == (tuple(expected.shape), str(expected.dtype))


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
    graph = Noting()
    half, single = symbol(4, dtype="float16", graph=graph), symbol(4, graph=graph)
    assert (half + single).dtype == (single + half).dtype == "float32"
    assert [step.operator for step in graph.steps] == ["cast", "add"] * 2
    assert (half * 3).dtype == "float16"
    assert [array.dtype.name for array in graph.constants] == ["float16"]
    with pytest.raises(NotImplementedError, match="add of float32 and int32"):
        single + symbol(4, dtype="int32", graph=graph)
    with pytest.raises(NotImplementedError, match="concatenation of several types"):
        concatenate([half, single])


def test_what_no_symbol_has_is_refused_by_name() -> None:
    x = symbol(1, 4)
    with pytest.raises(NotImplementedError, match=r"the noting target has no operation for .*erf"):
        torch.erf(input=x)  # type: ignore[call-overload]
    with pytest.raises(NotImplementedError, match="power 3"):
        x.pow(3)
    with pytest.raises(NotImplementedError, match="index None"):
        x[None]
    with pytest.raises(NotImplementedError, match="softmax over another dimension than the last"):
        torch.softmax(x, dim=0)  # type: ignore[call-overload]
