"""Weights in the file beside the graph: the checkpoint's codes, bit for bit, and its scales.

``MatMulNBits`` takes a matrix ``[out, in]`` as ``uint8 [out, in / block, block * bits / 8]``, low bits first, each code
counted from the lowest (offset binary), as the checkpoint packs them; and a float32 scale for each block of a row.
Where the checkpoint has a scale a row (mobile), the blocks' scale is 1, so that sums of whole numbers come out exact
while they stay below 2^24 (activations of 8 bits and codes of 4: up to 16,384 columns), and the row's scale multiplies
the sum. Where it has one a block of 32 (q4_0), it stands in its place.

Codes of two bits are stored in four: for two bits and float activations the runtime unpacks the whole matrix at every
product, which takes many times as long (``just bench nbits``) [1.32]; so it does for eight, of which there are few.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.checkpoint.rows import check_finite, row_blocks
from convert.checkpoint.types import FloatTensor
from convert.errors import PlanError
from convert.lattice import QuantTensor, flip_offset, pack, packed_width
from convert.targets.onnx.graph import Chunks, Graph, Value

BLOCKS = (256, 128, 64, 32, 16)


@dataclass(frozen=True)
class Weight:
    """A matrix in ``bits``; the product has to be multiplied by ``gain`` ``[out]`` where there is one."""

    bits: int
    codes: Value
    scales: Value
    block: int
    gain: Value | None


def block_of(tensor: QuantTensor) -> int:
    """Columns of a block: one scale each in the checkpoint, or else the most that the operator takes.

    Raises:
        PlanError: no size that the operator takes divides the columns.
    """
    if tensor.groups > 1:
        return tensor.columns // tensor.groups
    for block in BLOCKS:
        if tensor.columns % block == 0:
            return block
    found = f"it has {tensor.columns} columns, and ONNX Runtime takes multiples of {BLOCKS[-1]}"
    raise PlanError(f"lower {tensor.name} to ONNX", found, "Use another target")


def stored_bits(tensor: QuantTensor) -> int:
    """Bits of a matrix's codes in the file."""
    return 4 if tensor.bits == 2 else tensor.bits


def quantized(graph: Graph, tensor: QuantTensor, key: str) -> Weight:
    """A quantized matrix, for ``MatMulNBits``."""
    block, bits = block_of(tensor), stored_bits(tensor)
    shape = (tensor.rows, tensor.columns // block, block * bits // 8)
    size = tensor.rows * packed_width(tensor.columns, bits)
    chunks = _codes(tensor) if bits == tensor.bits else _widened(tensor, bits)
    codes = graph.weight(f"{key}.codes", shape, "uint8", size, chunks)
    if tensor.groups > 1:
        scales = graph.weight(f"{key}.scales", shape[:2], "float32", 4 * tensor.rows * tensor.groups, _scales(tensor))
        return Weight(bits, codes, scales, block, None)
    count = shape[0] * shape[1]
    ones = graph.weight(f"ones_{shape[0]}x{shape[1]}", shape[:2], "float32", 4 * count, _ones(count))
    gain = graph.weight(f"{key}.scales", (tensor.rows,), "float32", 4 * tensor.rows, _scales(tensor))
    return Weight(bits, codes, ones, block, gain)


def turned(graph: Graph, tensor: QuantTensor, key: str) -> tuple[Value, Value]:
    """A matrix of eight bits with a scale a row, for ``MatMulInteger``: codes ``uint8 [in, out]``, scales ``[out]``."""
    shape = (tensor.columns, tensor.rows)
    codes = graph.weight(f"{key}.codes", shape, "uint8", tensor.rows * tensor.columns, _turned(tensor))
    return codes, graph.weight(f"{key}.scales", (tensor.rows,), "float32", 4 * tensor.rows, _scales(tensor))


def table_part(graph: Graph, tensor: FloatTensor, index: int, count: int, name: str) -> Value:
    """The first rows of one of several float matrices: bfloat16 as it is, any other type as float32."""
    shape = (count, tensor.shape[-1])
    halves = tensor.dtype == "BF16"

    def chunks() -> Iterator[NDArray[Any]]:
        rows = np.ascontiguousarray(tensor.float32(index, index + 1)[0, :count])
        check_finite(tensor, 0, rows)
        yield (rows.view(np.uint32) >> 16).astype(np.uint16) if halves else rows

    return graph.weight(
        name, shape, "bfloat16" if halves else "float32", (2 if halves else 4) * int(np.prod(shape)), chunks
    )


def table(graph: Graph, tensor: QuantTensor, key: str) -> tuple[Value, Value]:
    """A matrix of which rows are taken: codes ``uint8 [rows, bytes]`` in offset binary, scales ``[rows, groups]``."""
    width = packed_width(tensor.columns, tensor.bits)
    codes = graph.weight(f"{key}.codes", (tensor.rows, width), "uint8", tensor.rows * width, _codes(tensor))
    shape = (tensor.rows, tensor.groups)
    scales = graph.weight(f"{key}.scales", shape, "float32", 4 * tensor.rows * tensor.groups, _scales(tensor))
    return codes, scales


def floats(graph: Graph, tensor: FloatTensor, name: str) -> Value:
    """A float parameter, as float32."""
    return graph.weight(name, tensor.shape, "float32", 4 * int(np.prod(tensor.shape)), _floats(tensor))


def rows(graph: Graph, tensor: FloatTensor, name: str) -> Value:
    """A float matrix of which rows are taken: bfloat16 as it is, any other type as float32."""
    if tensor.dtype != "BF16":
        return floats(graph, tensor, name)
    return graph.weight(name, tensor.shape, "bfloat16", 2 * int(np.prod(tensor.shape)), _halves(tensor))


def _codes(tensor: QuantTensor) -> Chunks:
    def chunks() -> Iterator[NDArray[np.uint8]]:
        for start, stop in row_blocks(tensor.rows, packed_width(tensor.columns, tensor.bits)):
            packed = tensor.packed(start, stop)
            yield packed ^ np.uint8(0x80) if tensor.bits == 8 else flip_offset(packed, tensor.bits)

    return chunks


def _widened(tensor: QuantTensor, bits: int) -> Chunks:
    def chunks() -> Iterator[NDArray[np.uint8]]:
        for start, stop in row_blocks(tensor.rows, tensor.columns):
            yield flip_offset(pack(tensor.codes(start, stop), bits), bits)

    return chunks


def _turned(tensor: QuantTensor) -> Chunks:
    """One matrix of a tower at a time: what lies side by side stands below each other in the checkpoint."""
    return lambda: iter(((tensor.codes(0, tensor.rows).astype(np.int16) + 128).astype(np.uint8).T,))


def _scales(tensor: QuantTensor) -> Chunks:
    def chunks() -> Iterator[NDArray[np.float32]]:
        for start, stop in row_blocks(tensor.rows, 4 * tensor.groups):
            yield tensor.scales(start, stop)

    return chunks


def _ones(count: int) -> Chunks:
    return lambda: iter((np.ones(count, np.float32),))


def _halves(tensor: FloatTensor) -> Chunks:
    """The upper halves of the words of float32: all that bfloat16 has."""

    def chunks() -> Iterator[NDArray[Any]]:
        for whole in _floats(tensor)():
            yield (whole.view(np.uint32) >> 16).astype(np.uint16)

    return chunks


def _floats(tensor: FloatTensor) -> Chunks:
    def chunks() -> Iterator[NDArray[Any]]:
        for start, stop in row_blocks(tensor.shape[0], 4 * int(np.prod(tensor.shape[1:]))):
            rows = np.ascontiguousarray(tensor.float32(start, stop))
            check_finite(tensor, start, rows)
            yield rows

    return chunks
