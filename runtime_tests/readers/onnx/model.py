"""Strict reader of an ONNX model with external data.

The protobuf is read by ``onnx`` alone; weights stay in the file and are given as views of a memory map. Names of data
files must be plain names beside the model, ranges must lie in them and be as long as shapes and types say.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import InputError
from runtime_tests.readers.regular import open_regular, read_regular

LARGEST_GRAPH = 256 << 20  # bytes, without external data
_INLINE, _EXTERNAL = 0, 1  # TensorProto.data_location


@dataclass(frozen=True)
class Node:
    """One operator of the graph; ``domain`` is empty for ONNX's own."""

    name: str
    type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Outside:
    """What goes in or comes out: a dimension that is open has its name."""

    shape: tuple[int | str, ...]
    dtype: str


@dataclass(frozen=True)
class OnnxModel:
    """An opened model; of its weights nothing has been read.

    Attributes:
        proto: the ``ModelProto``, for whoever cuts a part out of it.
    """

    path: Path
    proto: Any

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        from onnx import helper

        return tuple(
            Node(
                node.name,
                node.op_type,
                node.domain,
                tuple(node.input),
                tuple(node.output),
                {item.name: helper.get_attribute_value(item) for item in node.attribute},
            )
            for node in self.proto.graph.node
        )

    @cached_property
    def producer(self) -> dict[str, Node]:
        """Nodes by what they make."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    @cached_property
    def consumers(self) -> dict[str, list[Node]]:
        """Nodes by what they take."""
        found: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found[name].append(node)
        return found

    @cached_property
    def inputs(self) -> dict[str, Outside]:
        return {value.name: _outside(value) for value in self.proto.graph.input}

    @cached_property
    def outputs(self) -> dict[str, Outside]:
        return {value.name: _outside(value) for value in self.proto.graph.output}

    @cached_property
    def metadata(self) -> dict[str, str]:
        return {item.key: item.value for item in self.proto.metadata_props}

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The graph, then the files of its external data, sorted."""
        data = {self.path.with_name(_location(tensor)["location"]) for tensor in self._tensors.values() if _out(tensor)}
        return (self.path, *sorted(data))

    @property
    def size(self) -> int:
        """Bytes of the graph and its data."""
        return sum(path.stat().st_size for path in self.files)

    @property
    def constants(self) -> tuple[str, ...]:
        """Names of all initializers."""
        return tuple(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of an initializer."""
        return tuple(self._tensors[name].dims)

    def dtype(self, name: str) -> str:
        return _dtype(self._tensors[name])

    def stored(self, name: str) -> bytes:
        """How an initializer is stored, but for its name: type, shape, and its content or where that lies."""
        tensor = type(self._tensors[name])()
        tensor.CopyFrom(self._tensors[name])
        tensor.ClearField("name")
        return bytes(tensor.SerializeToString(deterministic=True))

    def array(self, name: str) -> NDArray[Any]:
        """An initializer; a view of the file where it lies outside."""
        tensor = self._tensors[name]
        if not _out(tensor):
            from onnx import numpy_helper

            return np.asarray(numpy_helper.to_array(tensor))
        place = _location(tensor)
        begin = int(place["offset"])
        whole = self._maps[place["location"]]
        return whole[begin : begin + int(place["length"])].view(_dtype(tensor)).reshape(tuple(tensor.dims))

    @cached_property
    def _tensors(self) -> dict[str, Any]:
        return {tensor.name: tensor for tensor in self.proto.graph.initializer}

    @cached_property
    def _maps(self) -> dict[str, NDArray[np.uint8]]:
        return {path.name: np.memmap(path, np.uint8, "r") for path in self.files[1:]}


def open_onnx(path: Path) -> OnnxModel:
    """Opens a model and looks at every reference into its data.

    Raises:
        InputError: damaged, or it points outside of its files.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        if path.stat().st_size > LARGEST_GRAPH:
            raise InputError(f"{path.name}: a graph of {path.stat().st_size} bytes is not read")
        proto = onnx.ModelProto()
        proto.ParseFromString(read_regular(path))
    except (OSError, DecodeError) as error:
        raise InputError(f"{path.name}: {error}") from error
    if not proto.graph.node:
        raise InputError(f"{path.name}: no graph")
    model = OnnxModel(path, proto)
    names = [tensor.name for tensor in proto.graph.initializer]
    if len(set(names)) != len(names):
        raise InputError(f"{path.name}: two constants of one name")
    for tensor in proto.graph.initializer:
        _check(path, tensor)
    return model


def _check(path: Path, tensor: Any) -> None:
    where = f"{path.name}: {tensor.name}"
    try:
        dtype = np.dtype(_dtype(tensor))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: of no type that is known") from error
    if tensor.data_location == _INLINE and not tensor.external_data:
        return
    if tensor.data_location != _EXTERNAL:
        raise InputError(f"{where}: neither inside nor outside")
    place = _location(tensor)
    name, begin, length = place.get("location", ""), place.get("offset", ""), place.get("length", "")
    if Path(name).name != name or name in ("", ".", ".."):
        raise InputError(f"{where}: {name!r} is not the plain name of a file")
    if not begin.isdecimal() or not length.isdecimal():
        raise InputError(f"{where}: offset {begin[:20]!r}, length {length[:20]!r}")
    if any(size < 0 for size in tensor.dims) or int(length) != dtype.itemsize * prod(tensor.dims):
        raise InputError(f"{where}: {length} bytes for {list(tensor.dims)} of {dtype}")
    try:
        with open_regular(path.with_name(name)) as file:
            file.seek(0, 2)
            end = file.tell()
    except OSError as error:
        raise InputError(f"{where}: {error}") from error
    if int(begin) + int(length) > end:
        raise InputError(f"{where}: it ends at {int(begin) + int(length)}, {name} at {end}")


def _out(tensor: Any) -> bool:
    return bool(tensor.data_location == _EXTERNAL)


def _location(tensor: Any) -> dict[str, str]:
    return {item.key: item.value for item in tensor.external_data}


def _dtype(tensor: Any) -> str:
    from onnx import helper

    return str(np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)).name)


def _outside(value: Any) -> Outside:
    from onnx import helper

    kind = value.type.tensor_type
    shape = tuple(one.dim_param or one.dim_value for one in kind.shape.dim)
    return Outside(shape, str(np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type)).name))
