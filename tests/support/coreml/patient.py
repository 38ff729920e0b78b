"""Packages to operate on: copies whose program, weights and row tables can be changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from runtime_tests.readers.coreml.mlpackage import open_mlpackage, proto

MODEL, WEIGHTS = "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"


class Patient:
    """A copy of a package and of what lies beside it; :meth:`close` writes the changed program.

    Args:
        source: the package.
        folder: where the copy goes; it must not exist.
    """

    def __init__(self, source: Path, folder: Path) -> None:
        shutil.copytree(source.parent, folder)
        self.path = folder / source.name
        self.model: Any = proto("Model_pb2").Model()
        self.model.ParseFromString((self.path / MODEL).read_bytes())

    def block(self, function: str = "main") -> Any:
        found = self.model.mlProgram.functions[function]
        return found.block_specializations[found.opset]

    def operation(self, name: str, function: str = "main") -> Any:
        """The message of the operation that makes a value."""
        return next(op for op in self.block(function).operations if any(out.name == name for out in op.outputs))

    def constant(self, name: str, function: str = "main") -> Any:
        """The value of a constant, to be written to."""
        return self.operation(name, function).attributes["val"].immediateValue.tensor

    def bytes(self, name: str, parameter: str, function: str) -> Any:
        """The stored bytes of a compressed weight's parameter, writable; they go to the file at once."""
        op = open_mlpackage(self.path).functions[function].producer[name]
        (constant,) = op.inputs[parameter]
        found = self._record(self.operation(name, function).inputs[parameter].arguments[0].value.blobFileValue.offset)
        assert found.size == constant.held.data.size  # type: ignore[union-attr]
        return found

    def stored(self, name: str, function: str) -> Any:
        """The stored bytes of a constant, writable as well."""
        return self._record(self.operation(name, function).attributes["val"].blobFileValue.offset)

    def _record(self, offset: int) -> Any:
        file = np.memmap(self.path / WEIGHTS, np.uint8, "r+")
        size, begin = (int(n) for n in file[offset + 8 : offset + 24].view(np.uint64))
        return file[begin : begin + size]

    def close(self) -> Path:
        (self.path / MODEL).write_bytes(self.model.SerializeToString(deterministic=True))
        return self.path
