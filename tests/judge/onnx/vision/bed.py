"""Small models that take images, and damaged ones: the graph that reads images is made anew or changed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from convert.checkpoint import open_folder, resolve
from convert.progress import Silent
from convert.targets.onnx import OnnxOptions, convert, vision
from runtime_tests.onnx.case import OnnxCase, open_pair
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.results import Check

ROWS = 70
OPTIONS = OnnxOptions(context=320, prefill=(512,), image_tokens=str(ROWS))
NAME = "vision.onnx"


class Seeing:
    """A copy of a graph, to be changed, and its weights, to be written into."""

    def __init__(self, path: Path) -> None:
        self.path, self.proto = path, onnx.load(str(path), load_external_data=False)

    def node(self, output: str) -> Any:
        return next(node for node in self.proto.graph.node if output in node.output)

    def users(self, name: str) -> list[Any]:
        return [node for node in self.proto.graph.node if name in node.input]

    def weight(self, name: str, dtype: str) -> NDArray[Any]:
        (tensor,) = [one for one in self.proto.graph.initializer if one.name == name]
        place = {item.key: item.value for item in tensor.external_data}
        size = int(place["length"]) // np.dtype(dtype).itemsize
        return np.memmap(self.path.with_name(place["location"]), dtype, "r+", int(place["offset"]), (size,))

    def own(self, node: Any, at: int, array: NDArray[Any]) -> None:
        """Gives a node a constant of its own for one input."""
        name = f"const_spoilt_{len(self.proto.graph.initializer)}"
        self.proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        node.input[at] = name


class Bed:
    """A model with its checkpoint, and what is judged of it.

    Attributes:
        case: of the undamaged model, which holds what the reference has made.
    """

    def __init__(self, checkpoint: Path, scratch: Path) -> None:
        self._checkpoint, self._scratch = open_folder(resolve(checkpoint), ("image",)), scratch
        self.model = scratch / "sound" / "model.onnx"
        self.model.parent.mkdir()
        convert(self._checkpoint, OPTIONS, self.model, Silent())
        self.case = OnnxCase(open_pair(self.model), open_checkpoint(checkpoint), 1)

    def edited(self, change: Callable[[Seeing], None], name: str = NAME) -> OnnxCase:
        """A copy of the model, one of its graphs changed: by default the one that reads images."""
        seeing = Seeing(self._copied() / name)
        change(seeing)
        seeing.path.write_bytes(seeing.proto.SerializeToString())
        return self.case.like(open_pair(seeing.path.with_name(self.model.name)))

    def lowered_with(self, name: str, what: type) -> OnnxCase:
        """The graph that reads images by a converter in which a class has another meaning."""
        folder = self._copied()
        with replaced(vision, name, what):
            graph = vision.vision(self._checkpoint.modules["vision"], ROWS, f"{NAME}.data")
            graph.write(folder / NAME, lambda count: None)
        return self.case.like(open_pair(folder / self.model.name))

    def _copied(self) -> Path:
        folder = self._scratch / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.model.parent, folder)
        return folder


@contextlib.contextmanager
def replaced(where: Any, name: str, what: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, name, what)
        yield


def faults(found: list[Check]) -> str:
    """Names and notes of the checks that failed."""
    return "; ".join(f"{check.name}: {check.note}" for check in found if not check.passed)
