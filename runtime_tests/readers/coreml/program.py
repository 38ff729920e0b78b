"""ML Programs as they are stored: functions of operations in static single assignment, typed values, constants.

Parsed from the protobuf messages of ``MIL.proto``; no pass of coremltools has a hand in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import InputError
from runtime_tests.readers.coreml.blobs import Blob

_REPEATED = {  # field of TensorValue by data type; numpy type of its elements
    "float32": ("floats", "float32"),
    "float64": ("doubles", "float64"),
    "int16": ("ints", "int16"),
    "uint16": ("ints", "uint16"),
    "int32": ("ints", "int32"),
    "uint32": ("ints", "uint32"),
    "int64": ("longInts", "int64"),
    "bool": ("bools", "bool"),
}
_BYTES = ("float16", "int8", "uint8")  # stored as raw bytes
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_@.:/-]{0,255}")  # names appear in messages and reports


@dataclass(frozen=True)
class Type:
    """Data type and shape of a value; -1 is a dimension that is not fixed. ``state`` marks mutable inputs."""

    dtype: str
    shape: tuple[int, ...]
    state: bool = False


@dataclass(frozen=True)
class Constant:
    """A value that the program holds: in the program itself, or in ``weight.bin``."""

    type: Type
    held: NDArray[Any] | str | Blob

    def array(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """The elements, or the rows ``start:stop`` of them."""
        if isinstance(self.held, Blob):
            return self.held.array(start, stop)
        if isinstance(self.held, str):
            raise InputError(f"a text {self.held[:40]!r} where the program needs numbers")
        return self.held if not self.held.shape else self.held[start:stop]


Argument = str | Constant  # a value's name, or the value itself


@dataclass(frozen=True)
class Operation:
    """One operation: its inputs by parameter, each a list of one or more arguments; its outputs in order."""

    index: int
    kind: str
    inputs: dict[str, tuple[Argument, ...]]
    outputs: tuple[tuple[str, Type], ...]
    constant: Constant | None = None  # of a const

    @property
    def name(self) -> str:
        return self.outputs[0][0] if self.outputs else f"{self.kind} {self.index}"


@dataclass(frozen=True)
class Function:
    """A function: inputs and their types, operations in order, names of the outputs."""

    name: str
    inputs: dict[str, Type]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]

    @cached_property
    def producer(self) -> dict[str, Operation]:
        """The operation that makes each value."""
        return {name: op for op in self.operations for name, _ in op.outputs}

    @cached_property
    def consumers(self) -> dict[str, list[Operation]]:
        """The operations that read each value."""
        out: dict[str, list[Operation]] = {}
        for op in self.operations:
            for name in dict.fromkeys(a for items in op.inputs.values() for a in items if isinstance(a, str)):
                out.setdefault(name, []).append(op)
        return out

    @cached_property
    def types(self) -> dict[str, Type]:
        """The type of every value."""
        return {**self.inputs, **{name: type for op in self.operations for name, type in op.outputs}}

    def constant(self, argument: Argument) -> Constant | None:
        """The constant behind an argument, or None when it is computed."""
        if isinstance(argument, Constant):
            return argument
        made = self.producer.get(argument)
        return made.constant if made else None

    def one(self, op: Operation, parameter: str) -> Argument | None:
        """The only argument of a parameter, or None when it is not given."""
        found = op.inputs.get(parameter, ())
        return found[0] if len(found) == 1 else None


Open = Callable[[str, int, Type], Blob]  # file name, offset, type


class Parser:
    """Turns protobuf messages into the classes above.

    Args:
        enum: ``MIL_pb2.DataType``, for the names of the data types.
        open_blob: opens a record of a weights file.
        where: what messages call the program.
    """

    def __init__(self, enum: Any, open_blob: Open, where: str) -> None:
        self._enum, self._open, self._where = enum, open_blob, where

    def functions(self, program: Any) -> Iterator[Function]:
        """The functions, by name.

        Raises:
            InputError: the program is not well formed.
        """
        for name in sorted(program.functions):
            yield self._function(name, program.functions[name])

    def _function(self, name: str, found: Any) -> Function:
        where = f"{self._where}, function {name[:60]!r}"
        if found.opset not in found.block_specializations:
            raise InputError(f"{where}: no block for its own opset {found.opset[:40]!r}")
        block = found.block_specializations[found.opset]
        for text in (name, *(item.name for item in found.inputs)):
            self._check_name(text, where)
        inputs = {item.name: self._type(item.type, where) for item in found.inputs}
        known, operations = set(inputs), []
        for index, raw in enumerate(block.operations):
            op = self._operation(index, raw, f"{where}, operation {index} ({raw.type[:60]!r})")
            for argument in (a for items in op.inputs.values() for a in items):
                if isinstance(argument, str) and argument not in known:
                    raise InputError(f"{where}: {op.name} reads {argument[:60]!r}, which nothing before it makes")
            for made, _ in op.outputs:
                if made in known:
                    raise InputError(f"{where}: {made[:60]!r} is made twice")
                known.add(made)
            operations.append(op)
        if missing := [made for made in block.outputs if made not in known]:
            raise InputError(f"{where}: its output {missing[0][:60]!r} is never made")
        return Function(name, inputs, tuple(operations), tuple(block.outputs))

    def _operation(self, index: int, raw: Any, where: str) -> Operation:
        if len(raw.blocks):
            raise InputError(f"{where}: it has blocks of its own; the reader knows straight programs only")
        for text in (raw.type, *(item.name for item in raw.outputs)):
            self._check_name(text, where)
        inputs = {
            key: tuple(self._argument(item, where) for item in raw.inputs[key].arguments) for key in sorted(raw.inputs)
        }
        outputs = tuple((item.name, self._type(item.type, where)) for item in raw.outputs)
        odd = sorted(set(raw.attributes) - ({"name", "val"} if raw.type == "const" else {"name"}))
        if odd:
            raise InputError(f"{where}: it has the attribute {odd[0][:40]!r}, which the reader does not know")
        constant = None
        if raw.type == "const":
            if "val" not in raw.attributes or len(outputs) != 1:
                raise InputError(f"{where}: a constant without a value")
            constant = self._value(raw.attributes["val"], where)
        return Operation(index, raw.type, inputs, outputs, constant)

    @staticmethod
    def _check_name(name: str, where: str) -> None:
        if not _NAME.fullmatch(name):
            raise InputError(f"{where}: the name {name[:60]!r}")

    def _argument(self, binding: Any, where: str) -> Argument:
        return str(binding.name) if binding.WhichOneof("binding") == "name" else self._value(binding.value, where)

    def _type(self, found: Any, where: str) -> Type:
        kind = found.WhichOneof("type")
        if kind == "stateType":
            inner = self._type(found.stateType.wrappedType, where)
            return Type(inner.dtype, inner.shape, state=True)
        if kind != "tensorType":
            raise InputError(f"{where}: a value of kind {kind}; the reader knows tensors and states")
        tensor = found.tensorType
        try:
            dtype = self._enum.Name(tensor.dataType).lower()
        except ValueError as error:
            raise InputError(f"{where}: unknown data type {tensor.dataType}") from error
        shape = tuple(d.constant.size if d.WhichOneof("dimension") == "constant" else -1 for d in tensor.dimensions)
        if len(shape) != tensor.rank or any(d > 1 << 40 for d in shape):
            raise InputError(f"{where}: rank {tensor.rank} with dimensions {list(shape)[:8]}")
        return Type(dtype, shape)

    def _value(self, found: Any, where: str) -> Constant:
        type = self._type(found.type, where)
        if found.WhichOneof("value") == "blobFileValue":
            blob = found.blobFileValue
            return Constant(type, self._open(blob.fileName, blob.offset, type))
        immediate = found.immediateValue
        if immediate.WhichOneof("value") != "tensor" or -1 in type.shape:
            raise InputError(f"{where}: a constant that is no tensor of fixed shape")
        tensor, count = immediate.tensor, prod(type.shape)
        if type.dtype == "string":
            if len(tensor.strings.values) != 1:
                raise InputError(f"{where}: {len(tensor.strings.values)} texts, expected one")
            return Constant(type, str(tensor.strings.values[0]))
        try:
            if type.dtype in _BYTES:
                flat = np.frombuffer(tensor.bytes.values, type.dtype)
            else:
                field, kind = _REPEATED[type.dtype]
                flat = np.array(getattr(tensor, field).values, kind)
        except (KeyError, ValueError, OverflowError) as error:
            raise InputError(f"{where}: a constant of type {type.dtype} that cannot be read ({error})") from error
        if flat.size != count:
            raise InputError(f"{where}: a constant of {flat.size} elements, its type says {list(type.shape)}")
        return Constant(type, flat.reshape(type.shape))
