"""A TFLite graph under construction: tensors, operators, buffers. Weights are promises, not bytes.

Why not the public converter: tracing the same decoder through ``torch.export`` and MLIR with composites in place of
weights takes seconds per layer and signature on two cores, most of it in repeated decompositions, and its result then
has to be rewritten operator by operator. The decoder needs some thirty operators; emitting them directly takes
milliseconds, gives every tensor the name that the judge looks for, and is deterministic by construction.

Layout: the TFLite schema (``ai_edge_litert.schema_py_generated``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

Chunks = Callable[[], Iterator[bytes | memoryview | NDArray[Any]]]

TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "int16": schema.TensorType.INT16,
    "int8": schema.TensorType.INT8,
    "int4": schema.TensorType.INT4,
    "int2": schema.TensorType.INT2,
    "bool": schema.TensorType.BOOL,
}

# Oldest operator version that has what this graph uses; readers refuse a version that they do not know.
VERSIONS = {"FULLY_CONNECTED": 12, "DYNAMIC_UPDATE_SLICE": 3, "BATCH_MATMUL": 4, "QUANTIZE": 2, "DEQUANTIZE": 2}
VERSIONS |= {"EMBEDDING_LOOKUP": 4, "GELU": 1, "SLICE": 2, "CONCATENATION": 2}


@dataclass(frozen=True)
class Stream:
    """Bytes of a weight, produced when the file is written.

    Attributes:
        size: total size in bytes.
        chunks: gives the bytes in order, in pieces small enough to hold.
    """

    size: int
    chunks: Chunks


@dataclass
class Value:
    """A tensor of a subgraph; arithmetic on it emits operators (see ``emit``)."""

    graph: Subgraph
    index: int
    shape: tuple[int, ...]
    dtype: str


@dataclass
class Model:
    """All subgraphs of one TFLite file; buffers and weights are shared between them by key.

    Attributes:
        branches: numbers of subgraphs that operators of others choose between, by what they are.
    """

    subgraphs: list[Subgraph] = field(default_factory=list)
    buffers: list[bytes | Stream] = field(default_factory=lambda: [b""])
    branches: dict[tuple[Any, ...], int] = field(default_factory=dict)
    _codes: dict[tuple[int, int], int] = field(default_factory=dict)
    _constants: dict[tuple[str, bytes], int] = field(default_factory=dict)
    _streams: dict[str, int] = field(default_factory=dict)

    def subgraph(self, name: str, entry: bool = True) -> Subgraph:
        """A new, empty subgraph; ``entry``: it is also a signature of that name."""
        graph = Subgraph(self, name, entry)
        self.subgraphs.append(graph)
        return graph

    def opcode(self, builtin: str) -> int:
        key = (getattr(schema.BuiltinOperator, builtin), VERSIONS.get(builtin, 1))
        return self._codes.setdefault(key, len(self._codes))

    def opcodes(self) -> list[tuple[int, int]]:
        """(builtin code, version) in order of their index."""
        return list(self._codes)

    def constant_buffer(self, kind: str, data: bytes) -> int:
        """Index of the buffer with these bytes; the same bytes are stored once."""
        if (kind, data) not in self._constants:
            self._constants[kind, data] = len(self.buffers)
            self.buffers.append(data)
        return self._constants[kind, data]

    def stream_buffer(self, key: str, stream: Callable[[], Stream]) -> int:
        """Index of the buffer of the weight ``key``."""
        if key not in self._streams:
            self._streams[key] = len(self.buffers)
            self.buffers.append(stream())
        return self._streams[key]


@dataclass
class Subgraph:
    """One entry point, or a branch: inputs and outputs by signature name, operators in execution order."""

    model: Model
    name: str
    entry: bool = True
    tensors: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)
    inputs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    _shared: dict[tuple[Any, ...], Value] = field(default_factory=dict)

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str,
        name: str | None = None,
        buffer: int = 0,
        quantization: Any = None,
    ) -> Value:
        """A new tensor. ``quantization`` is a ``schema.QuantizationParametersT``."""
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), TYPES[dtype], buffer
        tensor.name = name or f"{self.name}:{len(self.tensors)}"
        tensor.quantization, tensor.hasRank = quantization, True
        self.tensors.append(tensor)
        return Value(self, len(self.tensors) - 1, tuple(shape), dtype)

    def input(self, name: str, shape: Sequence[int], dtype: str, quantization: Any = None) -> Value:
        value = self.tensor(shape, dtype, f"{self.name}/{name}", quantization=quantization)
        self.inputs[name] = value.index
        return value

    def output(self, name: str, value: Value) -> None:
        """Makes a tensor an output. A tensor that is also an input or another output is refused by runtimes."""
        if value.index in self.inputs.values() or value.index in self.outputs.values():
            raise ValueError(f"{self.name}: output {name} must be a tensor of its own")
        self.outputs[name] = value.index

    def constant(self, array: NDArray[Any], name: str | None = None) -> Value:
        """A small constant, stored inside the flatbuffer; equal ones become one tensor."""
        kind, data = array.dtype.name, np.ascontiguousarray(array).tobytes()
        key = ("constant", kind, array.shape, data, name)
        if key not in self._shared:
            buffer = self.model.constant_buffer(kind, data)
            self._shared[key] = self.tensor(array.shape, kind, name or f"constant:{len(self.tensors)}", buffer)
        return self._shared[key]

    def once(self, key: tuple[Any, ...], make: Callable[[], Value]) -> Value:
        """The value made under ``key`` before, or a new one."""
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]

    def op(
        self,
        builtin: str,
        inputs: Sequence[Value],
        shape: Sequence[int],
        dtype: str | None = None,
        options: Any = None,
        name: str | None = None,
        quantization: Any = None,
    ) -> Value:
        """Appends an operator with one output and returns that.

        Args:
            options: the ``schema.<Something>OptionsT`` of the operator, or None.
            name: name of the output tensor.
            quantization: quantization parameters of the output tensor.
        """
        out = self.tensor(shape, dtype or inputs[0].dtype, name, quantization=quantization)
        operator = schema.OperatorT()
        operator.opcodeIndex = self.model.opcode(builtin)
        operator.inputs, operator.outputs = [v.index for v in inputs], [out.index]
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
            operator.builtinOptions = options
        self.operators.append(operator)
        return out

    def rename(self, value: Value, name: str) -> None:
        self.tensors[value.index].name = name


def per_tensor(scale: float) -> Any:
    """Symmetric quantization with one scale."""
    parameters = schema.QuantizationParametersT()
    parameters.scale, parameters.zeroPoint = [float(scale)], [0]
    return parameters
