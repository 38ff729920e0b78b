"""Block-32 weights (q4_0) for kernels that want positive float16 scales.

A Q4_0 block may have a negative scale d: its extremum is then ``+8 |d|``, which no code -8..7 with a positive scale
reaches. Such a block is carried as the bitwise complement of its codes: ``code * d == (~code) * |d| + |d|``, because
``~code == -code - 1``. The second part is the same for the whole block, so it only needs the sum of the block's
activations: one small float matrix ``[out, in / 32]`` of offsets, ``|d|`` where d was negative and 0 elsewhere. Codes,
signs and scales stay recoverable bit for bit.

Scales are bfloat16 in the checkpoint and float16 in TFLite. A bfloat16 number fits float16 when its exponent does, so
the scales of a tensor are divided by one power of two where needed, and its output is multiplied by that.
Kernels refuse a scale of 0; an all-zero block gets the tensor's largest scale instead, with codes of 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from convert.checkpoint.rows import row_blocks
from convert.errors import PlanError
from convert.lattice import QuantTensor, packed_width
from convert.targets.litert.graph import Stream, Subgraph, Value

_SMALLEST_NORMAL = 2.0**-14  # of float16


@dataclass(frozen=True)
class Blocks:
    """A block-quantized weight in a graph.

    Attributes:
        codes: INT4 ``[out, in]`` with positive block scales.
        offsets: FLOAT16 ``[out, in / 32]``.
        factor: FLOAT32 scalar, the power of two that the product has to be multiplied with; None when that is 1.
    """

    codes: Value
    offsets: Value
    factor: Value | None


def blocks(graph: Subgraph, tensor: QuantTensor, key: str) -> Blocks:
    """Adds the tensors of the weight ``key``.

    Raises:
        PlanError: the scales of this one tensor span more than float16 can hold.
    """
    largest, smallest = _range(tensor)
    factor = _factor(tensor.name, largest, smallest)
    filler = np.float32(largest or 1.0)

    def rows() -> Iterator[tuple[int, int]]:
        return row_blocks(tensor.rows, tensor.columns * 2)

    def codes() -> Iterator[NDArray[np.uint8]]:
        for start, stop in rows():
            negative = np.repeat(tensor.scales(start, stop) < 0, tensor.columns // tensor.groups // 2, axis=1)
            yield np.bitwise_xor(tensor.packed(start, stop), np.where(negative, np.uint8(0xFF), np.uint8(0)))

    def scales() -> Iterator[NDArray[np.float16]]:
        for start, stop in rows():
            size = np.abs(tensor.scales(start, stop))
            yield (np.where(size == 0, filler, size) / factor).astype(np.float16)

    def offsets() -> Iterator[NDArray[np.float16]]:
        for start, stop in rows():
            yield (np.maximum(-tensor.scales(start, stop), 0) / factor).astype(np.float16)

    count = tensor.rows * tensor.groups
    model, shape = graph.model, (tensor.rows, tensor.groups)
    code_buffer = model.stream_buffer(key, lambda: Stream(tensor.rows * packed_width(tensor.columns, 4), codes))
    scale_buffer = model.stream_buffer(f"{key}.scale", lambda: Stream(2 * count, scales))
    offset_buffer = model.stream_buffer(f"{key}.offset", lambda: Stream(2 * count, offsets))
    scale_tensor = graph.tensor(shape, "float16", f"{key}.weight_scale", scale_buffer)
    details = schema.BlockwiseQuantizationT()
    details.scales, details.zeroPoints, details.blockSize = scale_tensor.index, -1, tensor.columns // tensor.groups
    quantization = schema.QuantizationParametersT()
    quantization.detailsType, quantization.details = schema.QuantizationDetails.BlockwiseQuantization, details
    weight = graph.tensor((tensor.rows, tensor.columns), "int4", f"{key}.weight", code_buffer, quantization)
    offset_tensor = graph.tensor(shape, "float16", f"{key}.weight_offset", offset_buffer)
    moved = None if factor == 1.0 else graph.constant(np.asarray(factor, np.float32), f"{key}.weight_unscale")
    return Blocks(weight, offset_tensor, moved)


def _range(tensor: QuantTensor) -> tuple[float, float]:
    """Largest and smallest absolute scale, zeros aside; 0 and 0 when all are zero."""
    largest, smallest = 0.0, np.inf
    for start, stop in row_blocks(tensor.rows, tensor.columns * 2):
        sizes = np.abs(tensor.scales(start, stop))
        sizes = sizes[sizes > 0]
        if sizes.size:
            largest, smallest = max(largest, float(sizes.max())), min(smallest, float(sizes.min()))
    return (largest, smallest) if largest else (0.0, 0.0)


def _factor(name: str, largest: float, smallest: float) -> np.float32:
    if not largest or (largest <= 65504 and smallest >= _SMALLEST_NORMAL):
        return np.float32(1.0)
    factor = np.float32(2.0) ** np.float32(np.frexp(largest)[1] - 15)
    if smallest / factor < _SMALLEST_NORMAL:
        raise PlanError(
            f"lower {name} to TFLite",
            f"its block scales reach from {smallest:.3g} to {largest:.3g}",
            "float16 cannot hold them exactly, whatever power of two they are moved by",
        )
    return np.float32(factor)
