"""Integers on a grid: codes, scales, packing. numpy only.

A quantized matrix is ``value[r, c] = code[r, c] * scale[r, c // (columns / groups)]``: symmetric, no zero point.
Codes are two's complement numbers of 2, 4 or 8 bits: -2..1, -8..7, -128..127.

Two packings occur. Both put the lowest-numbered column into the lowest bits of a byte and start each row on a new byte.

* offset binary, in Google's checkpoints: the stored nibble is ``code + 8``, the stored crumb ``code + 2``
  (transformers, ``integrations/gemma_quant.py``); int8 is stored plainly.
* two's complement, in TFLite and Core ML: the stored nibble is ``code & 15``, the stored crumb ``code & 3``.

They differ by the top bit of each code alone, so one XOR turns one into the other.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

BITS = (2, 4, 8)
_SIGN_BITS = {2: 0xAA, 4: 0x88, 8: 0x00}


@runtime_checkable
class QuantTensor(Protocol):
    """A quantized matrix that is read by rows, so that none has to fit in memory at once."""

    @property
    def name(self) -> str:
        """Name of the tensor in the checkpoint, for messages."""
        ...

    @property
    def rows(self) -> int: ...

    @property
    def columns(self) -> int: ...

    @property
    def bits(self) -> int:
        """2, 4 or 8."""
        ...

    @property
    def groups(self) -> int:
        """Scales per row: 1 is per-channel, ``columns // 32`` is block-32."""
        ...

    def packed(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Rows ``start:stop`` as two's complement bytes, ``uint8 [stop-start, ceil(columns*bits/8)]``."""
        ...

    def codes(self, start: int, stop: int) -> NDArray[np.int8]:
        """Rows ``start:stop`` unpacked, ``int8 [stop-start, columns]``."""
        ...

    def scales(self, start: int, stop: int) -> NDArray[np.float32]:
        """Scales of rows ``start:stop``, ``float32 [stop-start, groups]``."""
        ...


def code_range(bits: int) -> tuple[int, int]:
    """Smallest and largest code of a width.

    >>> code_range(4)
    (-8, 7)
    """
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def packed_width(columns: int, bits: int) -> int:
    """Bytes that one packed row takes."""
    return -(-columns * bits // 8)


def flip_offset(packed: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Turns offset-binary bytes into two's complement bytes, or back. int8 is unchanged."""
    mask = _SIGN_BITS[bits]
    return packed if mask == 0 else np.bitwise_xor(packed, np.uint8(mask))


def unpack(packed: NDArray[np.uint8], bits: int, columns: int) -> NDArray[np.int8]:
    """Two's complement bytes ``[rows, width]`` to codes ``int8 [rows, columns]``."""
    if bits == 8:
        return packed.view(np.int8)[:, :columns]
    per_byte = 8 // bits
    out = np.empty((packed.shape[0], packed.shape[1] * per_byte), np.int8)
    for i in range(per_byte):
        # Shift the code to the top of the byte, then arithmetic-shift it down: that extends the sign.
        out[:, i::per_byte] = np.left_shift(packed, 8 - bits * (i + 1)).view(np.int8) >> (8 - bits)
    return out[:, :columns]


def pack(codes: NDArray[np.int8], bits: int) -> NDArray[np.uint8]:
    """Codes ``int8 [rows, columns]`` to two's complement bytes; the last byte of a row is filled with zero codes.

    Raises:
        ValueError: a code does not fit the width.
    """
    low, high = code_range(bits)
    if codes.size and (codes.min() < low or codes.max() > high):
        raise ValueError(f"codes {codes.min()}..{codes.max()} do not fit {bits} bits")
    if bits == 8:
        return np.ascontiguousarray(codes).view(np.uint8)
    per_byte = 8 // bits
    width = packed_width(codes.shape[1], bits)
    padded = np.zeros((codes.shape[0], width * per_byte), np.uint8)
    padded[:, : codes.shape[1]] = codes.view(np.uint8) & ((1 << bits) - 1)
    out = np.zeros((codes.shape[0], width), np.uint8)
    for i in range(per_byte):
        out |= padded[:, i::per_byte] << (bits * i)
    return out


def dequantize(codes: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """``code * scale`` in float32, with the scales ``[rows, groups]`` repeated along the columns."""
    rows, columns = codes.shape
    grouped = codes.reshape(rows, scales.shape[1], -1).astype(np.float32) * scales[:, :, None]
    return grouped.reshape(rows, columns)
