"""Unpacking of sub-byte integers.

Both layouts put the first column into the lowest bits of a byte. TFLite stores two's complement (schema.fbs, INT4 and
INT2 are "packed, low bits first"); Google's checkpoints store ``code + 2**(bits-1)`` (transformers, gemma_quant.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fields(packed: NDArray[np.uint8], bits: int, columns: int) -> NDArray[np.uint8]:
    """Splits bytes ``uint8 [rows, width]`` into unsigned fields ``uint8 [rows, columns]`` of 2, 4 or 8 bits.

    Raises:
        ValueError: the bytes of a row are not as many as the columns need.
    """
    if packed.shape[1] != (columns * bits + 7) // 8:
        raise ValueError(f"{packed.shape[1]} bytes a row do not hold {columns} columns of {bits} bits")
    if bits == 8:
        return packed
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    spread = (packed[:, :, None] >> shifts) & np.uint8((1 << bits) - 1)
    return spread.reshape(packed.shape[0], -1)[:, :columns]


def twos_complement(packed: NDArray[np.uint8], bits: int, columns: int) -> NDArray[np.int8]:
    """Codes of TFLite's packing, ``int8 [rows, columns]``.

    >>> twos_complement(np.array([[0b11_10_01_00]], np.uint8), 2, 4).tolist()
    [[0, 1, -2, -1]]
    """
    unsigned = fields(packed, bits, columns)
    if bits == 8:
        return unsigned.view(np.int8)
    sign = np.int8(1 << (bits - 1))
    return (unsigned.view(np.int8) ^ sign) - sign


def offset_binary(packed: NDArray[np.uint8], bits: int, columns: int) -> NDArray[np.int8]:
    """Codes of the checkpoint's packing, ``int8 [rows, columns]``; 8-bit codes are stored plainly.

    >>> offset_binary(np.array([[0b11_10_01_00]], np.uint8), 2, 4).tolist()
    [[-2, -1, 0, 1]]
    """
    unsigned = fields(packed, bits, columns)
    return unsigned.view(np.int8) if bits == 8 else unsigned.view(np.int8) - np.int8(1 << (bits - 1))


def bfloat16(patterns: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bfloat16 bit patterns widened to float32, exactly."""
    return (patterns.astype(np.uint32) << 16).view(np.float32)


def to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """float32 rounded to bfloat16 bit patterns, half to even. Finite values only.

    >>> to_bfloat16(np.array([1.0, 1.00390625, 1.01171875], np.float32)).tolist()  # the halves go to even
    [16256, 16256, 16258]
    """
    word = np.ascontiguousarray(values).view(np.uint32)
    return ((word + (0x7FFF + ((word >> 16) & 1))) >> 16).astype(np.uint16)
