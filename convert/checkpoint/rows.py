"""Reading matrices in pieces, for every target that streams weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from convert.checkpoint.types import FloatTensor
from convert.errors import CheckpointError

CHUNK = 8 << 20  # bytes of one streamed piece


def check_finite(tensor: FloatTensor, start: int, rows: NDArray[np.float32]) -> None:
    """Refuses rows from ``start`` on that hold infinities or NaNs: small tensors are checked when they are opened.

    Raises:
        CheckpointError: names the tensor and the row.
    """
    wrong = ~np.isfinite(rows)
    if wrong.any():
        row = start + int(np.flatnonzero(wrong.reshape(len(rows), -1).any(axis=1))[0])
        raise CheckpointError(
            f"convert {tensor.name}", f"row {row} holds a number that is not finite", "Download the checkpoint again"
        )


def row_blocks(rows: int, width: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows of ``width`` bytes that together make up about one chunk."""
    step = max(1, CHUNK // max(1, width))
    for start in range(0, rows, step):
        yield start, min(start + step, rows)
