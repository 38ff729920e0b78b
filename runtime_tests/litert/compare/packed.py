"""Whether a constant holds the integers and scales of a checkpoint's packed matrix."""

from __future__ import annotations

import numpy as np

from runtime_tests.litert.compare.constants import Found, words
from runtime_tests.memory.pages import release
from runtime_tests.readers.bits import same_codes
from runtime_tests.readers.checkpoint import Folder, pieces
from runtime_tests.readers.format import Packed

_BYTES_AT_ONCE = 8 << 20  # packed codes are compared as they are


def packed_differ(folder: Folder, packed: Packed, found: Found) -> tuple[list[str], list[str]]:
    """What differs between a checkpoint matrix and the artifact's tensor: codes, and scales."""
    tensor, where = found.tensor, f"{packed.key}"
    rows = packed.rows * packed.groups  # a table with several scales a row is laid out as that many rows
    if tensor.type != f"INT{packed.bits}":
        return [f"{where}: {tensor.type}, the checkpoint has {packed.bits} bits"], []
    if len(tensor.shape) != 2 or tensor.shape[0] != rows:
        return [f"{where}: shape {list(tensor.shape)}, the checkpoint has {rows} rows"], []
    quantization = tensor.quantization
    if quantization is None or quantization.block or len(quantization.scales) != rows or quantization.dimension != 0:
        return [], [f"{where}: not one scale a row"]
    if quantization.zero_points.size and quantization.zero_points.any():
        return [], [f"{where}: zero points that are not zero"]
    columns, codes, scales = tensor.shape[1], 0, 0
    for start, stop in pieces(packed.rows, columns * packed.groups * packed.bits // 8, _BYTES_AT_ONCE):
        part = slice(start * packed.groups, stop * packed.groups)
        mine = found.model.packed(tensor, part.start, part.stop)
        stored = folder.stored(packed.names[0], start, stop)
        if mine is None or not same_codes(mine, stored.view(np.uint8), packed.bits):
            codes += _different(folder, packed, found, (start, stop))
        release(stored, *([] if mine is None else [mine]))
        expected = folder.scales(packed, start, stop).reshape(-1)
        scales += int(np.count_nonzero(words(quantization.scales[part]) != words(expected)))
    return (
        [f"{where}: {codes} codes differ"] if codes else [],
        [f"{where}: {scales} scales differ"] if scales else [],
    )


def _different(folder: Folder, packed: Packed, found: Found, rows: tuple[int, int]) -> int:
    """How many codes of some rows are not the checkpoint's."""
    columns = found.tensor.shape[1] * packed.groups
    mine = found.model.rows(found.tensor, rows[0] * packed.groups, rows[1] * packed.groups)
    return int(np.count_nonzero(mine != folder.codes(packed, *rows, columns).reshape(mine.shape)))
