"""The values behind a constant of any ``.tflite``: floats, integers with scales per tensor, per axis or per block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime_tests.litert.weights.lattice import open_lattice
from runtime_tests.readers.litert.tflite import BITS, Subgraph, Tensor, Tflite

Floats = NDArray[np.float32]
_FLOATS = ("FLOAT32", "FLOAT16")


@dataclass(frozen=True)
class Stored:
    """A constant, seen as a matrix: ``[first dimension, the others together]``."""

    model: Tflite
    graph: Subgraph
    tensor: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        rows = self.tensor.shape[0] if self.tensor.shape else 1
        return rows, int(np.prod(self.tensor.shape[1:], dtype=np.int64))

    @property
    def bits(self) -> int:
        """Bits of a weight."""
        return BITS.get(self.tensor.type) or {"FLOAT16": 16, "INT16": 16}.get(self.tensor.type, 32)

    @property
    def readable(self) -> bool:
        """Whether :meth:`rows` knows how to make values of it."""
        quantization, kind = self.tensor.quantization, self.tensor.type
        if kind in _FLOATS:
            return True
        if kind not in BITS or quantization is None:
            return False
        if quantization.block:
            scales = self._block_scales
            return scales is not None and self.shape[1] == quantization.block * scales.shape[-1]
        return quantization.scales.size == 1 or (
            0 <= quantization.dimension < len(self.tensor.shape)
            and quantization.scales.size == self.tensor.shape[quantization.dimension]
        )

    @property
    def kind(self) -> str:
        """How it is stored, in words."""
        quantization = self.tensor.quantization
        if self.tensor.type in BITS and quantization is not None and quantization.block:
            return f"{self.tensor.type} in blocks of {quantization.block}"
        return self.tensor.type

    def codes(self, start: int, stop: int) -> NDArray[np.int8]:
        """Integers of rows ``start:stop``, ``int8 [rows, columns]``."""
        return np.asarray(self.model.rows(self.tensor, start, stop)).reshape(stop - start, -1)

    def rows(self, start: int, stop: int) -> Floats:
        """Values of rows ``start:stop``, ``float32 [rows, columns]``."""
        found = np.asarray(self.model.rows(self.tensor, start, stop)).reshape(stop - start, -1)
        if self.tensor.type in _FLOATS:
            return found.astype(np.float32)
        lattice = open_lattice(self.model, self.graph, self.tensor)
        if not isinstance(lattice, str):  # with the offsets and factors that this project's files have
            return lattice.rows(start, stop)
        quantization = self.tensor.quantization
        assert quantization is not None
        values = found.astype(np.float32)
        if quantization.block:
            scales = self._block_scales
            assert scales is not None
            wide = np.asarray(self.model.rows(scales, start, stop)).astype(np.float32)
            blocks: Floats = values.reshape(*wide.shape, quantization.block) * wide[..., None]
            return blocks.reshape(values.shape)
        zero = quantization.zero_points.astype(np.float32) if quantization.zero_points.size else np.zeros(1, np.float32)
        if quantization.scales.size == 1 or quantization.dimension != 0:
            shape = [1] * len(self.tensor.shape)
            if quantization.scales.size > 1:
                shape[quantization.dimension] = -1
            shaped = values.reshape(stop - start, *self.tensor.shape[1:])
            spread: Floats = (shaped - zero.reshape(shape if zero.size > 1 else [1] * len(shape))) * (
                quantization.scales.reshape(shape)
            )
            return spread.reshape(stop - start, -1)
        part = zero[start:stop] if zero.size > 1 else zero
        out: Floats = (values - part[:, None]) * quantization.scales[start:stop, None]
        return out

    @property
    def _block_scales(self) -> Tensor | None:
        quantization = self.tensor.quantization
        index = -1 if quantization is None else quantization.scale_tensor
        if not 0 <= index < len(self.graph.tensors):
            return None
        scales = self.graph.tensors[index]
        fits = scales.type in _FLOATS and len(scales.shape) == 2 and scales.shape[0] == self.shape[0]
        return scales if fits else None
