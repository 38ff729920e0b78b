"""Constants and weights as torch tensors: read when they are needed, kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import torch

from runtime_tests.errors import CannotRunError
from runtime_tests.readers.coreml.blobs import Blob
from runtime_tests.readers.coreml.program import Constant, Type

ROOM = 4 << 30  # bytes
Key = tuple[Any, ...]


def to_torch(array: Any, type: Type, working: torch.dtype, codes: bool = False) -> torch.Tensor:
    """Floats in the working type, integers as int32, truth values as bool; with ``codes`` small integers in one byte.

    Raises:
        CannotRunError: a type that the evaluator does not compute with.
    """
    if type.dtype in ("float16", "float32"):
        return torch.from_numpy(np.array(array, np.float32)).to(working)
    if type.dtype == "bool":
        return torch.from_numpy(np.array(array, np.bool_))
    if type.dtype.startswith(("int", "uint")) and type.dtype not in ("int64", "uint64", "uint32"):
        if codes and array.itemsize == 1 and array.flags.writeable:  # unpacked just now, and nobody else's
            return torch.from_numpy(np.ascontiguousarray(array))
        return torch.from_numpy(np.array(array, array.dtype if codes and array.itemsize == 1 else np.int32))
    raise CannotRunError(f"values of type {type.dtype} are not known to the evaluator")


def rounded(tensor: torch.Tensor, dtype: str, working: torch.dtype) -> torch.Tensor:
    """A result in its declared type: float16 is rounded there and back; the working type holds float32 itself.

    In float64 nothing is rounded: that is the program without its arithmetic's own errors.
    """
    if working == torch.float64 or dtype != "float16":
        return tensor
    return tensor.half().to(working)


class Weights:
    """Large constants by where they lie, so that functions share them; the least recently used go first.

    Args:
        working: float32 or float64.
        room: bytes to keep.
    """

    def __init__(self, working: torch.dtype, room: int = ROOM) -> None:
        self.working, self.room, self.held = working, room, 0
        self._kept: OrderedDict[Key, torch.Tensor] = OrderedDict()

    def get(self, key: Key, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The tensor of a key, made if it is not there."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        made = make()
        self._kept[key] = made
        self.held += made.nbytes
        while self.held > self.room and len(self._kept) > 1:
            self.held -= self._kept.popitem(last=False)[1].nbytes
        return made

    def drop(self) -> None:
        """Forgets all of them."""
        self._kept.clear()
        self.held = 0


def where(constant: Constant) -> Key:
    """What tells a stored constant from every other: its bytes' place, its type and shape."""
    held = constant.held
    data = held.data if isinstance(held, Blob) else held
    place = data.__array_interface__["data"][0] if isinstance(data, np.ndarray) else data
    return (place, constant.type.dtype, constant.type.shape)


def small(type: Type) -> bool:
    """Constants that are read once and kept for good."""
    return prod(type.shape) <= 4096
