"""Unpacking of sub-byte integers.

Both layouts put the first column into the lowest bits of a byte. TFLite stores two's complement (schema.fbs, INT4 and
INT2 are "packed, low bits first"); Google's checkpoints store ``code + 2**(bits-1)`` (transformers, gemma_quant.py).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray


def fields(packed: NDArray[np.uint8], bits: int, columns: int) -> NDArray[np.uint8]:
    """Splits bytes ``uint8 [rows, width]`` into unsigned fields ``uint8 [rows, columns]`` of 2, 4 or 8 bits.

    Raises:
        ValueError: the bytes of a row are not as many as the columns need.
    """
    return _spread(packed, bits, columns, 0)


def twos_complement(packed: NDArray[np.uint8], bits: int, columns: int) -> NDArray[np.int8]:
    """Codes of TFLite's packing, ``int8 [rows, columns]``.

    >>> twos_complement(np.array([[0b11_10_01_00]], np.uint8), 2, 4).tolist()
    [[0, 1, -2, -1]]
    """
    return _spread(packed, bits, columns, 1 << (bits - 1) if bits < 8 else 0).view(np.int8)


def offset_binary(packed: NDArray[np.uint8], bits: int, columns: int) -> NDArray[np.int8]:
    """Codes of the checkpoint's packing, ``int8 [rows, columns]``; 8-bit codes are stored plainly.

    >>> offset_binary(np.array([[0b11_10_01_00]], np.uint8), 2, 4).tolist()
    [[-2, -1, 0, 1]]
    """
    if bits == 8:
        return fields(packed, bits, columns).view(np.int8)
    return twos_complement(packed ^ np.uint8(_signs(bits)), bits, columns)


def same_codes(complement: NDArray[np.uint8], offset: NDArray[np.uint8], bits: int) -> bool:
    """Whether bytes in TFLite's packing and bytes in the checkpoint's hold the same codes, all of them.

    The two differ in the top bit of each code and in nothing else.

    >>> same_codes(np.array([0b01_00_11_10], np.uint8), np.array([0b11_10_01_00], np.uint8), 2)
    True
    """
    if complement.size != offset.size:
        return False
    return bool(np.array_equal(complement.reshape(-1) ^ np.uint8(_signs(bits)), offset.reshape(-1)))


def _signs(bits: int) -> int:
    """A byte with the top bit of each code set; 0 for codes of 8 bits, which both store plainly."""
    return {2: 0b10101010, 4: 0b10001000, 8: 0}[bits]


def _spread(packed: NDArray[np.uint8], bits: int, columns: int, sign: int) -> NDArray[np.uint8]:
    if packed.shape[1] != (columns * bits + 7) // 8:
        raise ValueError(f"{packed.shape[1]} bytes a row do not hold {columns} columns of {bits} bits")
    if bits == 8:
        return packed
    wide = _table(bits, sign).take(packed)  # one look-up a byte instead of several shifts
    return wide.view(np.uint8).reshape(packed.shape[0], -1)[:, :columns]


@cache
def _table(bits: int, sign: int) -> NDArray[np.unsignedinteger]:
    """The codes of every byte, a word of one byte a code; ``sign``: the bit that makes a code negative, or 0."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    unsigned = (np.arange(256, dtype=np.uint8)[:, None] >> shifts) & np.uint8((1 << bits) - 1)
    codes = np.ascontiguousarray((unsigned ^ np.uint8(sign)) - np.uint8(sign))
    return codes.view({2: np.uint32, 4: np.uint16}[bits])[:, 0]


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
