"""Float activations against integer weights: how much of float32 survives the int8 kernels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.errors import PlanError
from convert.lattice import dequantize, pack
from convert.targets.litert import dynamic, weights
from convert.targets.litert.blocks import blocks
from convert.targets.litert.emit import symbol
from convert.targets.litert.graph import Model
from tests.support.litert.tools import decibels, runner

IN, OUT = 192, 40


class Matrix:
    """A QuantTensor of given codes and scales."""

    def __init__(self, codes: np.ndarray, scales: np.ndarray, bits: int) -> None:
        self._codes, self._scales, self.bits = codes, scales, bits
        (self.rows, self.columns), self.groups, self.name = codes.shape, scales.shape[1], "w"
        self.stack = None

    def packed(self, start: int, stop: int) -> np.ndarray:
        return pack(self._codes[start:stop], self.bits)

    def codes(self, start: int, stop: int) -> np.ndarray:
        return self._codes[start:stop]

    def scales(self, start: int, stop: int) -> np.ndarray:
        return self._scales[start:stop]

    def values(self) -> np.ndarray:
        return dequantize(self._codes, self._scales).astype(np.float64)


def bfloat16(x: np.ndarray) -> np.ndarray:
    return (x.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def q4_0(seed: int, size: float = 0.01) -> Matrix:
    """Blocks of 32 with scales of either sign, and one block of zeros."""
    random = np.random.default_rng(seed)
    codes = random.integers(-8, 8, (OUT, IN)).astype(np.int8)
    scales = bfloat16(random.choice([-1, 1], (OUT, IN // 32)) * random.uniform(0.5, 2, (OUT, IN // 32)) * size)
    codes[3, 32:64], scales[3, 1] = 0, 0
    return Matrix(codes, scales, 4)


def product(matrix: Matrix, terms: int) -> Callable[[np.ndarray], np.ndarray]:
    model = Model()
    graph = model.subgraph("main")
    x = symbol(graph.input("x", (1, 3, IN), "float32"))
    if matrix.groups > 1:
        y = dynamic.blockwise(x, blocks(graph, matrix, "w"), terms)
    else:
        y = dynamic.per_channel(x, weights.quantized(graph, matrix, "w"), terms)
    graph.output("y", y.value)
    run = runner(model, "main")
    return lambda x: run(x=x)["y"]


@pytest.mark.parametrize(("terms", "floor"), [(1, 35), (2, 80), (3, 120)])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_each_term_adds_eight_bits_per_channel(bits: int, terms: int, floor: float) -> None:
    random = np.random.default_rng(bits)
    low = -(1 << (bits - 1))
    codes = random.integers(low, -low, (OUT, IN)).astype(np.int8)
    matrix = Matrix(codes, random.uniform(0.01, 0.02, (OUT, 1)).astype(np.float32), bits)
    x = random.standard_normal((1, 3, IN)).astype(np.float32)
    assert decibels(x @ matrix.values().T, product(matrix, terms)(x)) >= floor


@pytest.mark.parametrize(("terms", "floor"), [(1, 35), (2, 80), (3, 120)])
def test_blocks_with_negative_and_zero_scales_keep_their_values(terms: int, floor: float) -> None:
    matrix = q4_0(1)
    x = np.random.default_rng(2).standard_normal((1, 3, IN)).astype(np.float32)
    assert decibels(x @ matrix.values().T, product(matrix, terms)(x)) >= floor


@pytest.mark.parametrize("size", [1e-7, 1e6])
def test_scales_outside_float16_are_moved_by_a_power_of_two(size: float) -> None:
    matrix = q4_0(5, size)
    x = np.random.default_rng(2).standard_normal((1, 3, IN)).astype(np.float32)
    assert decibels(x @ matrix.values().T, product(matrix, 3)(x)) >= 120


def test_scales_that_span_more_than_float16_are_refused_by_name() -> None:
    matrix = q4_0(6)
    matrix._scales[0, 0], matrix._scales[1, 1] = 2.0**-30, 2.0**10
    with pytest.raises(PlanError, match=r"lower w to TFLite.*float16 cannot hold them exactly"):
        blocks(Model().subgraph("main"), matrix, "w")


_HARD = {
    "zeros": np.zeros(IN),
    "one sided": np.linspace(1, 2, IN),
    "negative": -np.linspace(1, 2, IN),
    "symmetric": np.linspace(-1, 1, IN),
    "half steps": (np.arange(IN) - IN / 2) * 0.5,
    "one outlier": np.r_[1000.0, np.linspace(-1, 1, IN - 1)],
    "tiny": np.linspace(-1e-20, 1e-20, IN),
}


@pytest.mark.parametrize("shape", sorted(_HARD))
def test_rows_of_awkward_range_lose_nothing(shape: str) -> None:
    matrix = q4_0(9)
    x = np.repeat(_HARD[shape][None, None].astype(np.float32), 3, 1)
    expected, found = x @ matrix.values().T, product(matrix, 3)(x)
    assert np.isfinite(found).all()
    scale = (np.abs(x).astype(np.float64) @ np.abs(matrix.values()).T).max()
    assert np.abs(expected - found).max() <= 5e-7 * scale  # four units in the last place of float32


_PRODUCT = product(q4_0(11), 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=IN, max_size=IN))
def test_any_row_keeps_float32_accuracy(values: list[float]) -> None:
    x = np.repeat(np.asarray(values, np.float32)[None, None], 3, 1)
    matrix = q4_0(11).values()
    bound = 5e-7 * (np.abs(x).astype(np.float64) @ np.abs(matrix).T).max()
    assert np.abs(x @ matrix.T - _PRODUCT(x)).max() <= bound + 1e-25


def test_rows_that_do_not_end_on_a_byte_are_refused_by_name() -> None:
    matrix = Matrix(np.zeros((4, 7), np.int8), np.ones((4, 1), np.float32), 2)
    with pytest.raises(PlanError, match=r"layers\.0\.mlp.up_proj .*do not end on a whole byte"):
        weights.quantized(Model().subgraph("main"), matrix, "layers.0.mlp.up_proj")
