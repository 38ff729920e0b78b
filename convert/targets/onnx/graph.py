"""An ONNX graph under construction: nodes, small constants inside, weights as promises of bytes in a file beside it.

Dimensions that are known at run time alone stand in shapes as numbers that nothing else can be: see ``Sizes``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConvertError

# Standard operators of this version: BitShift, BitwiseAnd, Gelu with tanh, RMS by parts, int4 and below as bytes.
OPSET, IR = 21, 10
CONTRIB, CONTRIB_OPSET = "com.microsoft", 1
ALIGNMENT = 4096  # of what is mapped into memory, from a file
Chunks: TypeAlias = Callable[[], Iterator[NDArray[Any]]]
Advance: TypeAlias = Callable[[int], None]

# Tokens of a call, tokens so far, those before the call; rows of sliding layers before it, during it and after it.
# Primes above any real dimension, so that a product tells which of them is in it.
TOKENS, TOTAL, PAST = 1_000_003, 1_000_033, 1_000_037
WINDOW_PAST, WINDOW_SEEN, WINDOW_TOTAL = 1_000_039, 1_000_081, 1_000_099
_NAMES = {
    TOKENS: "sequence",
    TOTAL: "total",
    PAST: "past",
    WINDOW_PAST: "window_past",
    WINDOW_SEEN: "window_seen",
    WINDOW_TOTAL: "window_total",
}


@dataclass(eq=False)
class Value:
    """What a node gives, an input or a constant; dimensions as in a graph under construction."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Stored:
    """A weight in the file beside the graph."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    offset: int
    size: int
    chunks: Chunks


@dataclass(frozen=True)
class Node:
    type: str
    domain: str
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    attributes: Mapping[str, Any]


def unknown(dimension: int) -> bool:
    """Whether a dimension is known at run time alone."""
    return any(dimension % prime == 0 for prime in _NAMES) and dimension > 0


@dataclass
class Graph:
    """One model. ``data`` is the name of the file with its weights."""

    name: str
    data: str
    nodes: list[Node] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    stored: dict[str, Stored] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)
    _counts: dict[str, int] = field(default_factory=dict)
    _shared: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    _end: int = 0

    def input(self, name: str, shape: Sequence[int], dtype: str) -> Value:
        value = Value(self._claim(name), tuple(shape), dtype)
        self.inputs.append(value)
        return value

    def output(self, name: str, value: Value) -> None:
        """Makes a result an output, under its name."""
        value.name = self._claim(name)
        self.outputs.append(value)

    def once(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What was made under ``key`` before, or something new."""
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]

    def constant(self, array: NDArray[Any] | np.generic) -> Value:
        """A small constant inside the graph; equal ones are one."""
        content = np.asarray(array)

        def make() -> Value:
            value = Value(self._fresh("const"), content.shape, content.dtype.name)
            self.constants[value.name] = content
            return value

        return self.once(("constant", content.dtype.name, content.shape, content.tobytes()), make)

    def weight(self, name: str, shape: Sequence[int], dtype: str, size: int, chunks: Chunks) -> Value:
        """A constant whose bytes are read when the file is written; equal names are one.

        Args:
            size: bytes.
            chunks: arrays one after the other, ``size`` bytes in all.
        """

        def make() -> Value:
            begin = -(-self._end // ALIGNMENT) * ALIGNMENT
            self.stored[name] = Stored(self._claim(name), tuple(shape), dtype, begin, size, chunks)
            self._end = begin + size
            return Value(name, tuple(shape), dtype)

        return self.once(("weight", name), make)

    def node(
        self,
        type: str,
        inputs: Sequence[Value | None],
        shape: Sequence[int],
        dtype: str,
        domain: str = "",
        **attributes: Any,
    ) -> Value:
        """Appends a node with one result."""
        return self.several(type, inputs, ((shape, dtype),), domain, **attributes)[0]

    def several(
        self,
        type: str,
        inputs: Sequence[Value | None],
        results: Sequence[tuple[Sequence[int], str]],
        domain: str = "",
        **attributes: Any,
    ) -> tuple[Value, ...]:
        """Appends a node with several results. An input that is None is left out."""
        stem = type.lower()
        made = tuple(Value(self._fresh(stem), tuple(shape), dtype) for shape, dtype in results)
        self.nodes.append(Node(type, domain, tuple(inputs), made, attributes))
        return made

    def rename(self, value: Value, name: str) -> None:
        """Gives a result the name to be found by."""
        value.name = self._claim(name)

    @property
    def bytes(self) -> int:
        """Of the weights' file."""
        return self._end

    def message(self) -> Any:
        """The graph as ``onnx.ModelProto``, weights by reference."""
        import onnx
        from onnx import helper

        graph = onnx.GraphProto(name=self.name)
        for node in self._live():
            inputs = [value.name if value is not None else "" for value in node.inputs]
            outputs = [value.name for value in node.outputs]
            graph.node.append(
                helper.make_node(
                    node.type, inputs, outputs, name=outputs[0], domain=node.domain or None, **node.attributes
                )
            )
        used = {name for node in graph.node for name in node.input}
        for name, array in self.constants.items():
            if name in used:
                graph.initializer.append(onnx.numpy_helper.from_array(np.array(array, order="C"), name))
        for weight in self.stored.values():
            graph.initializer.append(_external(weight, self.data))
        graph.input.extend(map(_declared, self.inputs))
        graph.output.extend(map(_declared, self.outputs))
        imports = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, CONTRIB_OPSET)]
        model = helper.make_model(graph, producer_name="gemma-bridge", ir_version=IR, opset_imports=imports)
        for key, text in sorted(self.metadata.items()):
            model.metadata_props.add(key=key, value=text)
        return model

    def write(self, path: Path, advance: Advance) -> Any:
        """Writes the graph to a path and the weights beside it; gives its ``onnx.ModelProto``.

        Raises:
            ConvertError: whatever reading a weight raises.
        """
        with path.with_name(self.data).open("wb") as file:
            for weight in self.stored.values():
                file.write(bytes(weight.offset - file.tell()))
                for chunk in weight.chunks():
                    content = np.ascontiguousarray(chunk)
                    file.write(content.data.cast("B"))
                    advance(content.nbytes)
                if file.tell() != weight.offset + weight.size:
                    raise ConvertError(f"write {weight.name}", "its size is not what was said", "Report this")
        message = self.message()
        path.write_bytes(message.SerializeToString(deterministic=True))
        return message

    def _live(self) -> list[Node]:
        """Nodes that an output depends on, in order."""
        needed, kept = {id(value) for value in self.outputs}, []
        for node in reversed(self.nodes):
            if any(id(value) in needed for value in node.outputs):
                needed.update(id(value) for value in node.inputs)
                kept.append(node)
        return kept[::-1]

    def _claim(self, name: str) -> str:
        if name in self._names:
            raise AssertionError(f"two values {name}")
        self._names.add(name)
        return name

    def _fresh(self, stem: str) -> str:
        self._counts[stem] = self._counts.get(stem, -1) + 1
        return self._claim(f"{stem}_{self._counts[stem]}")


def element(dtype: str) -> int:
    """``onnx.TensorProto.DataType`` of a type as numpy spells it, or of bfloat16."""
    import onnx

    if dtype == "bfloat16":
        return int(onnx.TensorProto.BFLOAT16)
    return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _external(weight: Stored, data: str) -> Any:
    import onnx

    found = onnx.TensorProto(name=weight.name, data_type=element(weight.dtype), dims=weight.shape)
    found.data_location = onnx.TensorProto.EXTERNAL
    for key, text in (("location", data), ("offset", str(weight.offset)), ("length", str(weight.size))):
        found.external_data.add(key=key, value=text)
    return found


def _declared(value: Value) -> Any:
    from onnx import helper

    shape = [_NAMES.get(size, size) for size in value.shape]
    return helper.make_tensor_value_info(value.name, element(value.dtype), shape)
