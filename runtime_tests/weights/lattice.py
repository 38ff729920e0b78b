"""q4_0 weights before the rounding to bfloat16 that the checkpoint stores, and bfloat16's own questions.

A q4_0 checkpoint stores ``bfloat16(code * scale)``: the code itself is lost in the last bits, and every weight is up to
2**-9 of itself off the lattice it was trained on. An artifact multiplies the lattice itself. So there are two
references: the stored weights, and the lattice whose rounding they are (rung 0 proves that, element by element). The
distance between the two is the checkpoint's own rounding, and no fault of the artifact.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime_tests.readers.bits import to_bfloat16

BLOCK = 32  # weights with one scale


class Lattice(Protocol):
    """A matrix of an artifact, on its lattice."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def rows(self, start: int, stop: int) -> Any:
        """Weights of rows ``start:stop``, float32 ``[rows, in]``."""

    def release(self) -> None:
        """Forgets the pages of the codes."""


def no_bfloat16(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which numbers would change if they were stored as bfloat16.

    >>> no_bfloat16(np.array([1.0, 1.0078125, 1.0009765625], np.float32)).tolist()
    [False, False, True]
    """
    out: NDArray[np.bool_] = (np.ascontiguousarray(values, np.float32).view(np.uint32) & 0xFFFF) != 0
    return out


def same_rounding(lattice: NDArray[np.float32], stored: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each lattice value rounds to the stored bfloat16, bit for bit; zeros by value."""
    bits = (np.ascontiguousarray(stored).view(np.uint32) >> 16).astype(np.uint16)
    return same_patterns(to_bfloat16(lattice), bits)


def same_patterns(mine: NDArray[np.uint16], bits: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Whether bfloat16 patterns are the same; zeros by value."""
    out: NDArray[np.bool_] = (mine == bits) | (((mine | bits) & 0x7FFF) == 0)
    return out
