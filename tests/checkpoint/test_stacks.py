"""Quantized matrices with an axis in front, one matrix for each expert, read from a file by rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from convert.checkpoint.formats import q4_0
from convert.checkpoint.formats.mobile import PackedMatrix
from convert.checkpoint.formats.q4_0 import LatticeMatrix
from convert.checkpoint.ledger import Ledger
from convert.checkpoint.outline import Outline, Part
from convert.checkpoint.safetensors import read_file
from convert.checkpoint.tensors import tall
from convert.errors import CheckpointError, LatticeError
from convert.lattice import BITS, QuantTensor, dequantize, matrices, pack, shape
from tests.support.tiny_checkpoint import BF16, google_bytes, lattice, random_codes

Array = np.ndarray[Any, Any]
KEY = "layers.0.experts.down_proj"


def stored(folder: Path, tensors: dict[str, Array]) -> Ledger:
    save_file(tensors, folder / "w.safetensors")
    return Ledger(read_file(folder / "w.safetensors", "test"), "test")


def google_stack(codes: Array, bits: int) -> Array:
    return np.stack([google_bytes(matrix, bits) for matrix in codes])


def packed_matrix(folder: Path, codes: Array, scales: Array, bits: int) -> PackedMatrix:
    """``[rows, columns]`` or ``[experts, rows, columns]``, as a file has them."""
    stack = codes.shape[0] if codes.ndim == 3 else None
    found = stored(folder, {"w": google_stack(codes, bits) if stack else google_bytes(codes, bits), "s": scales}).stored
    return PackedMatrix(tall(found["w"]), tall(found["s"]), codes.shape[-1], bits, scales.shape[-1], stack)


def check(tensor: QuantTensor, codes: Array, scales: Array) -> None:
    """Every way to read the tensor gives what it was written from."""
    assert isinstance(tensor, QuantTensor)
    assert shape(tensor) == codes.shape
    columns = codes.shape[-1]
    rows, tall_codes, tall_scales = tensor.rows, codes.reshape(-1, columns), scales.reshape(-1, scales.shape[-1])
    assert rows == len(tall_codes)
    for start, stop in ((0, rows), (0, 0), (rows // 3, rows // 3 + rows // 2)):
        assert np.array_equal(tensor.codes(start, stop), tall_codes[start:stop])
        assert np.array_equal(tensor.scales(start, stop), tall_scales[start:stop])
        assert np.array_equal(tensor.packed(start, stop), pack(tall_codes[start:stop], tensor.bits))
    parts = list(matrices(tensor))
    assert len(parts) == (codes.shape[0] if codes.ndim == 3 else 1)
    for number, part in enumerate(parts):
        mine, its = (codes[number], scales[number]) if codes.ndim == 3 else (codes, scales)
        assert isinstance(part, QuantTensor)
        assert shape(part) == mine.shape
        assert (part.stack, part.bits, part.groups, part.columns) == (None, tensor.bits, scales.shape[-1], columns)
        start, stop = part.rows // 3, part.rows
        assert np.array_equal(part.codes(start, stop), mine[start:stop])
        assert np.array_equal(part.scales(start, stop), its[start:stop])
        assert np.array_equal(part.packed(start, stop), pack(mine[start:stop], part.bits))
        values = dequantize(part.codes(0, part.rows), part.scales(0, part.rows))
        assert np.array_equal(values, dequantize(codes, scales).reshape(-1, part.rows, columns)[number])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bits=st.sampled_from(BITS),
    experts=st.one_of(st.none(), st.integers(1, 4)),
    rows=st.integers(1, 5),
    groups=st.integers(1, 3),
    width=st.integers(1, 17),
)
def test_packed_matrices_and_stacks_give_back_what_they_were_written_from(
    tmp_path: Path, bits: int, experts: int | None, rows: int, groups: int, width: int
) -> None:
    rng, lead = np.random.default_rng(width), () if experts is None else (experts,)
    codes = random_codes(rng, (*lead, rows, groups * width), bits)
    scales = rng.uniform(0.1, 1, (*lead, rows, groups)).astype(np.float32)
    check(packed_matrix(tmp_path, codes, scales, bits), codes, scales)


def experts_of(rng: np.random.Generator, experts: int, rows: int, columns: int) -> tuple[Array, Array, Array]:
    """Weights ``[experts, rows, columns]`` on the lattice, their codes, scales ``[experts, rows, columns / 32]``."""
    made = [lattice(rng, (rows, columns)) for _ in range(experts)]
    weights, codes, scales = (np.stack(part) for part in zip(*made, strict=True))
    return weights, codes, scales


def outline(part: Part, *more: Part) -> Outline[None]:
    return Outline(None, lambda key: f"model.{key}", (part, *more))


@pytest.mark.parametrize("dtype", [BF16, np.float32])
@pytest.mark.parametrize(("experts", "rows", "columns"), [(1, 3, 32), (4, 5, 64), (3, 1, 96)])
def test_experts_of_a_q4_0_checkpoint_are_one_stack_on_the_lattice(
    tmp_path: Path, experts: int, rows: int, columns: int, dtype: Any
) -> None:
    weights, codes, scales = experts_of(np.random.default_rng(0), experts, rows, columns)
    ledger = stored(tmp_path, {f"model.{KEY}": weights.astype(dtype)})
    part = Part(KEY, "experts", codes.shape, rounded="always")
    found = q4_0.read(ledger, outline(part), None)
    assert (found.quants.keys(), found.floats) == ({KEY}, {})
    check(found.quants[KEY], codes, scales)
    assert ledger.close(lambda name: None) == {}


def test_experts_that_nothing_rounds_stay_floats_with_their_axis(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((3, 4, 32)).astype(BF16)
    weights, codes, scales = experts_of(np.random.default_rng(1), 2, 3, 32)
    ledger = stored(tmp_path, {"model.other": noise, f"model.{KEY}": weights})
    parts = (Part("other", "experts", noise.shape), Part(KEY, "experts", codes.shape, rounded="always"))
    found = q4_0.read(ledger, outline(*parts), None)
    assert found.floats["other"].shape == (3, 4, 32)
    assert np.array_equal(found.floats["other"].bits16(1, 3), noise[1:3].view(np.uint16))
    check(found.quants[KEY], codes, scales)


@pytest.mark.parametrize("kept", ["always", "perhaps"])
def test_one_flipped_bit_of_an_expert_is_refused_with_its_row(tmp_path: Path, kept: Any) -> None:
    weights, codes, _ = experts_of(np.random.default_rng(0), 3, 8, 64)
    weights.view(np.uint16)[1, 2, 40] ^= 1  # row 10 of 24; none that is looked at on opening
    ledger = stored(tmp_path, {f"model.{KEY}": weights})
    stack = q4_0.read(ledger, outline(Part(KEY, "experts", codes.shape, rounded=kept)), None).quants[KEY]
    first, second, third = matrices(stack)
    for part in (first, third):
        assert part.codes(0, 8).shape == (8, 64)
    with pytest.raises(LatticeError, match=r"is not on the Q4_0 lattice at row 10, block 1"):
        second.codes(0, 8)


@pytest.mark.parametrize("wrong", [(4, 3, 32), (3, 4, 64), (12, 32)])
def test_a_stack_of_another_shape_is_refused_with_both_shapes(tmp_path: Path, wrong: tuple[int, ...]) -> None:
    weights, _, _ = experts_of(np.random.default_rng(0), 3, 4, 32)
    part = Part(KEY, "experts" if len(wrong) == 3 else "linear", wrong, rounded="always")
    name = f"model.{part.float_key}"
    ledger = stored(tmp_path, {name: weights})
    with pytest.raises(CheckpointError) as caught:
        q4_0.read(ledger, outline(part), None)
    assert f"tensor {name} is BF16 [3, 4, 32]; config.json asks for" in str(caught.value)
    assert str(list(wrong)) in str(caught.value)


def test_rows_that_are_not_so_many_matrices_are_refused(tmp_path: Path) -> None:
    codes, scales = np.zeros((7, 8), np.int8), np.ones((7, 1), np.float32)
    found = stored(tmp_path, {"w": google_bytes(codes, 4), "s": scales}).stored
    for stack in (2, 0, -7):
        tensor = PackedMatrix(found["w"], found["s"], 8, 4, 1, stack)
        for use in (shape, lambda each: list(matrices(each))):
            with pytest.raises(ValueError, match=f"w has 7 rows, which are no {stack} matrices"):
                use(tensor)


def test_a_matrix_of_a_stack_does_not_reach_into_the_next(tmp_path: Path) -> None:
    codes = random_codes(np.random.default_rng(0), (3, 4, 8), 4)
    tensor = packed_matrix(tmp_path, codes, np.ones((3, 4, 1), np.float32), 4)
    _, second, _ = matrices(tensor)
    assert second.name == "w[1]"
    for start, stop in ((0, 5), (-1, 2), (3, 2)):
        for read in (second.codes, second.scales, second.packed):
            with pytest.raises(IndexError, match=r"of w\[1\], which has 4"):
                read(start, stop)


def test_a_lattice_matrix_without_the_axis_is_a_matrix(tmp_path: Path) -> None:
    weights, codes, scales = lattice(np.random.default_rng(0), (5, 64))
    found = q4_0.read(
        stored(tmp_path, {"model.x.weight": weights}), outline(Part("x", "linear", (5, 64), rounded="always")), None
    )
    assert isinstance(found.quants["x"], LatticeMatrix)
    assert found.quants["x"].stack is None
    check(found.quants["x"], codes, scales)
