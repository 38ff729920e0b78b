"""Weights as TFLite tensors: codes two's complement, low bits first, scales in the tensor's quantization."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from convert.checkpoint.rows import check_finite, row_blocks
from convert.checkpoint.types import FloatTensor, Module
from convert.errors import PlanError
from convert.lattice import QuantTensor, packed_width
from convert.targets.litert.graph import Stream, Subgraph, Value


def quantized(graph: Subgraph, tensor: QuantTensor, key: str) -> Value:
    """The codes of a linear as INT2, INT4 or INT8 ``[out, in]``, with one scale per output channel."""
    if tensor.columns * tensor.bits % 8:
        raise PlanError(
            f"lower {key} to TFLite",
            f"its rows of {tensor.columns} {tensor.bits}-bit codes do not end on a whole byte",
            "TFLite packs rows without a gap; this width cannot be held",
        )

    def make() -> Value:
        quantization = channel_scales(tensor.scales(0, tensor.rows))
        buffer = graph.model.stream_buffer(key, lambda: code_stream(tensor))
        return graph.tensor((tensor.rows, tensor.columns), f"int{tensor.bits}", f"{key}.weight", buffer, quantization)

    return graph.once(("weight", key), make)


def floats(graph: Subgraph, module: Module[Any], name: str, shape: tuple[int, ...] | None = None) -> Value:
    """A float parameter as a FLOAT32 constant under its own name."""
    tensor = module.floats[name]

    def make() -> Value:
        buffer = graph.model.stream_buffer(name, lambda: float_stream(tensor))
        return graph.tensor(shape or tensor.shape, "float32", name, buffer)

    return graph.once(("float", name), make)


def channel_scales(scales: NDArray[np.float32], axis: int = 0) -> Any:
    """Symmetric quantization parameters with one scale per slice along ``axis``.

    Kernels want as many zero points as scales.
    """
    parameters = schema.QuantizationParametersT()
    parameters.scale = np.ascontiguousarray(scales, np.float32).reshape(-1)
    parameters.zeroPoint = np.zeros(parameters.scale.size, np.int64)
    parameters.quantizedDimension = axis
    return parameters


def code_stream(tensor: QuantTensor) -> Stream:
    """Packed codes of all rows."""
    width = packed_width(tensor.columns, tensor.bits)

    def chunks() -> Iterator[NDArray[np.uint8]]:
        for start, stop in row_blocks(tensor.rows, width):
            yield np.ascontiguousarray(tensor.packed(start, stop))

    return Stream(tensor.rows * width, chunks)


def float_stream(tensor: FloatTensor) -> Stream:
    """All elements as float32.

    Raises:
        CheckpointError: while streaming, when one is not finite.
    """
    rows, width = tensor.shape[0], 4 * int(np.prod(tensor.shape[1:]))

    def chunks() -> Iterator[NDArray[np.float32]]:
        for start, stop in row_blocks(rows, width):
            chunk = np.ascontiguousarray(tensor.float32(start, stop))
            check_finite(tensor, start, chunk)
            yield chunk

    return Stream(rows * width, chunks)


def float_rows(tensor: FloatTensor, index: int, rows: int) -> Stream:
    """The first ``rows`` of one table of a stack ``[tables, rows, width]``, as float32."""
    width = tensor.shape[-1]
    return Stream(4 * rows * width, lambda: iter([np.ascontiguousarray(tensor.float32(index, index + 1)[0, :rows])]))
