"""Row tables: ``embed_tokens.rows`` and ``embed_tokens_per_layer.rows``, to be memory-mapped by the app.

A token's embedding is one row of a table. The table stays outside the program, in the checkpoint's own bits, so that a
token touches one or two pages of it. All numbers are little-endian; every part begins on a multiple of 4096, a page of
storage (Apple's systems map in pages of 16384, any offset inside them can be read).

| offset | type | |
|---|---|---|
| 0 | 8 bytes | ``GBROWS1`` and a zero byte |
| 8 | uint32 | length in bytes of the JSON text at offset 16 |
| 12 | uint32 | 0 |
| 16 | JSON, UTF-8 | the description below |
| ``rows_offset`` | ``rows * row_bytes`` bytes | rows one after the other, without gaps |
| ``scales_offset`` | ``rows * groups`` float32 | scales, row after row; absent for floats |

The description is an object: ``name``, ``rows``, ``columns``, ``bits`` (2, 4, 8: integers; 16: bfloat16; 32: float32),
``groups`` (scales in a row; 0 for floats), ``row_bytes``, ``rows_offset``, ``scales_offset`` (0 for floats),
``multiplier`` (what a row is multiplied by before the model gets it: the square root of the row's or, for the
per-layer table, of a layer's width) and ``bytes`` (of the file).

Integers are two's complement, low bits first: element c of a 4-bit row is bits ``4 * (c % 2)`` of byte ``c / 2``.
Its value is ``code * scale[c / (columns / groups)] * multiplier``. A bfloat16 is the upper half of a float32.
In Swift, for 4 bits::

    let byte = row[c / 2] >> (4 * UInt8(c % 2))            // unsigned
    let code = Int8(bitPattern: byte << 4) >> 4            // sign extended
    let value = Float(code) * scales[c / (columns / groups)] * multiplier
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from convert.checkpoint.rows import check_finite, row_blocks
from convert.checkpoint.types import Checkpoint, FloatTensor
from convert.lattice import QuantTensor, packed_width

MAGIC, PAGE, SUFFIX = b"GBROWS1\0", 4096, ".rows"
Advance = Callable[[int], None]
Piece = NDArray[Any]


def tables(checkpoint: Checkpoint) -> dict[str, float]:
    """The tables that a model needs, each with its multiplier."""
    config = checkpoint.text.config
    found = {"embed_tokens": float(config.hidden) ** 0.5}
    if config.per_layer_width:
        found["embed_tokens_per_layer"] = float(config.per_layer_width) ** 0.5
    return found


def write(checkpoint: Checkpoint, folder: Path, advance: Advance) -> list[Path]:
    """Writes the tables of a checkpoint into a folder.

    Args:
        advance: called with the number of bytes written.

    Raises:
        CheckpointError: a float of a table is not finite.
    """
    made, text = [], checkpoint.text
    for key, multiplier in tables(checkpoint).items():
        path = folder / f"{key}{SUFFIX}"
        with path.open("wb") as file:
            if key in text.quants:
                _integers(file, key, text.quants[key], multiplier, advance)
            else:
                _floats(file, key, text.floats[f"{key}.weight"], multiplier, advance)
        made.append(path)
    return made


def size(checkpoint: Checkpoint) -> int:
    """Bytes of all tables, within a page each."""
    total, text = 0, checkpoint.text
    for key in tables(checkpoint):
        if key in text.quants:
            table = text.quants[key]
            total += table.rows * (packed_width(table.columns, table.bits) + 4 * table.groups)
        else:
            stored = text.floats[f"{key}.weight"]
            total += stored.shape[0] * stored.shape[1] * (2 if stored.dtype == "BF16" else 4)
        total += 2 * PAGE
    return total


def _integers(file: BinaryIO, key: str, table: QuantTensor, multiplier: float, advance: Advance) -> None:
    width = packed_width(table.columns, table.bits)

    def codes() -> Iterator[Piece]:
        for start, stop in row_blocks(table.rows, width):
            yield table.packed(start, stop)

    def scales() -> Iterator[Piece]:
        for start, stop in row_blocks(table.rows, 4 * table.groups):
            yield table.scales(start, stop)

    _table(
        file,
        key,
        (table.rows, table.columns),
        table.bits,
        table.groups,
        width,
        multiplier,
        (codes(), scales()),
        advance,
    )


def _floats(file: BinaryIO, key: str, table: FloatTensor, multiplier: float, advance: Advance) -> None:
    rows, columns = table.shape
    bits = 16 if table.dtype == "BF16" else 32
    width = columns * bits // 8

    def content() -> Iterator[Piece]:
        for start, stop in row_blocks(rows, width):
            values = table.float32(start, stop)
            check_finite(table, start, values)
            yield table.bits16(start, stop) if bits == 16 else values

    _table(file, key, (rows, columns), bits, 0, width, multiplier, (content(),), advance)


def _table(
    file: BinaryIO,
    key: str,
    shape: tuple[int, int],
    bits: int,
    groups: int,
    width: int,
    multiplier: float,
    parts: tuple[Iterator[Piece], ...],
    advance: Advance,
) -> None:
    rows_offset = PAGE
    after = rows_offset + shape[0] * width
    scales_offset = -(-after // PAGE) * PAGE if groups else 0
    described = {
        "name": key,
        "rows": shape[0],
        "columns": shape[1],
        "bits": bits,
        "groups": groups,
        "row_bytes": width,
        "rows_offset": rows_offset,
        "scales_offset": scales_offset,
        "multiplier": multiplier,
        "bytes": scales_offset + 4 * shape[0] * groups if groups else after,
    }
    text = json.dumps(described, sort_keys=True).encode()
    file.write((MAGIC + struct.pack("<II", len(text), 0) + text).ljust(PAGE, b"\0"))
    for offset, pieces in zip((rows_offset, scales_offset)[: 2 if groups else 1], parts, strict=True):
        file.write(bytes(offset - file.tell()))
        for piece in pieces:
            content = memoryview(cast(Any, np.ascontiguousarray(piece))).cast("B")
            file.write(content)
            advance(content.nbytes)
    if file.tell() != described["bytes"]:
        raise AssertionError(f"{key}: {file.tell()} bytes of {described['bytes']}")
