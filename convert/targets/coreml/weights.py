"""Weights as constants of a program: the checkpoint's codes, and scales that lose nothing.

A float16 program multiplies float16 weights, and ``code * scale`` does not fit a float16 in general. But ``code * 2^k``
does, exactly. So a row's scale s is split: ``2^k``, the largest power of two not above it, stays with the codes, and
the gain ``s / 2^k``, from 1 to 2 and exact in float32, multiplies the product. Scales of q4_0 blocks cannot leave
the product's sum; they are bfloat16 numbers, of which float16 holds those whose exponent it has. One power of two
for the whole matrix, its gain, moves them there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.checkpoint.rows import check_finite, row_blocks
from convert.checkpoint.types import FloatTensor
from convert.errors import CheckpointError, PlanError
from convert.lattice import QuantTensor, flip_offset, packed_width
from convert.targets.coreml.blob import Chunks
from convert.targets.coreml.graph import Function, Value

# Powers of two whose product with any code is exact in float16: 2^-14 is its smallest normal number, and 128 * 2^7
# stays far below its largest.
LOWEST, HIGHEST = -14, 7
_LUT = np.array([-2, -1, 0, 1], np.float32)
_LAST_BIT, _LARGEST = -24, 65504.0  # of float16: exponent of its smallest step, and its largest number
_HIGHEST_BLOCK = 12  # a block scale below 2^12 times a code of -8 is below 2^15

Described = tuple[str, tuple[int, ...], Chunks]


@dataclass(frozen=True)
class Weight:
    """A matrix ``[out, in]`` in a program; the product has to be multiplied by ``gain`` (``[out]`` or ``[1]``)."""

    value: Value
    gain: Value | None


def quantized(function: Function, tensor: QuantTensor, key: str, product: str, work: str) -> Weight:
    """A quantized matrix.

    Args:
        product: type that the matrix is multiplied in, ``float16`` or ``float32``.
        work: type of the gain.

    Raises:
        PlanError: block scales of the matrix span more than float16 can hold.
    """
    return function.once(("weight", key), lambda: _quantized(function, tensor, key, product, work))


def _quantized(function: Function, tensor: QuantTensor, key: str, product: str, work: str) -> Weight:
    program, shape = function.program, (tensor.rows, tensor.columns)
    kept: list[tuple[NDArray[np.float32], NDArray[np.float32] | None]] = []

    def scales() -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        if not kept:  # asked for by up to three records of a new weight; a later function finds them made
            kept.append(split(tensor, product))
        return kept[0]

    name = f"{key}.weight"
    if tensor.bits == 2:
        dtype = "uint2"
        inputs = {
            "indices": program.blob(f"{name}.codes", lambda: (dtype, shape, _indices(tensor))),
            "lut": program.blob(f"{name}.lut", lambda: _small((scales()[0] * _LUT).reshape(-1, 1, 4, 1), product)),
        }
        value = function.op("constexpr_lut_to_dense", inputs, shape, product, name)
    else:
        dtype = f"int{tensor.bits}"
        inputs = {
            "data": program.blob(f"{name}.codes", lambda: (dtype, shape, _codes(tensor))),
            "scale": program.blob(f"{name}.scale", lambda: _small(scales()[0], product)),
        }
        value = function.op("constexpr_blockwise_shift_scale", inputs, shape, product, name)
    gain = f"{key}.gain"
    if gain not in program.storage.blobs and (kept or product == "float16"):
        factors = scales()[1]
        if factors is not None:
            program.blob(gain, lambda: _small(factors, work))
    if gain not in program.storage.blobs:
        return Weight(value, None)
    return Weight(value, function.weight(gain, program.storage.blobs[gain]))


def split(tensor: QuantTensor, product: str) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Scales ``[out, groups]`` that the type holds exactly, and the gain ``[out]`` or ``[1]``, or None for 1.

    Raises:
        PlanError: see ``quantized``.
    """
    scales = np.empty((tensor.rows, tensor.groups), np.float32)
    for start, stop in row_blocks(tensor.rows, tensor.columns * 2):
        scales[start:stop] = tensor.scales(start, stop)
    if product == "float32":
        return scales, None
    if tensor.groups == 1:
        powers = np.clip(np.frexp(scales)[1] - 1, LOWEST, HIGHEST)
        whole = np.ldexp(np.float32(1), powers).astype(np.float32)
        return whole, (scales / whole)[:, 0]
    factor = _factor(tensor.name, np.abs(scales[scales != 0]))
    moved = scales / factor
    return moved, None if factor == 1 else np.array([factor], np.float32)


def _factor(name: str, sizes: NDArray[np.float32]) -> np.float32:
    """The power of two that block scales are divided by: 1 where float16 holds them as they are."""
    if not sizes.size or _held(sizes):
        return np.float32(1)
    # No further than needed: what the scales grow by, the product grows by too, until the gain takes it back.
    significand, exponent = np.frexp(sizes)
    whole = np.ldexp(significand, 24).astype(np.int64)
    last_bit = exponent - 24 + np.log2(whole & -whole).astype(np.int64)
    move = min(0, int(last_bit.min()) - _LAST_BIT) or max(0, int(exponent.max()) - _HIGHEST_BLOCK)
    factor = np.float32(2.0) ** np.float32(move)
    if not _held(sizes / factor):
        found = f"its block scales reach from {sizes.min():.3g} to {sizes.max():.3g}"
        advice = "float16 cannot hold them exactly, whatever power of two they are moved by; use --precision float32"
        raise PlanError(f"lower {name} to Core ML", found, advice)
    return factor


def _held(sizes: NDArray[np.float32]) -> bool:
    """Whether float16 holds the numbers and their products with the codes -8..7 exactly."""
    # An 8-bit significand times a 3-bit code takes 11 bits, which float16 has for normal numbers; below, for multiples
    # of its smallest step.
    return bool(sizes.max() * 8 <= _LARGEST and (np.remainder(sizes, np.float32(2.0**_LAST_BIT)) == 0).all())


def _small(array: NDArray[np.float32], dtype: str) -> Described:
    content = np.ascontiguousarray(array.astype(dtype))
    return dtype, array.shape, lambda: iter((content,))


def _codes(tensor: QuantTensor) -> Chunks:
    def chunks() -> Iterator[NDArray[np.uint8]]:
        for start, stop in row_blocks(tensor.rows, packed_width(tensor.columns, 8)):
            yield np.ascontiguousarray(tensor.packed(start, stop))

    return chunks


def _indices(tensor: QuantTensor) -> Chunks:
    """Codes counted from the lowest: offset binary, as the checkpoint packs them."""

    def chunks() -> Iterator[NDArray[np.uint8]]:
        for start, stop in row_blocks(tensor.rows, packed_width(tensor.columns, 2)):
            yield np.ascontiguousarray(flip_offset(tensor.packed(start, stop), 2))

    return chunks


def floats(function: Function, tensor: FloatTensor, name: str, dtype: str) -> Value:
    """A float parameter as a constant.

    Raises:
        CheckpointError: while streaming, when a number is not finite, or too large for float16.
    """
    shape = tensor.shape
    blob = function.program.blob(name, lambda: (dtype, shape, _floats(tensor, dtype)))
    return function.weight(name, blob)


def _floats(tensor: FloatTensor, dtype: str) -> Chunks:
    def chunks() -> Iterator[NDArray[Any]]:
        for start, stop in row_blocks(tensor.shape[0], 4 * int(np.prod(tensor.shape[1:]))):
            rows = np.ascontiguousarray(tensor.float32(start, stop))
            check_finite(tensor, start, rows)
            if dtype == "float16" and (np.abs(rows) > _LARGEST).any():
                found = f"it holds {np.abs(rows).max():.6g}, which float16 cannot"
                raise CheckpointError(f"convert {tensor.name}", found, "Use --precision float32")
            yield rows.astype(dtype)

    return chunks
