"""A write into the KV cache means the same to everyone who implements the decoder's operations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from convert.model.eager import EagerOps
from convert.model.signature import Signature
from convert.targets.coreml import CoremlOptions, package
from convert.targets.coreml import emit as coreml
from convert.targets.coreml.graph import Program
from convert.targets.coreml.ops import CoremlOps, Slot
from convert.targets.litert import LitertOptions
from convert.targets.litert import emit as litert
from convert.targets.litert.graph import Model
from convert.targets.litert.ops import LitertOps
from convert.targets.litert.ring import Kept
from runtime_tests.coreml.program.evaluator import Evaluator
from runtime_tests.errors import CannotRunError
from runtime_tests.readers.coreml.parts import open_parts
from tests.support.litert.tools import runner

Array = np.ndarray[Any, Any]
Write = Callable[[Array, Array, int, str], Array]
CHECKPOINT: Any = SimpleNamespace(static_activations=False, caches={0: SimpleNamespace(key=0.5, value=0.5)})
POSITIONS, HEADS, SIZE = 6, 2, 3
AXIS = {"key": 2, "value": 3}


def by_eager(cache: Array, rows: Array, position: int, part: str) -> Array:
    made = EagerOps(CHECKPOINT).write_cache(
        torch.from_numpy(cache), torch.from_numpy(rows), torch.tensor(position), AXIS[part], 0, part
    )
    return np.asarray(made)


def by_litert(dtype: str, cache: Array, rows: Array, position: int, part: str) -> Array:
    graph = (model := Model()).subgraph("main")
    given = {"cache": cache.astype(dtype), "rows": rows, "position": np.array([position], np.int32)}
    if dtype == "int8":
        given["cache"] = (cache * 2).astype(np.int8)
    symbols = {name: litert.symbol(graph.input(name, a.shape, a.dtype.name)) for name, a in given.items()}
    ops = LitertOps(graph, CHECKPOINT, LitertOptions(POSITIONS, (1,), dtype))
    kept = Kept(symbols["cache"], symbols["cache"])
    made = ops.write_cache(kept, symbols["rows"], symbols["position"][0], AXIS[part], 0, part)
    assert made.seen is made.state
    graph.output("made", made.state.value)
    found = runner(model, "main")(**given)["made"]
    return found / 2 if dtype == "int8" else found


def by_coreml(folder: Path, cache: Array, rows: Array, position: int, part: str) -> Array:
    function = (program := Program()).function("decode")
    options = CoremlOptions(POSITIONS, (1,), "float32")
    whole = np.zeros((1, HEADS, POSITIONS, SIZE), np.float32)
    whole[:] = cache if part == "key" else cache.transpose(0, 1, 3, 2)
    given = {"rows": rows, "position": np.array([position], np.int32)}
    inputs = {name: coreml.symbol(function, function.input(name, a.shape, a.dtype.name)) for name, a in given.items()}
    slot = Slot(function.input("keys", whole.shape, "float32", state=True), 0, HEADS, SIZE)
    ops = CoremlOps(function, CHECKPOINT, options, inputs["position"])
    ops.write_cache(slot, inputs["rows"], inputs["position"][0], AXIS[part], 0, part)
    function.output("made", ops.read_cache(slot, 0, part).value)
    entry = Signature("decode", rows.shape[AXIS[part]], (), ())
    package.write(folder / "Model.mlpackage", program, (entry,), "", {"version": "", "license": ""}, lambda n: None)
    state = {"keys": torch.from_numpy(whole)}
    return np.asarray(Evaluator(open_parts(folder / "Model.mlpackage")).run("decode", given, state)["made"])


@pytest.fixture(params=["eager", "LiteRT float32", "LiteRT int8", "Core ML"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    return {
        "eager": by_eager,
        "LiteRT float32": partial(by_litert, "float32"),
        "LiteRT int8": partial(by_litert, "int8"),
        "Core ML": partial(by_coreml, tmp_path),
    }[request.param]


def written(write: Write, part: str, position: int, count: int) -> tuple[Array, Array]:
    """What the cache should hold and what it does, positions first."""
    before = 100 + np.arange(POSITIONS * HEADS * SIZE, dtype=np.float32).reshape(POSITIONS, HEADS, SIZE) % 7 * 0.5 - 90
    rows = -1 - np.arange(count * HEADS * SIZE, dtype=np.float32).reshape(count, HEADS, SIZE) * 0.5
    expected = before.copy()
    expected[position:] = np.concatenate([rows, before[position + count :]])[: POSITIONS - position]
    to, back = ((1, 0, 2), (1, 0, 2)) if part == "key" else ((1, 2, 0), (2, 0, 1))
    cache, new = (np.ascontiguousarray(a.transpose(to)[None]) for a in (before, rows))
    return expected, write(cache, new, position, part)[0].transpose(back)


@pytest.mark.parametrize("part", AXIS)
@pytest.mark.parametrize(("position", "count"), [(0, 6), (0, 1), (1, 3), (2, 4), (5, 1)])
def test_rows_that_fit_lie_in_their_places(write: Write, part: str, position: int, count: int) -> None:
    expected, found = written(write, part, position, count)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("part", AXIS)
@pytest.mark.parametrize(("position", "count"), [(5, 2), (3, 4), (4, 6)])
def test_a_row_past_the_end_is_written_nowhere(
    write: Write, part: str, position: int, count: int, request: pytest.FixtureRequest
) -> None:
    """Core ML cannot leave a row out: it refuses the call, and its signature forbids it."""
    if "Core ML" in request.node.name:
        with pytest.raises(CannotRunError, match="slice_update"):
            written(write, part, position, count)
    else:
        expected, found = written(write, part, position, count)
        np.testing.assert_array_equal(found, expected)
