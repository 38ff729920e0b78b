"""The judge's reader of a `.toy`: see the folder's README for the layout."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import InputError
from runtime_tests.readers.bits import twos_complement
from runtime_tests.readers.regular import read_regular

MAGIC = b"TOY1"


class Toy:
    """An opened file.

    Attributes:
        functions: by name.
        tensors: where each lies, and how it is stored.
        activations: scales of a linear's input and output, by its key.
        begin: of the tensors' bytes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._data = read_regular(path)
            if not self._data.startswith(MAGIC):
                raise ValueError("it is no toy")
            self.begin = 12 + int.from_bytes(self._data[4:12], "little")
            header = json.loads(self._data[12 : self.begin])
            self.paint, self.context = str(header["paint"]), int(header["context"])
            self.functions: dict[str, dict[str, Any]] = {one["name"]: one for one in header["functions"]}
            self.tensors: dict[str, dict[str, Any]] = header["tensors"]
            self.activations: dict[str, list[float]] = header["activations"]
            end = self.begin + max(entry["at"] + sum(_bytes(entry)) for entry in self.tensors.values())
            if end != self.size:
                raise ValueError(f"{self.size} bytes, the header describes {end}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path.name}: damaged: {error}") from error

    @property
    def size(self) -> int:
        return len(self._data)

    def sha256(self) -> str:
        return hashlib.sha256(self._data).hexdigest()

    def codes(self, key: str) -> NDArray[np.int8]:
        """``int8 [rows, columns]``."""
        entry = self.tensors[key]
        packed = self._read(key, 0, np.uint8).reshape(entry["shape"][0], -1)
        return twos_complement(packed, entry["bits"], entry["shape"][1])

    def scales(self, key: str) -> NDArray[np.float32]:
        """``float32 [rows, groups]``."""
        return self._read(key, 1, np.float32).reshape(self.tensors[key]["shape"][0], -1)

    def floats(self, key: str) -> NDArray[np.float32]:
        """A tensor that is stored as floats."""
        return self._read(key, 0, np.float32).reshape(self.tensors[key]["shape"])

    @cached_property
    def _matrices(self) -> dict[str, NDArray[np.float32]]:
        return {}

    def matrix(self, key: str) -> NDArray[np.float32]:
        """A matrix, dequantized once."""
        if key not in self._matrices:
            if key in self.tensors:
                codes, scales = self.codes(key), self.scales(key)
                grouped = codes.reshape(len(codes), scales.shape[1], -1) * scales[:, :, None]
                self._matrices[key] = grouped.reshape(codes.shape).astype(np.float32)
            else:
                self._matrices[key] = self.floats(f"{key}.weight")
        return self._matrices[key]

    def _read(self, key: str, part: int, dtype: Any) -> NDArray[Any]:
        sizes = _bytes(self.tensors[key])
        start = self.begin + self.tensors[key]["at"] + sum(sizes[:part])
        return np.frombuffer(self._data[start : start + sizes[part]], np.dtype(dtype).newbyteorder("<"))


def _bytes(entry: dict[str, Any]) -> tuple[int, int]:
    """Bytes of a tensor's numbers and of its scales."""
    rows, columns = entry["shape"][0], prod(entry["shape"][1:])
    return rows * ((columns * entry["bits"] + 7) // 8), 4 * rows * entry["groups"]


def open_toy(path: Path) -> Toy:
    """Opens a file.

    Raises:
        InputError: it is none, or damaged.
    """
    return Toy(path)
