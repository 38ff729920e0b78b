"""The q4_0 format: bfloat16 weights that are the rounding of a lattice of four bits; ``runtime_tests.weights``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime_tests.readers.format import Packed, Storage, Stored

METHOD = None
STATIC_ACTIVATIONS = False
STORAGE: Storage = "rounded lattice"


def packed(folder: Stored) -> dict[str, Packed]:
    """None: no integers are stored."""
    return {}


def codes(folder: Stored, packed: Packed, start: int, stop: int, columns: int) -> NDArray[np.int8]:
    """There are none."""
    raise AssertionError(f"{packed.key}: this format packs nothing")
