"""Strict, memory-mapped reader of row tables: the embeddings that lie beside a package.

Layout, little endian: ``GBROWS1`` and a zero byte; uint32 length of a JSON text; uint32 0; the text, which says
``name``, ``rows``, ``columns``, ``bits`` (2, 4, 8 integers, two's complement, low bits first; 16 bfloat16; 32 float32),
``groups`` (float32 scales a row), ``row_bytes``, ``rows_offset``, ``scales_offset``, ``multiplier``, ``bytes``. Value:
``code * scale[column / (columns / groups)] * multiplier``.
"""

from __future__ import annotations

import json
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import InputError
from runtime_tests.readers.bits import bfloat16, twos_complement
from runtime_tests.readers.regular import open_regular

MAGIC, MAX_TEXT = b"GBROWS1\0", 1 << 16
_NUMBERS = ("rows", "columns", "bits", "groups", "row_bytes", "rows_offset", "scales_offset", "bytes")


@dataclass(frozen=True)
class Rows:
    """An opened table; see the module for the fields."""

    name: str
    rows: int
    columns: int
    bits: int
    groups: int
    row_bytes: int
    rows_offset: int
    scales_offset: int
    multiplier: float
    data: NDArray[np.uint8]

    def packed(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Stored bytes of rows ``start:stop``, uint8 ``[rows, row_bytes]``."""
        return self._rows()[start:stop]

    def codes(self, ids: NDArray[np.integer] | slice) -> NDArray[np.int8]:
        """Codes of some rows, int8 ``[n, columns]``."""
        return twos_complement(np.ascontiguousarray(self._rows()[ids]), self.bits, self.columns)

    def scales(self, ids: NDArray[np.integer] | slice) -> NDArray[np.float32]:
        """Their scales, float32 ``[n, groups]``."""
        end = self.scales_offset + self.rows * self.groups * 4
        return self.data[self.scales_offset : end].view(np.float32).reshape(self.rows, self.groups)[ids]

    def values(self, ids: NDArray[np.integer] | slice) -> NDArray[np.float32]:
        """What the rows stand for, without the multiplier, float32 ``[n, columns]``."""
        if self.bits > 8:
            raw = np.ascontiguousarray(self._rows()[ids])
            return bfloat16(raw.view(np.uint16)) if self.bits == 16 else raw.view(np.float32)
        codes, scales = self.codes(ids).astype(np.float32), self.scales(ids)
        return np.asarray((codes.reshape(*scales.shape, -1) * scales[:, :, None]).reshape(codes.shape), np.float32)

    def lookup(self, ids: NDArray[np.integer]) -> NDArray[np.float32]:
        """What the model is fed: the values times the multiplier.

        Raises:
            InputError: an id that has no row.
        """
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < self.rows:
            raise InputError(f"{self.name}: ids from {ids.min()} to {ids.max()}, the table has {self.rows} rows")
        return self.values(ids) * np.float32(self.multiplier)

    def _rows(self) -> NDArray[np.uint8]:
        end = self.rows_offset + self.rows * self.row_bytes
        return self.data[self.rows_offset : end].reshape(self.rows, self.row_bytes)


def open_rows(path: Path) -> Rows:
    """Opens a table.

    Raises:
        InputError: missing, damaged, or not such a table.
    """
    try:
        with open_regular(path) as file:
            size = path.stat().st_size
            if size < 16:
                raise InputError(f"{path.name}: {size} bytes are no row table")
            data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read ({error.strerror}); it belongs beside the package") from error
    length, zero = struct.unpack_from("<II", bytes(data[8:16]))
    if bytes(data[:8]) != MAGIC or zero or not 0 < length <= min(MAX_TEXT, size - 16):
        raise InputError(f"{path.name}: does not begin as a row table")
    try:
        found = json.loads(bytes(data[16 : 16 + length]).decode("utf-8"))
        numbers = {name: found[name] for name in _NUMBERS}
        name, multiplier = str(found["name"]), float(found["multiplier"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path.name}: its description cannot be read ({error!r})") from error
    if any(type(value) is not int or not 0 <= value < 1 << 48 for value in numbers.values()):
        raise InputError(f"{path.name}: its description holds something that is no count")
    if numbers.pop("bytes") != size:
        raise InputError(f"{path.name}: {size} bytes, its description says {found['bytes']}")
    table = Rows(name=name, multiplier=multiplier, data=data, **numbers)
    if fault := _fault(table, size):
        raise InputError(f"{path.name}: {fault}")
    return table


def _fault(table: Rows, size: int) -> str:
    """What contradicts itself in a description."""
    integers = table.bits in (2, 4, 8)
    if not integers and table.bits not in (16, 32):
        return f"{table.bits} bits; the reader knows 2, 4, 8, 16 and 32"
    if not table.rows or not table.columns or table.row_bytes != -(-table.columns * table.bits // 8):
        return f"{table.row_bytes} bytes a row for {table.columns} columns of {table.bits} bits"
    if integers != (table.groups > 0) or (integers and table.columns % table.groups):
        return f"{table.groups} scales a row for {table.columns} columns"
    if not 16 <= table.rows_offset <= size - table.rows * table.row_bytes:
        return "its rows reach past the end of the file"
    if integers and (table.scales_offset % 4 or not 0 < table.scales_offset <= size - table.rows * table.groups * 4):
        return "its scales reach past the end of the file"
    if not np.isfinite(table.multiplier):
        return "its multiplier is no number"
    return ""
