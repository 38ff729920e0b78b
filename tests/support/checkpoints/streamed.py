"""Values of a q4_0 checkpoint of real size, at the speed of a disk: bfloat16 bits made from raw random bits.

Pieces are small enough to stay in a processor's cache. Each tensor has a random stream of its own, seeded by its key.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from convert.demo.writing import bfloat16
from convert.demo.writing.stored import Matrix
from tests.support.checkpoints import values

PIECE_BYTES = 1 << 20
# Codes of columns 0, 2, 4, ... and 1, 3, 5, ..., each equally likely: together the bell that Q4_0 makes of a Gaussian.
# Every block has a -8 besides, as every block of ggml's quantizer has.
_EVEN = (-7, -5, -4, -3, -2, -1, -1, 0, 0, 1, 1, 2, 3, 4, 5, 7)
_ODD = (-6, -4, -3, -3, -2, -1, 0, 0, 0, 1, 1, 2, 2, 3, 4, 6)
# Two codes for each byte, as one item.
_PAIRS = np.array([[_EVEN[byte & 15], _ODD[byte >> 4]] for byte in range(256)], np.float32).view(np.uint64)[:, 0]
_CODES_LENGTH = math.sqrt(
    (64 + (sum(c * c for c in _EVEN) + sum(c * c for c in _ODD)) / 32 * (values.BLOCK - 1)) / values.BLOCK
)
# A float whose magnitude is spread over four octaves, each equally likely: its root mean square, in units of the least.
_DENSE_LENGTH = math.sqrt(7 / 3 * (1 + 4 + 16 + 64) / 4)
_SIGN_AND_FOUR_OCTAVES = np.uint16(0x81FF)


def lattice(matrix: Matrix, seed: int) -> Iterator[bytes]:
    """Rows of ``bf16(code * d)`` in blocks of 32, d a bfloat16 of either sign; see ``values.q4_0``."""
    gains = values.row_gains(matrix, seed, None)[:, 0] / np.float32(_CODES_LENGTH)
    generator = values.stream(seed, matrix.key)
    blocks = matrix.columns // values.BLOCK
    step = max(1, PIECE_BYTES // (2 * matrix.columns))
    for start in range(0, matrix.rows, step):
        wanted = np.repeat(gains[start : start + step], blocks)
        yield _lattice(wanted, generator).tobytes()


def _lattice(gains: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.uint16]:
    """bfloat16 bits ``[blocks, 32]`` whose codes have a root mean square of ``gains`` times that of the codes."""
    count = len(gains)
    codes = _PAIRS[_random(generator, count * values.BLOCK // 2)].view(np.float32).reshape(count, values.BLOCK)
    place = _random(generator, count) & np.uint8(values.BLOCK - 1)
    codes[np.arange(count), place] = -8
    drawn = generator.random(count, np.float32)
    sparse = np.flatnonzero(drawn < values.ZERO_BLOCKS + values.SPARSE_BLOCKS)
    codes[sparse] = np.where(codes[sparse] < 0, np.float32(-8), np.float32(0))
    # Either sign, or all rows would have the direction in common that every block's -8 makes.
    sign = np.where(_random(generator, count) & np.uint8(1), np.float32(-1), np.float32(1))
    scales = bfloat16.nearest(gains * sign * (np.float32(0.57) + np.float32(0.8) * drawn))
    scales[drawn < values.ZERO_BLOCKS] = 0
    codes *= scales[:, None]
    return bfloat16.to_bits(codes)


def dense(name: str, dims: tuple[int, ...], seed: int, groups: int, gains: NDArray[np.float32]) -> Iterator[bytes]:
    """Rows of bfloat16 numbers that lie on no grid.

    Args:
        dims: rows and columns.
        groups: slices of a row, each with a gain of its own.
        gains: root mean square of each, ``float32 [rows, groups]``, met within a tenth.
    """
    rows, columns = dims
    generator = values.stream(seed, name)
    least = bfloat16.to_bits(gains / np.float32(_DENSE_LENGTH))
    step = max(1, PIECE_BYTES // (2 * columns))
    for start in range(0, rows, step):
        count = min(step, rows - start)
        bits = _random(generator, 2 * count * columns).view(np.uint16) & _SIGN_AND_FOUR_OCTAVES
        # The bits of a positive float grow with its logarithm: adding to them multiplies it.
        found = bits.reshape(count, groups, -1) + least[start : start + count, :, None]
        yield found.tobytes()


def _random(generator: np.random.Generator, count: int) -> NDArray[np.uint8]:
    raw: NDArray[np.uint64] = generator.bit_generator.random_raw(-(-count // 8))
    return raw.view(np.uint8)[:count]
