"""Reader of a ``.tflite`` section: subgraphs, signatures, tensors with their quantization, operators, buffers.

The flatbuffer's schema is TensorFlow Lite's ``schema.fbs`` (generated classes from ai_edge_litert). A buffer's bytes
lie inside the flatbuffer (``data``) or after it (``offset`` and ``size`` from the section's first byte); both are views
of the memory map. flatbuffers for Python has no verifier, so every failed access is turned into an ``InputError``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import InputError
from runtime_tests.readers.bits import twos_complement

BITS = {"INT2": 2, "INT4": 4, "INT8": 8}
_DTYPES: dict[str, Any] = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "BOOL": np.bool_,
}
_LARGEST = 1 << 48  # elements of a tensor that is read

# What the generated accessors raise on offsets that lead nowhere.
_DAMAGE = (struct.error, LookupError, ValueError, TypeError, AttributeError, OverflowError, MemoryError)


@dataclass(frozen=True)
class Quantization:
    """How codes become values.

    Attributes:
        scales: float32, one per slice of ``dimension`` (one for per-tensor); empty for blockwise.
        zero_points: int64, as long as ``scales`` or empty.
        dimension: the axis that has a scale per slice.
        block: columns per scale when blockwise, else 0.
        scale_tensor: index of the tensor with the block scales, else -1.
    """

    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    dimension: int
    block: int
    scale_tensor: int


@dataclass(frozen=True)
class Tensor:
    """A tensor of a subgraph. ``type`` is the schema's name, for example ``INT4``; ``buffer`` 0 means no data."""

    index: int
    name: str
    shape: tuple[int, ...]
    type: str
    buffer: int
    quantization: Quantization | None


@dataclass(frozen=True)
class Operator:
    """An operator: ``code`` is the schema's name or a custom op's; absent inputs are -1.

    Attributes:
        branches: the subgraphs that an IF chooses between.
    """

    index: int
    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    branches: tuple[int, ...] = ()


@dataclass(frozen=True)
class Subgraph:
    """One subgraph. ``producer`` maps a tensor to the operator that writes it, ``consumers`` to those that read it."""

    index: int
    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @cached_property
    def by_name(self) -> dict[str, Tensor]:
        return {tensor.name: tensor for tensor in self.tensors}

    @cached_property
    def producer(self) -> dict[int, Operator]:
        return {index: op for op in self.operators for index in op.outputs}

    @cached_property
    def consumers(self) -> dict[int, list[Operator]]:
        found: dict[int, list[Operator]] = {}
        for op in self.operators:
            for index in dict.fromkeys(op.inputs):
                found.setdefault(index, []).append(op)
        return found


@dataclass(frozen=True)
class Signature:
    """A named entry point: tensor indices of its inputs and outputs by name."""

    name: str
    subgraph: int
    inputs: dict[str, int]
    outputs: dict[str, int]


class Tflite:
    """An opened model. ``raw`` is the schema's object form, for those who cut a model into pieces."""

    def __init__(self, raw: Any, data: memoryview, where: str) -> None:
        self.raw, self.data, self.where = raw, data, where
        self.subgraphs = tuple(_subgraphs(raw))
        if not self.subgraphs:
            raise InputError(f"{where}: no subgraphs")
        entries = list(_signatures(raw))
        self.signatures = {signature.name: signature for signature in entries}
        if len(entries) != len(self.signatures):
            raise InputError(f"{where}: two signatures of one name among {', '.join(sorted(self.signatures))}")
        for index, buffer in enumerate(raw.buffers or ()):
            if buffer.offset > 1 and not buffer.offset + buffer.size <= len(data):
                raise InputError(
                    f"{where}: buffer {index} claims bytes {buffer.offset}..{buffer.offset + buffer.size} "
                    f"of {len(data)}"
                )
        for graph in self.subgraphs:
            self._check(graph)
        self._check_branches()

    def subgraph(self, signature: str) -> Subgraph:
        """The subgraph of a signature.

        Raises:
            InputError: there is no such signature.
        """
        if signature not in self.signatures:
            raise InputError(f"{self.where}: no signature {signature}; it has {', '.join(sorted(self.signatures))}")
        return self.subgraphs[self.signatures[signature].subgraph]

    def buffer(self, index: int) -> NDArray[np.uint8]:
        """The bytes of a buffer, a read-only view; empty for a buffer without data."""
        buffer = self.raw.buffers[index]
        if buffer.offset > 1:
            return np.frombuffer(self.data, np.uint8, buffer.size, buffer.offset)
        return np.zeros(0, np.uint8) if buffer.data is None else np.asarray(buffer.data, np.uint8)

    def rows(self, tensor: Tensor, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Rows of a constant tensor: codes as int8 for INT2, INT4 and INT8, else the values in their own dtype.

        Raises:
            InputError: the buffer does not hold what the shape announces.
        """
        # Neither a 0 among huge dimensions nor a negative one is a shape that an array can have.
        if any(n < 0 for n in tensor.shape) or math.prod(max(n, 1) for n in tensor.shape) > _LARGEST:
            raise InputError(f"{self.where}: {tensor.name} has the shape {list(tensor.shape)}")
        columns = math.prod(tensor.shape[1:])
        count = tensor.shape[0] if tensor.shape else 1
        stop = count if stop is None else stop
        data = self.buffer(tensor.buffer)
        if tensor.type in BITS:
            bits = BITS[tensor.type]
            self._sized(tensor, len(data), (count * columns * bits + 7) // 8)
            if columns * bits % 8:  # TFLite packs the flattened tensor: such rows begin inside a byte
                flat = twos_complement(data.reshape(1, -1), bits, count * columns)
                return flat.reshape(tensor.shape)[start:stop]
            packed = data.reshape(count, -1)[start:stop]
            return twos_complement(packed, bits, columns).reshape(-1, *tensor.shape[1:])
        if tensor.type not in _DTYPES:
            raise InputError(f"{self.where}: {tensor.name}: cannot read {tensor.type}")
        dtype = np.dtype(_DTYPES[tensor.type])
        self._sized(tensor, len(data), count * columns * dtype.itemsize)
        block = data[start * columns * dtype.itemsize : stop * columns * dtype.itemsize]
        shape = tensor.shape if not tensor.shape else (stop - start, *tensor.shape[1:])
        return np.frombuffer(block.tobytes(), dtype).reshape(shape)

    def bytes_of(self, tensor: Tensor, start: int, stop: int) -> NDArray[np.uint8]:
        """The bytes of rows of a constant that was read before, a view."""
        data = self.buffer(tensor.buffer)
        width = len(data) // max(1, tensor.shape[0])
        return data[start * width : stop * width]

    def packed(self, tensor: Tensor, start: int, stop: int) -> NDArray[np.uint8] | None:
        """The bytes of rows of codes, a view ``[rows, bytes a row]``; None where rows begin inside a byte.

        Raises:
            InputError: the buffer does not hold what the shape announces.
        """
        count, columns = tensor.shape[0], math.prod(tensor.shape[1:])
        if tensor.type not in BITS or columns * BITS[tensor.type] % 8 or not columns:
            return None
        data = self.buffer(tensor.buffer)
        self._sized(tensor, len(data), count * columns * BITS[tensor.type] // 8)
        return data.reshape(count, -1)[start:stop]

    def _sized(self, tensor: Tensor, found: int, expected: int) -> None:
        if found != expected:
            raise InputError(
                f"{self.where}: {tensor.name} {tensor.type}{list(tensor.shape)} has {found} bytes, needs {expected}"
            )

    def _check(self, graph: Subgraph) -> None:
        tensors, buffers = len(graph.tensors), len(self.raw.buffers)
        used = [i for op in graph.operators for i in (*op.inputs, *op.outputs)] + [*graph.inputs, *graph.outputs]
        if any(not -1 <= index < tensors for index in used):
            raise InputError(f"{self.where}: subgraph {graph.index} refers to a tensor beyond its {tensors}")
        for tensor in graph.tensors:
            if not 0 <= tensor.buffer < buffers:
                raise InputError(f"{self.where}: tensor {tensor.name} refers to buffer {tensor.buffer} of {buffers}")

    def _check_branches(self) -> None:
        """A runtime follows branches into one another without an end where they make a circle."""
        left = {graph.index: {to for op in graph.operators for to in op.branches} for graph in self.subgraphs}
        if lost := sorted(to for some in left.values() for to in some if to not in left):
            raise InputError(f"{self.where}: an IF leads to subgraph {lost[0]} of {len(left)}")
        while ends := [index for index, some in left.items() if not some]:
            left = {index: some - set(ends) for index, some in left.items() if some}
        if left:
            raise InputError(f"{self.where}: subgraph {min(left)} leads back to itself")


def open_tflite(data: memoryview, where: str) -> Tflite:
    """Reads the flatbuffer of a section.

    Args:
        data: the section, from its first byte.
        where: what to call it in messages.

    Raises:
        InputError: not a TFLite model, or damaged.
    """
    from ai_edge_litert import schema_py_generated as schema

    if len(data) < 8 or bytes(data[4:8]) != b"TFL3":
        raise InputError(f"{where}: not a TFLite model (no TFL3 at byte 4)")
    try:
        raw = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        return Tflite(raw, data, where)
    except _DAMAGE as error:
        raise InputError(f"{where}: the flatbuffer is damaged ({error})") from error


def _text(name: bytes | str | None) -> str:
    return name.decode("utf-8") if isinstance(name, bytes) else (name or "")


def _names(enumeration: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _ints(values: Any) -> tuple[int, ...]:
    return () if values is None else tuple(int(value) for value in values)


def _subgraphs(raw: Any) -> Iterator[Subgraph]:
    from ai_edge_litert import schema_py_generated as schema

    types, codes = _names(schema.TensorType), _names(schema.BuiltinOperator)

    def code(index: int) -> str:
        entry = raw.operatorCodes[index]
        # Files older than schema 3a keep codes below 127 in the deprecated field alone.
        number = max(entry.builtinCode, entry.deprecatedBuiltinCode)
        return _text(entry.customCode) if codes[number] == "CUSTOM" else codes[number]

    for position, graph in enumerate(raw.subgraphs or ()):
        tensors = tuple(
            Tensor(i, _text(t.name), _ints(t.shape), types[t.type], t.buffer, _quantization(schema, t.quantization))
            for i, t in enumerate(graph.tensors or ())
        )
        operators = tuple(
            Operator(i, code(op.opcodeIndex), _ints(op.inputs), _ints(op.outputs), _branches(op))
            for i, op in enumerate(graph.operators or ())
        )
        yield Subgraph(position, _text(graph.name), tensors, operators, _ints(graph.inputs), _ints(graph.outputs))


def _branches(op: Any) -> tuple[int, ...]:
    options = op.builtinOptions
    return (options.thenSubgraphIndex, options.elseSubgraphIndex) if hasattr(options, "thenSubgraphIndex") else ()


def _quantization(schema: Any, found: Any) -> Quantization | None:
    blockwise = found is not None and found.detailsType == schema.QuantizationDetails.BlockwiseQuantization
    if found is None or (found.scale is None and not blockwise):
        return None
    empty = found.scale is None
    return Quantization(
        np.zeros(0, np.float32) if empty else np.asarray(found.scale, np.float32),
        np.zeros(0, np.int64) if found.zeroPoint is None else np.asarray(found.zeroPoint, np.int64),
        found.quantizedDimension,
        found.details.blockSize if blockwise else 0,
        found.details.scales if blockwise else -1,
    )


def _signatures(raw: Any) -> Iterator[Signature]:
    for entry in raw.signatureDefs or ():
        inputs = {_text(item.name): item.tensorIndex for item in entry.inputs or ()}
        outputs = {_text(item.name): item.tensorIndex for item in entry.outputs or ()}
        if not 0 <= entry.subgraphIndex < len(raw.subgraphs):
            raise InputError(f"signature {_text(entry.signatureKey)} refers to subgraph {entry.subgraphIndex}")
        yield Signature(_text(entry.signatureKey), entry.subgraphIndex, inputs, outputs)
