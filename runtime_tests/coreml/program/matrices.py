"""Weights of a package as the checkpoint speaks of them: codes, scales, values, by module path.

A matrix is the value ``<module path>_weight``, every character outside ``[A-Za-z0-9_]`` replaced by ``_``. A float16
program may keep a part of each scale in a second constant, ``<module path>_gain``, which multiplies the product.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import CannotRunError
from runtime_tests.readers.coreml.blobs import Blob
from runtime_tests.readers.coreml.program import Constant, Function

BLOCKWISE, TABLE = "constexpr_blockwise_shift_scale", "constexpr_lut_to_dense"
LOWEST_CRUMB = -2  # entry 0 of a table stands for this code


def named(key: str) -> str:
    """A name of the checkpoint as programs spell it.

    >>> named("layers.0.mlp.up_proj.weight")
    'layers_0_mlp_up_proj_weight'
    """
    return re.sub(r"[^A-Za-z0-9_]", "_", key)


@dataclass(frozen=True)
class Matrix:
    """A compressed weight ``[out, in]`` of a program.

    Attributes:
        bits: 2, 4 or 8.
        indices: the stored integers.
        scale: ``[out, groups]``, or for 2 bits the tables ``[out, 1, 4, 1]``.
        gain: ``[out]`` or ``[1]``, or None for 1.
    """

    bits: int
    indices: Constant
    scale: Constant
    gain: Constant | None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.indices.type.shape

    def codes(self, start: int, stop: int) -> NDArray[np.int8]:
        """Codes of rows ``start:stop``, int8 ``[rows, in]``."""
        found = self.indices.array(start, stop).astype(np.int8, copy=False)
        return found + np.int8(LOWEST_CRUMB) if self.bits == 2 else found

    def packed(self, start: int, stop: int) -> NDArray[np.uint8] | None:
        """The stored bytes of those rows, a view of the file; None where rows begin inside a byte.

        Codes of 2 bits are counted from the lowest, the others are two's complement.
        """
        held, width = self.indices.held, self.shape[1] * self.bits
        if not isinstance(held, Blob) or width % 8:
            return None
        return held.data[start * width // 8 : stop * width // 8]

    def scales(self, start: int, stop: int) -> NDArray[np.float32]:
        """Scales of those rows, the gain included: float32 ``[rows, groups]``; for 2 bits what code 1 stands for."""
        found = self.scale.array(start, stop).astype(np.float32)
        if self.bits == 2:
            found = found[:, 0, 1 - LOWEST_CRUMB]
        return found * self._gain(start, stop)

    def tables(self, start: int, stop: int) -> NDArray[np.float32]:
        """For 2 bits: what each code stands for in those rows, the gain included, float32 ``[rows, 4]``."""
        return self.scale.array(start, stop).astype(np.float32)[:, 0, :, 0] * self._gain(start, stop)

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Values of those rows, float32 ``[rows, in]``."""
        codes, scales = self.codes(start, stop).astype(np.float32), self.scales(start, stop)
        blocks = codes.reshape(*scales.shape, -1)
        blocks *= scales[:, :, None]
        return np.asarray(blocks.reshape(codes.shape), np.float32)

    def _gain(self, start: int, stop: int) -> NDArray[np.float32]:
        if self.gain is None:
            return np.ones((1, 1), np.float32)
        found = self.gain.array() if self.gain.type.shape == (1,) else self.gain.array(start, stop)
        return found.astype(np.float32).reshape(-1, 1)


def matrix(function: Function, key: str) -> Matrix | str:
    """The compressed weight of a module path, or what is wrong with it."""
    op = function.producer.get(named(f"{key}.weight"))
    if op is None:
        return "not in the program"
    if op.kind not in (BLOCKWISE, TABLE):
        return f"made by {op.kind}"
    names = ("indices", "lut") if op.kind == TABLE else ("data", "scale")
    found = [function.constant(argument) if (argument := function.one(op, name)) else None for name in names]
    if None in found or set(op.inputs) != set(names):
        return f"{op.kind} of {', '.join(op.inputs)}"
    indices, scale = found[0], found[1]
    assert indices is not None
    assert scale is not None
    match = re.fullmatch(r"u?int([248])", indices.type.dtype)
    if match is None or (op.kind == TABLE) != (indices.type.dtype == "uint2") or len(indices.type.shape) != 2:
        return f"{op.kind} of {indices.type.dtype}{list(indices.type.shape)}"
    rows, groups = indices.type.shape[0], scale.type.shape[1] if len(scale.type.shape) > 1 else 0
    expected = (rows, 1, 4, 1) if op.kind == TABLE else (rows, groups)
    if scale.type.shape != expected or groups < 1 or indices.type.shape[1] % groups:
        return f"scales of shape {list(scale.type.shape)} for {list(indices.type.shape)}"
    if scale.type.dtype not in ("float16", "float32"):
        return f"scales of type {scale.type.dtype}"
    gain = function.constant(named(f"{key}.gain")) if named(f"{key}.gain") in function.producer else None
    if gain is not None and gain.type.shape not in ((1,), (rows,)):
        return f"a gain of shape {list(gain.type.shape)}"
    return Matrix(int(match[1]), indices, scale, gain)


def required(function: Function, key: str) -> Matrix:
    """As :func:`matrix`.

    Raises:
        CannotRunError: something is wrong with it.
    """
    found = matrix(function, key)
    if isinstance(found, str):
        raise CannotRunError(f"{key}: {found}; see rung 0")
    return found
