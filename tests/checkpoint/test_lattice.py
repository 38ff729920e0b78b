"""Packing, sign conventions and dequantization on shapes that do not divide evenly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from convert.lattice import BITS, code_range, dequantize, flip_offset, pack, packed_width, unpack


@st.composite
def codes_of_a_width(draw):
    bits = draw(st.sampled_from(BITS))
    low, high = code_range(bits)
    shape = draw(st.tuples(st.integers(1, 5), st.sampled_from([1, 2, 3, 4, 5, 7, 33, 64, 65])))
    return bits, draw(arrays(np.int8, shape, elements=st.integers(low, high)))


@given(codes_of_a_width())
def test_unpacking_gives_back_what_was_packed(case):
    bits, codes = case
    packed = pack(codes, bits)
    assert packed.shape == (codes.shape[0], packed_width(codes.shape[1], bits))
    assert np.array_equal(unpack(packed, bits, codes.shape[1]), codes)


@given(codes_of_a_width())
def test_offset_binary_becomes_twos_complement_and_back(case):
    bits, codes = case
    width = 8 // bits * packed_width(codes.shape[1], bits)
    padded = np.zeros((codes.shape[0], width), np.int64)
    padded[:, : codes.shape[1]] = codes
    # Google's layout, written as transformers reads it: the first column in the lowest bits, codes stored unsigned.
    stored = padded + (1 << (bits - 1)) if bits < 8 else padded & 255
    offset = sum(stored[:, i :: 8 // bits] << (bits * i) for i in range(8 // bits)).astype(np.uint8)
    assert np.array_equal(flip_offset(offset, bits), pack(codes, bits))
    assert np.array_equal(flip_offset(flip_offset(offset, bits), bits), offset)


@pytest.mark.parametrize(("bits", "expected"), [(2, [0b01_11_10_00]), (4, [0x10, 0xFE]), (8, [0, 1, 0xFE, 0xFF])])
def test_the_first_column_lies_in_the_lowest_bits(bits, expected):
    codes = np.array([[0, -2, -1, 1] if bits == 2 else [0, 1, -2, -1]], np.int8)
    assert pack(codes, bits).tolist() == [expected]


@pytest.mark.parametrize(("bits", "code"), [(2, 2), (2, -3), (4, 8), (4, -9)])
def test_a_code_that_does_not_fit_is_refused(bits, code):
    with pytest.raises(ValueError, match=f"do not fit {bits} bits"):
        pack(np.array([[code]], np.int8), bits)


def test_each_group_of_columns_is_multiplied_by_its_own_scale():
    codes = np.array([[1, 2, 3, 4], [-1, -2, -3, -4]], np.int8)
    scales = np.array([[0.5, 2.0], [1.0, 10.0]], np.float32)
    assert dequantize(codes, scales).tolist() == [[0.5, 1.0, 6.0, 8.0], [-1.0, -2.0, -30.0, -40.0]]
