"""ONNX models to be spoilt: their graphs in memory, their weights in files that can be written into."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from convert.targets.onnx.whole import whole


class Patient:
    """A copy of a folder with a decoder and an embedding model.

    Attributes:
        proto, rows: their graphs.
        both: changes the graph that is made of these two.
    """

    def __init__(self, source: Path, folder: Path) -> None:
        shutil.copytree(source.parent, folder)
        self.path, self.beside = folder / "model.onnx", folder / "embedding.onnx"
        self.proto, self.rows = (onnx.load(str(path), load_external_data=False) for path in (self.path, self.beside))
        self.name_of_both = "text.onnx"
        self.path.with_name(self.name_of_both).unlink()
        self.both: Callable[[Any], None] = lambda whole: None

    def node(self, output: str) -> Any:
        """The node that makes a value."""
        return next(node for node in self.proto.graph.node if output in node.output)

    def users(self, name: str) -> list[Any]:
        return [node for node in self.proto.graph.node if name in node.input]

    def constant(self, name: str) -> Any:
        """Of either graph."""
        every = (*self.proto.graph.initializer, *self.rows.graph.initializer)
        return next(one for one in every if one.name == name)

    def weight(self, name: str, dtype: str) -> NDArray[Any]:
        """A weight in its file, to be written into."""
        place = {item.key: item.value for item in self.constant(name).external_data}
        size = int(place["length"]) // np.dtype(dtype).itemsize
        return np.memmap(self.path.with_name(place["location"]), dtype, "r+", int(place["offset"]), (size,))

    def own(self, node: Any, at: int, array: NDArray[Any]) -> None:
        """Gives a node a constant of its own for one input."""
        name = f"spoilt_{len(self.proto.graph.initializer)}"
        self.proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        node.input[at] = name

    def attribute(self, node: Any, name: str, value: Any) -> None:
        (found,) = [item for item in node.attribute if item.name == name]
        found.CopyFrom(onnx.helper.make_attribute(name, value))

    def save(self) -> Path:
        for path, graph in ((self.path, self.proto), (self.beside, self.rows)):
            if path.exists():
                path.write_bytes(graph.SerializeToString())
        made = whole(self.rows, self.proto)
        self.both(made)
        self.path.with_name(self.name_of_both).write_bytes(made.SerializeToString())
        return self.path
