"""Recovers the Q4_0 lattice under bfloat16 weights: exactly, or not at all.

A block of 32 weights lies on the lattice when one bfloat16 number d and codes -8..7 give every weight back:
``weight == bfloat16(float32(code) * float32(d))``, rounded half to even, bit for bit. (The product is exact in float32:
4 bits times 8 bits.) Zeros are compared by value: the sign of a zero weight is not kept; it changes no product's value.

Why the search is complete: rounding is monotone, so the weight of largest magnitude, m, has the code k of largest
magnitude, and d lies where ``bfloat16(k * d) == m``. For k a power of two that is ``m / k`` alone; otherwise it is the
bfloat16 nearest to ``m / k`` or one of its two neighbours, because rounding ``k * d`` moves it by at most half a step
of m, and that, divided by k, is at most one step of d. Only k = -8..-1 need a try: (k, d) and (-k, -d) give the same
weights, and 8 is no code. Given d, a code can only be ``rint(weight / d)``: the quotient is off by less than 1/16.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convert.checkpoint.tensors import widen

BLOCK = 32
_MAGNITUDE = np.uint16(0x7FFF)
_INFINITY = 0x7F80
# ggml's quantizer gives the signed extremum the code -8, so that one comes first; the order settles ambiguous blocks.
_TRIES = tuple((k, step) for k in range(-8, 0) for step in ((0,) if k in (-8, -4, -2, -1) else (0, -1, 1)))


def round_to_bf16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Nearest bfloat16 bit patterns, half to even. Not for NaN."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def recover(blocks: NDArray[np.uint16]) -> tuple[NDArray[np.int8], NDArray[np.uint16], NDArray[np.bool_]]:
    """Codes and scales of blocks.

    Args:
        blocks: bfloat16 bit patterns ``uint16 [n, 32]``.

    Returns:
        codes ``int8 [n, 32]``, scales as bfloat16 bit patterns ``uint16 [n]``, and which blocks lie on the lattice
        ``bool [n]``; the codes and scale of a block that does not are 0. A block of zeros has scale 0. Where several
        (d, codes) fit, the extremum's code is the most negative one that does, then d the nearest to extremum / code,
        then the smaller, then the larger magnitude.
    """
    magnitudes = blocks & _MAGNITUDE
    peaks = magnitudes.argmax(axis=1)[:, None]
    extremum = np.take_along_axis(blocks, peaks, axis=1)[:, 0]
    peak = extremum & _MAGNITUDE
    codes = np.zeros(blocks.shape, np.int8)
    scales = np.zeros(len(blocks), np.uint16)
    fits = peak == 0
    left = np.flatnonzero((peak != 0) & (peak < _INFINITY))
    weights = widen(blocks)
    for k, step in _TRIES:
        if not left.size:
            break
        whole = left.size == len(blocks)
        candidate = _divide(extremum[left], k, step)
        found, good = _fit(
            weights if whole else weights[left], magnitudes if whole else magnitudes[left], widen(candidate)
        )
        if good.all():
            hit, left = left, left[:0]
        else:
            hit, left, found, candidate = left[good], left[~good], found[good], candidate[good]
        codes[hit] = found
        scales[hit] = candidate
        fits[hit] = True
    return codes, scales, fits


def _divide(extremum: NDArray[np.uint16], k: int, step: int) -> NDArray[np.uint16]:
    """The bfloat16 nearest to ``extremum / k``, moved by ``step`` in magnitude."""
    nearest = round_to_bf16(widen(extremum) / np.float32(k))
    sign, magnitude = nearest & ~_MAGNITUDE, (nearest & _MAGNITUDE).astype(np.int32)
    return sign | np.clip(magnitude + step, 0, _INFINITY).astype(np.uint16)


def _fit(
    weights: NDArray[np.float32], magnitudes: NDArray[np.uint16], scale: NDArray[np.float32]
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Codes for given scales, and whether they give every weight of the block back."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        codes = np.rint(weights / scale[:, None])
        # A code beyond the range is pulled into it, and then fails to give its weight back.
        np.clip(codes, -8, 7, out=codes)
        product = codes * scale[:, None]
        # A product has its weight's sign unless it is zero, so magnitudes decide. d = 0 or infinity fit no block here.
        same = (round_to_bf16(product) & _MAGNITUDE) == magnitudes
        return codes.astype(np.int8), same.all(axis=1)
