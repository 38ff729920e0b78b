"""Floating-point tensors of a checkpoint, read by rows and widened exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.checkpoint.safetensors import Tensor

FLOATS = ("BF16", "F16", "F32")


def widen(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bfloat16 bit patterns to float32, exactly: a bfloat16 is the upper half of a float32."""
    wide: NDArray[np.uint32] = bits.astype(np.uint32)
    wide <<= np.uint32(16)
    return wide.view(np.float32)


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

    def _part(self, start: int, stop: int) -> tuple[int, ...]:
        return (stop - start, *self.shape[1:]) if self.shape else ()
