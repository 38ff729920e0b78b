"""What the Core ML target cannot lower is refused by name, never approximated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from convert.model.symbol import concatenate
from convert.targets.coreml.emit import symbol
from convert.targets.coreml.graph import Program


@pytest.fixture
def function():  # type: ignore[no-untyped-def]
    return Program().function("decode")


def test_functions_without_an_operation_are_refused(function) -> None:  # type: ignore[no-untyped-def]
    x = symbol(function, function.input("x", (2, 4), "float16"))
    with pytest.raises(NotImplementedError, match=r"no operation for .*erf"):
        torch.erf(x)  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match=r"no operation for .*relu"):
        F.relu(x)  # type: ignore[arg-type]


@pytest.mark.parametrize("item", [slice(0, 1), slice(None, None, 2), None, ...])
def test_indices_other_than_integers_and_whole_axes_are_refused(function, item: object) -> None:  # type: ignore[no-untyped-def]
    x = symbol(function, function.input("x", (2, 4), "float16"))
    with pytest.raises(NotImplementedError, match="index"):
        x[item]
    assert x[:, 1].shape == (2,)


def test_types_that_do_not_meet_are_refused(function) -> None:  # type: ignore[no-untyped-def]
    half, single, whole = (
        symbol(function, function.input(name, (4,), name)) for name in ("float16", "float32", "int32")
    )
    assert (half + single).dtype == "float32"
    with pytest.raises(NotImplementedError, match="add of float16 and int32"):
        half + whole
    with pytest.raises(NotImplementedError, match="concatenation of several types"):
        concatenate([half, single])


@pytest.mark.parametrize(("approximate", "mode"), [("tanh", "TANH_APPROXIMATION"), ("none", "EXACT")])
def test_each_gelu_keeps_its_kind(function, approximate: str, mode: str) -> None:  # type: ignore[no-untyped-def]
    made = F.gelu(symbol(function, function.input("x", (4,), "float16")), approximate=approximate)  # type: ignore[arg-type]
    function.output("y", made.value)  # type: ignore[attr-defined]
    (op,) = (op for op in function.live() if op.type == "gelu")
    constants = {id(o.output): o.constant for o in function.live() if o.type == "const"}
    assert [constants[id(value)] for value in op.inputs["mode"]] == [mode]


def test_no_constant_is_made_twice(function) -> None:  # type: ignore[no-untyped-def]
    assert function.constant(np.float16(1)) is function.constant(np.float16(1))
