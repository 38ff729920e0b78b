"""Recovery of the Q4_0 lattice, against a search through every bfloat16 scale there is."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from convert.checkpoint.recover import recover, round_to_bf16
from convert.checkpoint.tensors import widen

BF16 = ml_dtypes.bfloat16
ALL = np.arange(1 << 16, dtype=np.uint16)
FINITE = ALL[(ALL & 0x7F80) != 0x7F80]


def weights(codes, scale):
    """bfloat16 bits of one block, by ml_dtypes' own rounding."""
    with np.errstate(over="ignore"):
        return (np.asarray(codes, np.float32) * scale.astype(np.float32)).astype(BF16).view(np.uint16)


def block(*codes):
    return np.resize(np.array(codes, np.int8), 32)


def one(bits):
    codes, scales, fits = recover(bits[None])
    return codes[0], scales[0], bool(fits[0])


def same_values(left, right):
    return np.array_equal(left.view(BF16).astype(np.float32), right.view(BF16).astype(np.float32))


def exists(bits):
    """Do any scale and codes at all give the block? Tries every one of the 65,280 finite scales."""
    distinct = np.unique(np.where(bits == 0x8000, 0, bits).astype(np.uint16))
    with np.errstate(over="ignore"):
        table = (np.arange(-8, 8, dtype=np.float32)[:, None] * widen(FINITE)).astype(BF16).view(np.uint16)
    table = np.where(table == 0x8000, 0, table)
    return bool(np.all([(table == value).any(axis=0) for value in distinct], axis=0).any())


def check(bits):
    """Recovery and exhaustive search agree, and what is recovered gives the block back."""
    codes, scale, fits = one(bits)
    assert fits == exists(bits)
    if fits:
        assert same_values(weights(codes, scale.view(BF16)), bits)
        assert codes.min() >= -8
        assert codes.max() <= 7


scales = st.sampled_from(FINITE.tolist()).map(lambda bits: np.uint16(bits).view(BF16))


def test_rounding_is_half_to_even_like_ml_dtypes_everywhere_but_nan():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 1 << 32, 200_000, dtype=np.uint64).astype(np.uint32)
    ties = (ALL.astype(np.uint32) << 16) | 0x8000
    for bits in (values, ties, ties + 1, ties - 1):
        floats = bits.view(np.float32)
        floats = floats[~np.isnan(floats)]
        with np.errstate(over="ignore"):
            assert np.array_equal(round_to_bf16(floats), floats.astype(BF16).view(np.uint16))


@settings(max_examples=300)
@given(arrays(np.int8, 32, elements=st.integers(-8, 7)), scales)
def test_every_block_on_a_lattice_is_recovered(codes, scale):
    bits = weights(codes, scale)
    if np.isfinite(bits.view(BF16).astype(np.float32)).all():
        got, d, fits = one(bits)
        assert fits
        assert same_values(weights(got, d.view(BF16)), bits)


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(-8, 7), min_size=1, max_size=4), scales, st.integers(-1, 1))
def test_blocks_of_few_distinct_values_agree_with_an_exhaustive_search(codes, scale, nudge):
    bits = weights(block(*sorted(codes)), scale)
    bits[0] = np.uint16(max(0, min(0x7F7F, (int(bits[0]) & 0x7FFF) + nudge)) | (int(bits[0]) & 0x8000))
    if ((bits & 0x7F80) != 0x7F80).all():
        check(bits)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(FINITE.tolist()), min_size=1, max_size=3))
def test_arbitrary_values_agree_with_an_exhaustive_search(values):
    check(np.resize(np.array(values, np.uint16), 32))


@pytest.mark.parametrize("peak", range(1, 9))
def test_every_mantissa_is_recovered_whatever_code_the_extremum_has(peak):
    for mantissa in range(0x3F80, 0x4000):
        for sign in (0, 0x8000):
            scale = np.uint16(mantissa | sign).view(BF16)
            codes = block(-peak, peak - 1, 0)
            got, d, fits = one(weights(codes, scale))
            assert fits
            assert same_values(weights(got, d.view(BF16)), weights(codes, scale))


def test_the_extremum_gets_the_code_minus_8_when_it_can():
    for scale in (BF16(0.01), BF16(-0.01)):
        codes, d, fits = one(weights(block(-8, 7, 3, 0), scale))
        assert fits
        assert np.array_equal(codes, block(-8, 7, 3, 0))
        assert d.view(BF16) == scale


def test_a_block_of_one_value_takes_it_for_minus_8():
    codes, d, fits = one(np.full(32, np.array(0.5, BF16).view(np.uint16)))
    assert fits
    assert (codes == -8).all()
    assert float(d.view(BF16)) == -0.0625


def test_opposite_extrema_cannot_be_minus_8_and_are_found_all_the_same():
    codes, d, fits = one(weights(block(7, -7, 3), BF16(0.01)))
    assert fits
    assert same_values(weights(codes, d.view(BF16)), weights(block(7, -7, 3), BF16(0.01)))
    assert abs(codes).max() == 7


@pytest.mark.parametrize("zero", [0x0000, 0x8000])
def test_a_block_of_zeros_has_codes_and_scale_zero(zero):
    codes, d, fits = one(np.full(32, zero, np.uint16))
    assert fits
    assert not codes.any()
    assert d == 0


def test_the_sign_of_a_zero_does_not_matter():
    bits = weights(block(-8, 0, 3), BF16(0.25))
    signed = bits ^ np.where(bits & 0x7FFF, 0, 0x8000).astype(np.uint16)
    assert (signed != bits).any()
    for left, right in zip(one(bits), one(signed), strict=True):
        assert np.array_equal(left, right)


@pytest.mark.parametrize("bits", [0x0001, 0x0003, 0x007F, 0x0080, 0x7DFF])
def test_the_smallest_and_largest_scales_are_recovered(bits):
    scale = np.uint16(bits).view(BF16)
    for codes in (block(-8, 7, 1, 0), block(-7, 7, 2), block(1, 0), block(3, -1)):
        made = weights(codes, scale)
        got, d, fits = one(made)
        assert fits
        assert same_values(weights(got, d.view(BF16)), made)


@pytest.mark.parametrize("bad", [0x7F80, 0xFF80, 0x7FC0, 0xFFFF])
def test_infinity_and_nan_are_on_no_lattice(bad):
    bits = weights(block(-8, 7), BF16(0.5))
    bits[9] = bad
    assert not one(bits)[2]
    assert not one(np.full(32, bad, np.uint16))[2]


def test_any_flipped_bit_that_leaves_the_lattice_is_noticed():
    rng = np.random.default_rng(3)
    bits = weights(np.r_[-8, rng.integers(-8, 8, 31)], BF16(0.0123))
    left = 0
    for column in range(32):
        for bit in range(16):
            flipped = bits.copy()
            flipped[column] ^= np.uint16(1 << bit)
            codes, d, fits = one(flipped)
            if fits:
                assert same_values(weights(codes, d.view(BF16)), flipped)
            left += not fits
    assert left > 400  # the others are zeros whose sign flipped, or land on another code


def test_good_and_bad_blocks_are_told_apart_in_one_call():
    good, bad = weights(block(-8, 5, 1), BF16(0.3)), np.linspace(1, 2, 32).astype(BF16).view(np.uint16)
    odd = weights(block(-5, 3), BF16(0.3))
    codes, scales_found, fits = recover(np.stack([good, bad, np.zeros(32, np.uint16), odd, bad, good]))
    assert fits.tolist() == [True, False, True, True, False, True]
    assert not codes[1].any()
    assert scales_found[4] == 0
    assert np.array_equal(codes[0], codes[5])
    assert same_values(weights(codes[3], scales_found[3].view(BF16)), odd)
