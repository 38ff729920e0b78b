"""A MIL program under construction: functions, operations, weights. Weights are promises, not bytes.

Why not coremltools' builder: it holds every weight as an array, evaluates constants and copies them once more when it
writes; a whole E2B would take tens of gigabytes. The messages themselves are simple. That coremltools reads them back
and infers the same types is a test. Layout: ``MIL.proto``, as coremltools 9.0 writes it for iOS 18.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.targets.coreml import proto
from convert.targets.coreml.blob import Blob, Chunks, Storage

OPSET = "CoreML8"  # iOS 18
WEIGHTS = "@model_path/weights/weight.bin"
EFFECTS = frozenset({"write_state"})


@dataclass(eq=False)
class Value:
    """The result of an operation, an input or a state; ``state`` marks the last."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    state: bool = False


@dataclass(frozen=True)
class Operation:
    """Arguments are values, or records of ``weight.bin`` (of ``constexpr`` operations). ``part``: see parts.py."""

    type: str
    inputs: Mapping[str, tuple[Value | Blob, ...]]
    output: Value | None
    name: str
    constant: NDArray[Any] | str | Blob | None = None
    part: int = 0


@dataclass(frozen=True)
class Offer:
    """What a value that goes from part to part, or the state of a part, is called there, and what it means."""

    name: str
    meaning: str


@dataclass
class Program:
    """Functions and the weights that they share by key."""

    functions: dict[str, Function] = field(default_factory=dict)
    storage: Storage = field(default_factory=Storage)

    def function(self, name: str) -> Function:
        """A new, empty function."""
        self.functions[name] = Function(self, name)
        return self.functions[name]

    def blob(self, key: str, make: Callable[[], tuple[str, tuple[int, ...], Chunks]]) -> Blob:
        """The record of a key, made the first time."""
        if key not in self.storage.blobs:
            self.storage.add(key, *make())
        return self.storage.blobs[key]

    def message(self) -> Any:
        """The program as ``MIL_pb2.Program``."""
        return proto.mil().Program(version=1, functions={name: f.message() for name, f in self.functions.items()})


@dataclass
class Function:
    """One entry point."""

    program: Program
    name: str
    operations: list[Operation] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    part: int = 0
    offers: dict[int, Offer] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)
    _counts: dict[str, int] = field(default_factory=dict)
    _shared: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def input(self, name: str, shape: Sequence[int], dtype: str, state: bool = False) -> Value:
        value = Value(self._claim(name), tuple(shape), dtype, state)
        self.inputs.append(value)
        return value

    def once(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What was made under ``key`` before, or something new."""
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]

    def constant(self, array: NDArray[Any] | np.generic | str | bool) -> Value:
        """A small constant inside the program; equal ones are one."""
        content: Any = array if isinstance(array, str) else np.asarray(array)
        dtype = "string" if isinstance(content, str) else content.dtype.name
        shape = () if isinstance(content, str) else content.shape
        key = ("constant", dtype, shape, content if isinstance(content, str) else content.tobytes())

        def make() -> Value:
            value = Value(self._fresh("const"), shape, dtype)
            self.operations.append(Operation("const", {}, value, value.name, content, self.part))
            return value

        return self.once(key, make)

    def weight(self, name: str, blob: Blob) -> Value:
        """A record as a constant of its own name."""

        def make() -> Value:
            value = Value(self._claim(identifier(name)), blob.shape, blob.dtype)
            self.operations.append(Operation("const", {}, value, value.name, blob, self.part))
            return value

        return self.once(("weight", name), make)

    def op(
        self,
        type: str,
        inputs: Mapping[str, Value | Blob | Sequence[Value]],
        shape: Sequence[int] | None,
        dtype: str = "",
        name: str | None = None,
    ) -> Value:
        """Appends an operation and returns its result; ``shape`` None means that it has none.

        Args:
            name: of the result, to be found by; made an identifier.
        """
        given = {
            key: (value,) if isinstance(value, Value | Blob) else tuple(value) for key, value in sorted(inputs.items())
        }
        label = self._fresh(type) if name is None else self._claim(identifier(name))
        output = Value(label, () if shape is None else tuple(shape), dtype)
        self.operations.append(Operation(type, given, None if shape is None else output, label, part=self.part))
        return output

    def rename(self, value: Value, name: str) -> None:
        """Gives a result the name to be found by."""
        value.name = self._claim(identifier(name))

    def offer(self, value: Value, meaning: str, name: str = "") -> None:
        """Says what a value or state is called, and what it means, where the program is in parts."""
        self.offers[id(value)] = Offer(name or value.name, meaning)

    def output(self, name: str, value: Value) -> None:
        """Makes a result an output, under its name."""
        value.name = self._claim(name)
        self.outputs.append(value)

    def live(self) -> list[Operation]:
        """Operations that something depends on, in order."""
        needed, kept = {id(value) for value in self.outputs}, []
        for operation in reversed(self.operations):
            if operation.type in EFFECTS or id(operation.output) in needed:
                needed.update(id(value) for values in operation.inputs.values() for value in values)
                kept.append(operation)
        return kept[::-1]

    def message(self) -> Any:
        mil = proto.mil()
        block = mil.Block(outputs=[value.name for value in self.outputs], operations=map(_operation, self.live()))
        inputs = [mil.NamedValueType(name=value.name, type=_type(value)) for value in self.inputs]
        return mil.Function(inputs=inputs, opset=OPSET, block_specializations={OPSET: block})

    def _claim(self, name: str) -> str:
        if name in self._names:
            raise AssertionError(f"{self.name}: two values {name}")
        self._names.add(name)
        return name

    def _fresh(self, stem: str) -> str:
        self._counts[stem] = self._counts.get(stem, -1) + 1
        return self._claim(f"{stem}_{self._counts[stem]}")


def identifier(name: str) -> str:
    """A name of the decoder or of a checkpoint as one of MIL.

    >>> identifier("layers.0/key")
    'layers_0_key'
    """
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


_TYPES = {"bool": "BOOL", "string": "STRING", "float16": "FLOAT16", "float32": "FLOAT32", "int32": "INT32"}
_TYPES |= {"int8": "INT8", "int4": "INT4", "uint2": "UINT2"}


def _tensor_type(shape: tuple[int, ...], dtype: str) -> Any:
    mil = proto.mil()
    kind = mil.ValueType()
    kind.tensorType.dataType, kind.tensorType.rank = mil.DataType.Value(_TYPES[dtype]), len(shape)
    for size in shape:
        kind.tensorType.dimensions.add().constant.size = size
    return kind


def _type(value: Value | Blob) -> Any:
    kind = _tensor_type(value.shape, value.dtype)
    if not (isinstance(value, Value) and value.state):
        return kind
    wrapped = proto.mil().ValueType()
    wrapped.stateType.wrappedType.CopyFrom(kind)
    return wrapped


def _immediate(content: NDArray[Any] | str) -> Any:
    shape, dtype = ((), "string") if isinstance(content, str) else (content.shape, content.dtype.name)
    value = proto.mil().Value(type=_tensor_type(shape, dtype))
    tensor = value.immediateValue.tensor
    if isinstance(content, str):
        tensor.strings.values.append(content)
    elif dtype in ("float16", "int8"):
        tensor.bytes.values = content.tobytes()
    else:
        fields = {"float32": tensor.floats, "int32": tensor.ints, "bool": tensor.bools}
        fields[dtype].values.extend(content.ravel().tolist())
    return value


def _stored(blob: Blob) -> Any:
    value = proto.mil().Value(type=_type(blob))
    value.blobFileValue.fileName, value.blobFileValue.offset = WEIGHTS, blob.offset
    return value


def _operation(operation: Operation) -> Any:
    mil, message = proto.mil(), proto.mil().Operation(type=operation.type)
    message.attributes["name"].CopyFrom(_immediate(operation.name))
    if operation.constant is not None:
        content = operation.constant
        message.attributes["val"].CopyFrom(_stored(content) if isinstance(content, Blob) else _immediate(content))
    for key, values in operation.inputs.items():
        for value in values:
            binding = mil.Argument.Binding()
            if isinstance(value, Blob):
                binding.value.CopyFrom(_stored(value))
            else:
                binding.name = value.name
            message.inputs[key].arguments.append(binding)
    if operation.output is not None:
        message.outputs.add(name=operation.output.name, type=_type(operation.output))
    return message
