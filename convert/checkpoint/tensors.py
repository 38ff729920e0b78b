"""Floating-point tensors of a checkpoint, read by rows and widened exactly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from convert.checkpoint.safetensors import Tensor
from convert.errors import CheckpointError

FLOATS = ("BF16", "F16", "F32")


def widen(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bfloat16 bit patterns to float32, exactly: a bfloat16 is the upper half of a float32."""
    wide: NDArray[np.uint32] = bits.astype(np.uint32)
    wide <<= np.uint32(16)
    return wide.view(np.float32)


def is_bf16(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which numbers a bfloat16 holds exactly."""
    return (np.ascontiguousarray(values).view(np.uint32) & np.uint32(0xFFFF)) == 0


def tall(tensor: Tensor) -> Tensor:
    """A stack of matrices ``[experts, rows, width]`` as one matrix ``[experts * rows, width]``, of the same bytes."""
    return replace(tensor, shape=(prod(tensor.shape[:-1]), tensor.shape[-1]))


@dataclass(frozen=True)
class StoredFloats:
    """A ``FloatTensor`` over a stored tensor of dtype BF16, F16 or F32."""

    tensor: Tensor

    @property
    def name(self) -> str:
        """Name in the checkpoint's files."""
        return self.tensor.name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape

    @property
    def dtype(self) -> str:
        return self.tensor.dtype

    def bits16(self, start: int, stop: int) -> NDArray[np.uint16]:
        """Rows ``start:stop`` as bfloat16 bit patterns ``uint16 [stop-start, ...]``.

        Raises:
            TypeError: the tensor is not stored as BF16.
        """
        if self.dtype != "BF16":
            raise TypeError(f"{self.name} is {self.dtype}, not BF16")
        return self.tensor.read(start, stop).view("<u2").reshape(self._part(start, stop))

    def float32(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Rows ``start:stop`` (all by default) as ``float32``, in the stored shape."""
        stop = self.tensor.rows if stop is None else stop
        raw = self.tensor.read(start, stop)
        values: NDArray[np.float32]
        if self.dtype == "BF16":
            values = widen(raw.view("<u2"))
        else:
            values = raw.view("<f2" if self.dtype == "F16" else "<f4").astype(np.float32, copy=False)
        return values.reshape(self._part(start, stop))

    def narrowed(self, rows: Iterable[int], asked: str) -> StoredFloats | NarrowedFloats:
        """The same numbers as bfloat16, if those of some ``rows`` are bfloat16 numbers; else the tensor as it is."""
        if self.dtype == "BF16":
            return self
        found = NarrowedFloats(self, asked)
        sample = np.concatenate([self.float32(row, row + 1).reshape(-1) for row in rows])
        return found if is_bf16(sample).all() else self

    def _part(self, start: int, stop: int) -> tuple[int, ...]:
        return (stop - start, *self.shape[1:]) if self.shape else ()


@dataclass(frozen=True)
class NarrowedFloats:
    """A ``FloatTensor`` of bfloat16 numbers that are stored as F32 or F16: a checkpoint saved anew in another type.

    Reading proves of every number that a bfloat16 holds it, and so that nothing was lost on the way.
    """

    stored: StoredFloats
    asked: str

    @property
    def tensor(self) -> Tensor:
        return self.stored.tensor

    @property
    def name(self) -> str:
        return self.stored.name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stored.shape

    @property
    def dtype(self) -> str:
        return "BF16"

    def bits16(self, start: int, stop: int) -> NDArray[np.uint16]:
        """Rows ``start:stop`` as bfloat16 bit patterns ``uint16 [stop-start, ...]``.

        Raises:
            CheckpointError: one of the numbers is none; names the tensor and the row.
        """
        values = self.float32(start, stop)
        return (values.view(np.uint32) >> np.uint32(16)).astype(np.uint16)

    def float32(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Rows ``start:stop`` (all by default) as ``float32``, in the stored shape.

        Raises:
            CheckpointError: as ``bits16``.
        """
        values = np.ascontiguousarray(self.stored.float32(start, stop))
        exact = is_bf16(values)
        if not exact.all():
            row = start + int(np.flatnonzero(~exact.reshape(len(values), -1).all(axis=1))[0])
            found = f"tensor {self.name} is {self.stored.dtype} and holds a number that is no bfloat16, in row {row}"
            action = "Use the checkpoint as it was published, in bfloat16: rounding it here would change the model"
            raise CheckpointError(self.asked, found, action)
        return values
