"""``weight.bin``: Core ML's blob storage, version 2. Offsets are known before a byte is written.

Layout, little-endian (coremltools' ``MILBlob/Blob/StorageFormat.hpp``): a header of 64 bytes, ``<II`` number of records
and version; then for each record 64 bytes of metadata, ``<IIQQQ`` sentinel, data type, size in bytes, offset of the
data from the file's start, unused bits of the last byte, and the data. Metadata and data begin on multiples of 64. A
program refers to a record by the offset of its metadata.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any, BinaryIO, cast

from numpy.typing import NDArray

ALIGNMENT = 64
_SENTINEL, _VERSION = 0xDEADBEEF, 2
# Code and bits of an element.
TYPES = {
    "float16": (1, 16),
    "float32": (2, 32),
    "uint8": (3, 8),
    "int8": (4, 8),
    "int4": (8, 4),
    "uint2": (10, 2),
}

Chunks = Callable[[], Iterator[NDArray[Any]]]


@dataclass(frozen=True)
class Blob:
    """One record: its element type, shape, where its metadata will lie, and how to get its bytes in pieces."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    chunks: Chunks

    @property
    def bits(self) -> int:
        return prod(self.shape) * TYPES[self.dtype][1]

    @property
    def bytes(self) -> int:
        return -(-self.bits // 8)


@dataclass
class Storage:
    """All records of a file in order, by key."""

    blobs: dict[str, Blob] = field(default_factory=dict)
    _end: int = ALIGNMENT

    def add(self, key: str, dtype: str, shape: tuple[int, ...], chunks: Chunks) -> Blob:
        """A new record under a key that is not taken yet."""
        if key in self.blobs:
            raise AssertionError(f"two records {key}")
        blob = Blob(dtype, shape, self._end, chunks)
        self.blobs[key] = blob
        self._end = _aligned(self._end + ALIGNMENT + blob.bytes)
        return blob

    @property
    def size(self) -> int:
        """Bytes of the file."""
        last = next(reversed(self.blobs.values()), None)
        return ALIGNMENT if last is None else last.offset + ALIGNMENT + last.bytes

    def write(self, file: BinaryIO, advance: Callable[[int], None]) -> None:
        """Writes the file from its start; peak memory is one chunk.

        Args:
            advance: called with the number of bytes written.
        """
        file.write(struct.pack("<II", len(self.blobs), _VERSION).ljust(ALIGNMENT, b"\0"))
        for key, blob in self.blobs.items():
            file.write(bytes(blob.offset - file.tell()))
            padding = blob.bytes * 8 - blob.bits
            fields = (_SENTINEL, TYPES[blob.dtype][0], blob.bytes, blob.offset + ALIGNMENT, padding)
            file.write(struct.pack("<IIQQQ", *fields).ljust(ALIGNMENT, b"\0"))
            written = 0
            for chunk in blob.chunks():
                content = memoryview(cast(Any, chunk)).cast("B")
                file.write(content)
                written += content.nbytes
                advance(content.nbytes)
            if written != blob.bytes:
                raise AssertionError(f"{key} gave {written} bytes of {blob.bytes}")


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
