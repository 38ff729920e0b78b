"""Integers on a grid: codes, scales, packing. numpy only.

A quantized matrix is ``value[r, c] = code[r, c] * scale[r, c // (columns / groups)]``: symmetric, no zero point.
Codes are two's complement numbers of 2, 4 or 8 bits: -2..1, -8..7, -128..127.

Experts are a stack of such matrices, with an axis in front: ``[experts, rows, columns]``. Rows are packed one by one,
so a stack has the bytes of one tall matrix, ``[experts * rows, columns]``, and is read like that.

Two packings occur. Both put the lowest-numbered column into the lowest bits of a byte and start each row on a new byte.

* offset binary, in Google's checkpoints: the stored nibble is ``code + 8``, the stored crumb ``code + 2``
  (transformers, ``integrations/gemma_quant.py``); int8 is stored plainly.
* two's complement, in TFLite and Core ML: the stored nibble is ``code & 15``, the stored crumb ``code & 3``.

They differ by the top bit of each code alone, so one XOR turns one into the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

BITS = (2, 4, 8)
_SIGN_BITS = {2: 0xAA, 4: 0x88, 8: 0x00}


@runtime_checkable
class QuantTensor(Protocol):
    """A quantized matrix, or a stack of them, that is read by rows, so that none has to fit in memory at once."""

    @property
    def name(self) -> str:
        """Name of the tensor in the checkpoint, for messages."""
        ...

    @property
    def stack(self) -> int | None:
        """How many matrices of one shape lie in it, one after the other; None: it is one matrix, without that axis."""
        ...

    @property
    def rows(self) -> int:
        """Rows of all matrices together."""
        ...

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


def shape(tensor: QuantTensor) -> tuple[int, ...]:
    """``[rows, columns]``, or of a stack ``[experts, rows of each, columns]``.

    Raises:
        ValueError: its rows cannot be dealt out to its matrices.
    """
    if tensor.stack is None:
        return tensor.rows, tensor.columns
    if tensor.stack < 1 or tensor.rows % tensor.stack:
        raise ValueError(f"{tensor.name} has {tensor.rows} rows, which are no {tensor.stack} matrices")
    return tensor.stack, tensor.rows // tensor.stack, tensor.columns


def matrices(tensor: QuantTensor) -> Iterator[QuantTensor]:
    """The matrices of a stack in order, each read by rows of its own; a matrix gives itself.

    Raises:
        ValueError: as :func:`shape`.
    """
    found = shape(tensor)
    if len(found) == 2:
        yield tensor
        return
    for number in range(found[0]):
        yield Slice(tensor, number, found[1])


@dataclass(frozen=True)
class Slice:
    """One matrix of a stack, as a ``QuantTensor``."""

    whole: QuantTensor
    number: int
    rows: int

    @property
    def name(self) -> str:
        return f"{self.whole.name}[{self.number}]"

    @property
    def stack(self) -> int | None:
        return None

    @property
    def columns(self) -> int:
        return self.whole.columns

    @property
    def bits(self) -> int:
        return self.whole.bits

    @property
    def groups(self) -> int:
        return self.whole.groups

    def packed(self, start: int, stop: int) -> NDArray[np.uint8]:
        return self.whole.packed(*self._within(start, stop))

    def codes(self, start: int, stop: int) -> NDArray[np.int8]:
        return self.whole.codes(*self._within(start, stop))

    def scales(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.whole.scales(*self._within(start, stop))

    def _within(self, start: int, stop: int) -> tuple[int, int]:
        if not 0 <= start <= stop <= self.rows:
            raise IndexError(f"rows {start}:{stop} of {self.name}, which has {self.rows}")
        return self.number * self.rows + start, self.number * self.rows + stop


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
    """Two's complement bytes ``[..., rows, width]`` to codes ``int8 [..., rows, columns]``.

    Raises:
        ValueError: so many columns do not take so many bytes.
    """
    _check_bits(bits)
    if packed.ndim < 2 or packed.shape[-1] != packed_width(columns, bits):
        raise ValueError(f"bytes {list(packed.shape)} are no rows of {columns} codes of {bits} bits")
    if bits == 8:
        return packed.view(np.int8)
    per_byte = 8 // bits
    out = np.empty((*packed.shape[:-1], packed.shape[-1] * per_byte), np.int8)
    for i in range(per_byte):
        # Shift the code to the top of the byte, then arithmetic-shift it down: that extends the sign.
        out[..., i::per_byte] = np.left_shift(packed, 8 - bits * (i + 1)).view(np.int8) >> (8 - bits)
    return out[..., :columns]


def pack(codes: NDArray[np.int8], bits: int) -> NDArray[np.uint8]:
    """Codes ``int8 [..., rows, columns]`` to two's complement bytes; a row's last byte is filled with zero codes.

    Raises:
        ValueError: a code does not fit the width, or they are no matrix.
    """
    _check_bits(bits)
    low, high = code_range(bits)
    if codes.ndim < 2:
        raise ValueError(f"codes {list(codes.shape)} are no matrix")
    if codes.size and (codes.min() < low or codes.max() > high):
        raise ValueError(f"codes {codes.min()}..{codes.max()} do not fit {bits} bits")
    if bits == 8:
        return np.ascontiguousarray(codes).view(np.uint8)
    per_byte = 8 // bits
    *before, columns = codes.shape
    width = packed_width(columns, bits)
    padded = np.zeros((*before, width * per_byte), np.uint8)
    padded[..., :columns] = codes.view(np.uint8) & ((1 << bits) - 1)
    out = np.zeros((*before, width), np.uint8)
    for i in range(per_byte):
        out |= padded[..., i::per_byte] << (bits * i)
    return out


def dequantize(codes: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """``code * scale`` in float32, ``[..., rows, columns]``; scales ``[..., rows, groups]`` repeat along the columns.

    Raises:
        ValueError: the scales are not those of so many rows, or their number does not divide that of the columns.
    """
    if codes.ndim < 2 or codes.shape[:-1] != scales.shape[:-1] or not scales.shape[-1]:
        raise ValueError(f"codes {list(codes.shape)} do not have scales {list(scales.shape)}")
    *rows, columns = codes.shape
    if columns % scales.shape[-1]:
        raise ValueError(f"{scales.shape[-1]} scales do not share {columns} columns")
    pieces = codes.reshape(*rows, scales.shape[-1], columns // scales.shape[-1])
    return (pieces.astype(np.float32) * scales[..., None]).reshape(codes.shape)


def _check_bits(bits: int) -> None:
    if bits not in BITS:
        raise ValueError(f"codes have 2, 4 or 8 bits, not {bits}")
