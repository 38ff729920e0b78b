"""Unpacking, against a bit-by-bit reading."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_tests.readers.bits import bfloat16, offset_binary, same_codes, to_bfloat16, twos_complement


@given(st.binary(min_size=1, max_size=24), st.sampled_from([2, 4, 8]))
def test_codes_are_the_bits_read_one_by_one(data: bytes, bits: int) -> None:
    number, count = int.from_bytes(data, "little"), len(data) * 8 // bits
    fields = [(number >> (bits * i)) & ((1 << bits) - 1) for i in range(count)]
    packed = np.frombuffer(data, np.uint8)[None]
    signed = [f - (1 << bits) if f >> (bits - 1) else f for f in fields]
    assert twos_complement(packed, bits, count)[0].tolist() == signed
    shifted = signed if bits == 8 else [f - (1 << (bits - 1)) for f in fields]
    assert offset_binary(packed, bits, count)[0].tolist() == shifted


@pytest.mark.parametrize(("bits", "columns", "width"), [(2, 33, 9), (4, 545, 273), (2, 830, 208)])
def test_columns_that_end_inside_a_byte_are_cut_off(bits: int, columns: int, width: int) -> None:
    assert twos_complement(np.zeros((3, width), np.uint8), bits, columns).shape == (3, columns)


def test_rows_of_the_wrong_width_are_refused() -> None:
    with pytest.raises(ValueError, match="8 bytes a row do not hold 33 columns of 2 bits"):
        twos_complement(np.zeros((3, 8), np.uint8), 2, 33)


def test_rounding_to_bfloat16_is_torchs() -> None:
    import torch

    values = np.random.default_rng(0).integers(0, 1 << 32, 100_000, np.uint64).astype(np.uint32).view(np.float32)
    values = values[np.isfinite(values) & (np.abs(values) < 3e38)]
    expected = torch.from_numpy(values).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    assert np.array_equal(to_bfloat16(values), expected)


def test_widening_bfloat16_is_exact() -> None:
    patterns = np.arange(0x7F80, dtype=np.uint16)
    assert np.array_equal(to_bfloat16(bfloat16(patterns)), patterns)


@given(st.binary(min_size=1, max_size=24), st.sampled_from([2, 4, 8]), st.integers(0, 8 * 24 - 1))
def test_packed_bytes_are_compared_code_by_code(data: bytes, bits: int, flipped: int) -> None:
    packed = np.frombuffer(data, np.uint8)[None]
    count = packed.size * 8 // bits
    codes = offset_binary(packed, bits, count)
    bytes_of = np.zeros((1, packed.size), np.uint8)
    for i, code in enumerate(codes[0]):  # two's complement, low bits first
        bytes_of[0, i * bits // 8] |= (int(code) & ((1 << bits) - 1)) << (i * bits % 8)
    assert same_codes(bytes_of, packed, bits)
    bytes_of[0, flipped // 8 % packed.size] ^= 1 << flipped % 8
    assert not same_codes(bytes_of, packed, bits)
    assert not same_codes(bytes_of[:, 1:], packed, bits)
