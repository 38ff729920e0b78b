"""Packing, sign conventions and dequantization on shapes that do not divide evenly, of matrices and stacks of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from convert.lattice import BITS, code_range, dequantize, flip_offset, pack, packed_width, unpack

ROWS, COLUMNS = st.integers(1, 5), st.sampled_from([1, 2, 3, 4, 5, 7, 33, 64, 65])
SHAPES = st.one_of(st.tuples(ROWS, COLUMNS), st.tuples(st.integers(1, 3), ROWS, COLUMNS))


@st.composite
def codes_of_a_width(draw):
    bits = draw(st.sampled_from(BITS))
    low, high = code_range(bits)
    return bits, draw(arrays(np.int8, draw(SHAPES), elements=st.integers(low, high)))


@given(codes_of_a_width())
def test_unpacking_gives_back_what_was_packed(case):
    bits, codes = case
    packed = pack(codes, bits)
    assert packed.shape == (*codes.shape[:-1], packed_width(codes.shape[-1], bits))
    assert np.array_equal(unpack(packed, bits, codes.shape[-1]), codes)


@given(codes_of_a_width())
def test_a_stack_has_the_bytes_of_its_matrices_one_after_the_other(case):
    bits, codes = case
    tall = codes.reshape(-1, codes.shape[-1])
    assert pack(codes, bits).tobytes() == pack(tall, bits).tobytes()
    assert np.array_equal(unpack(pack(tall, bits), bits, codes.shape[-1]), tall)


@given(codes_of_a_width())
def test_offset_binary_becomes_twos_complement_and_back(case):
    bits, codes = case
    width = 8 // bits * packed_width(codes.shape[-1], bits)
    padded = np.zeros((*codes.shape[:-1], width), np.int64)
    padded[..., : codes.shape[-1]] = codes
    # Google's layout, written as transformers reads it: the first column in the lowest bits, codes stored unsigned.
    stored = padded + (1 << (bits - 1)) if bits < 8 else padded & 255
    offset = sum(stored[..., i :: 8 // bits] << (bits * i) for i in range(8 // bits)).astype(np.uint8)
    assert np.array_equal(flip_offset(offset, bits), pack(codes, bits))
    assert np.array_equal(flip_offset(flip_offset(offset, bits), bits), offset)


@pytest.mark.parametrize(("bits", "expected"), [(2, [0b01_11_10_00]), (4, [0x10, 0xFE]), (8, [0, 1, 0xFE, 0xFF])])
def test_the_first_column_lies_in_the_lowest_bits(bits, expected):
    codes = np.array([[0, -2, -1, 1] if bits == 2 else [0, 1, -2, -1]], np.int8)
    assert pack(codes, bits).tolist() == [expected]
    assert pack(codes[None], bits).tolist() == [[expected]]


@pytest.mark.parametrize(("bits", "code"), [(2, 2), (2, -3), (4, 8), (4, -9)])
def test_a_code_that_does_not_fit_is_refused(bits, code):
    with pytest.raises(ValueError, match=f"do not fit {bits} bits"):
        pack(np.array([[code]], np.int8), bits)


def test_each_group_of_columns_is_multiplied_by_its_own_scale():
    codes = np.array([[1, 2, 3, 4], [-1, -2, -3, -4]], np.int8)
    scales = np.array([[0.5, 2.0], [1.0, 10.0]], np.float32)
    assert dequantize(codes, scales).tolist() == [[0.5, 1.0, 6.0, 8.0], [-1.0, -2.0, -30.0, -40.0]]
    assert dequantize(codes[:, None], scales[:, None]).tolist() == [[[0.5, 1, 6, 8]], [[-1, -2, -30, -40]]]


@st.composite
def codes_and_scales(draw):
    bits, groups, width = draw(st.sampled_from(BITS)), draw(st.integers(1, 5)), draw(st.integers(1, 9))
    low, high = code_range(bits)
    *rows, _ = draw(SHAPES)
    codes = draw(arrays(np.int8, (*rows, groups * width), elements=st.integers(low, high)))
    return codes, draw(arrays(np.float32, (*rows, groups), elements=st.floats(-4, 4, width=32)))


@given(codes_and_scales())
def test_every_weight_is_its_code_times_the_scale_of_its_group(case):
    codes, scales = case
    expected = codes.astype(np.float32) * np.repeat(scales, codes.shape[-1] // scales.shape[-1], axis=-1)
    assert np.array_equal(dequantize(codes, scales), expected)


@pytest.mark.parametrize("bits", [0, 1, 3, 16])
def test_codes_of_other_widths_are_refused(bits):
    codes = np.zeros((2, 8), np.int8)
    for use in (lambda: pack(codes, bits), lambda: unpack(codes.view(np.uint8), bits, 8)):
        with pytest.raises(ValueError, match=f"2, 4 or 8 bits, not {bits}"):
            use()


@pytest.mark.parametrize("lead", [(), (3,)])
def test_bytes_that_are_not_those_of_so_many_columns_are_refused(lead):
    for width in (1, 3):
        with pytest.raises(ValueError, match=rf"{width}\] are no rows of 4 codes of 4 bits"):
            unpack(np.zeros((*lead, 2, width), np.uint8), 4, 4)
    with pytest.raises(ValueError, match=r"\[8\] are no rows"):
        unpack(np.zeros(8, np.uint8), 8, 8)
    with pytest.raises(ValueError, match=r"codes \[8\] are no matrix"):
        pack(np.zeros(8, np.int8), 8)


@pytest.mark.parametrize(
    ("codes", "scales", "words"),
    [
        ((2, 4), (3, 1), "do not have scales"),
        ((2, 4), (2, 0), "do not have scales"),
        ((3, 2, 4), (2, 1), "do not have scales"),
        ((3, 2, 4), (1, 2, 1), "do not have scales"),
        ((6, 4), (3, 2, 1), "do not have scales"),
        ((4,), (1,), "do not have scales"),
        ((2, 4), (2, 3), "3 scales do not share 4 columns"),
        ((3, 2, 4), (3, 2, 8), "8 scales do not share 4 columns"),
    ],
)
def test_scales_that_do_not_go_with_the_codes_are_refused(codes, scales, words):
    with pytest.raises(ValueError, match=words):
        dequantize(np.zeros(codes, np.int8), np.ones(scales, np.float32))
