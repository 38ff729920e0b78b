"""Strict, memory-mapped reader of ``weight.bin``, the constants of an ML Program.

Layout (coremltools, ``mlmodel/src/MILBlob/Blob/StorageFormat.hpp``), little endian: a header of 64 bytes, ``count`` and
``version`` (2) as uint32; then records at multiples of 64, each a metadata block of 64 bytes: ``0xDEADBEEF`` and data
type as uint32, size in bytes, offset and unused bits at the end as uint64. Its data lies at that offset, a multiple of
64 too. Sub-byte integers are packed without gaps, low bits first; signed ones are two's complement.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import InputError
from runtime_tests.readers.regular import open_regular

SENTINEL, ALIGNMENT, VERSION = 0xDEADBEEF, 64, 2
# Data type numbers of the records: name and bits.
TYPES = {
    1: ("float16", 16),
    2: ("float32", 32),
    3: ("uint8", 8),
    4: ("int8", 8),
    5: ("bfloat16", 16),
    6: ("int16", 16),
    7: ("uint16", 16),
    8: ("int4", 4),
    9: ("uint1", 1),
    10: ("uint2", 2),
    11: ("uint4", 4),
    12: ("uint3", 3),
    13: ("uint6", 6),
    14: ("int32", 32),
    15: ("uint32", 32),
}
_STORED = {"bfloat16": "uint16"}  # numpy has no such type: bit patterns


@dataclass(frozen=True)
class Blob:
    """One record; nothing of its data has been read.

    Attributes:
        dtype: ``int4``, ``float16`` and so on.
        bits: of one element.
        data: its bytes, a view of the memory map, as long as the elements need.
        shape: of the tensor.
    """

    dtype: str
    bits: int
    data: NDArray[np.uint8]
    shape: tuple[int, ...]

    def array(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Elements, or rows ``start:stop`` of the first axis; sub-byte integers one a byte, bfloat16 as uint16."""
        if not self.shape:
            return self._elements(0, 1).reshape(())
        end, width = self.shape[0] if stop is None else stop, prod(self.shape[1:])
        return self._elements(start * width, (end - start) * width).reshape(end - start, *self.shape[1:])

    def _elements(self, first: int, count: int) -> NDArray[Any]:
        if self.bits >= 8:
            size = self.bits // 8
            return self.data[first * size : (first + count) * size].view(_STORED.get(self.dtype, self.dtype))
        begin, end = first * self.bits // 8, -(-(first + count) * self.bits // 8)
        skipped = first * self.bits % 8
        return unpack(self.data[begin:end], self.bits, skipped, count, signed=self.dtype.startswith("int"))


def unpack(packed: NDArray[np.uint8], bits: int, skip: int, count: int, signed: bool) -> NDArray[Any]:
    """``count`` integers of fewer than 8 bits, uint8 or int8 ``[count]``, after ``skip`` bits.

    >>> unpack(np.array([0xF8, 0x70], np.uint8), 4, 0, 4, True).tolist()
    [-8, -1, 0, 7]
    >>> unpack(np.array([0xE4], np.uint8), 2, 2, 3, False).tolist()
    [1, 2, 3]
    """
    if bits in (1, 2, 4) and skip % bits == 0:
        kind = np.int8 if signed else np.uint8
        return _spread(bits, signed).take(packed).view(kind)[skip // bits : skip // bits + count]
    # 3 and 6 bits cross bytes
    single = np.unpackbits(packed, bitorder="little")[skip : skip + count * bits].reshape(count, bits)
    found = np.packbits(single, axis=1, bitorder="little").reshape(-1)
    return _signed(found, bits) if signed else found


@lru_cache
def _spread(bits: int, signed: bool) -> NDArray[np.unsignedinteger]:
    """What each byte holds, one integer a byte, as one number to be looked up: ``[256]``."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    found = (np.arange(256, dtype=np.uint8)[:, None] >> shifts) & np.uint8((1 << bits) - 1)
    if signed:
        found = _signed(found, bits).view(np.uint8)
    return np.ascontiguousarray(found).view(f"uint{64 // bits}").reshape(-1)


def _signed(found: NDArray[np.uint8], bits: int) -> NDArray[np.int8]:
    sign = np.int8(1 << (bits - 1))
    return (found.view(np.int8) ^ sign) - sign


class BlobFile:
    """An opened ``weight.bin``.

    Args:
        path: the file.
        where: what messages call it.

    Raises:
        InputError: missing, or no such storage.
    """

    def __init__(self, path: Path, where: str) -> None:
        self.path, self.where = path, where
        try:
            with open_regular(path) as file:
                size = path.stat().st_size
                if size < ALIGNMENT:
                    raise InputError(f"{where}: {size} bytes, expected a header of {ALIGNMENT}")
                self._bytes = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        except OSError as error:
            raise InputError(f"{where}: cannot be read ({error.strerror})") from error
        self.count, version = struct.unpack_from("<II", bytes(self._bytes[:8]))
        if version != VERSION:
            raise InputError(f"{where}: storage version {version}, expected {VERSION}")

    def record(self, offset: int, dtype: str, shape: tuple[int, ...]) -> Blob:
        """The record whose metadata lies at ``offset``.

        Raises:
            InputError: there is none, it reaches outside the file, or it is not of that type and shape.
        """
        found, bits, size, begin, unused = self._metadata(offset)
        place = f"{self.where}: record at {offset}"
        if found != dtype:
            raise InputError(f"{place} holds {found}, the program says {dtype}")
        if begin % ALIGNMENT or begin < ALIGNMENT or begin + size > len(self._bytes):
            raise InputError(f"{place} reaches from {begin} over {size} bytes, the file has {len(self._bytes)}")
        if unused >= 8 or size * 8 - unused != prod(shape) * bits:
            raise InputError(f"{place} holds {size} bytes, {list(shape)} of {dtype} need {-(-prod(shape) * bits // 8)}")
        return Blob(dtype, bits, self._bytes[begin : begin + size], shape)

    def _metadata(self, offset: int) -> tuple[str, int, int, int, int]:
        if offset % ALIGNMENT or not ALIGNMENT <= offset <= len(self._bytes) - ALIGNMENT:
            raise InputError(f"{self.where}: no record can lie at {offset} of {len(self._bytes)} bytes")
        sentinel, kind, size, begin, unused = struct.unpack_from("<IIQQQ", bytes(self._bytes[offset : offset + 32]))
        if sentinel != SENTINEL:
            raise InputError(f"{self.where}: record at {offset} begins with {sentinel:#x}, expected {SENTINEL:#x}")
        if kind not in TYPES:
            raise InputError(f"{self.where}: record at {offset} has the unknown data type {kind}")
        return (*TYPES[kind], size, begin, unused)

    @cached_property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self._bytes)
