"""The checkpoint's matrices, of either format, as something to hold an artifact's tensor to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime_tests.litert.weights.stored import Stored
from runtime_tests.measures import metrics
from runtime_tests.readers.bits import to_bfloat16
from runtime_tests.readers.checkpoint import Folder
from runtime_tests.readers.format import Packed

Floats = NDArray[np.float32]
FOLDED, LEAST_DB = 0.05, 12.0


@dataclass(frozen=True)
class Matrix:
    """A matrix of the checkpoint.

    Attributes:
        name: what this project's artifacts call it, ``layers.0.mlp.up_proj.weight``.
        rows: its rows.
        columns: how many columns its stored bytes may hold: packed rows may end inside a byte.
        packed: its integers, in the mobile format.
    """

    folder: Folder
    name: str
    rows: int
    columns: range
    packed: Packed | None

    def fits(self, stored: Stored) -> bool:
        """Whether a constant has the right number of elements; tables may be split into more rows than stored."""
        rows, columns = stored.shape
        return rows > 0 and rows % self.rows == 0 and columns * (rows // self.rows) in self.columns

    def values(self, start: int, stop: int, columns: int) -> Floats:
        """Rows ``start:stop``, float32 ``[rows, columns]``: code times scale, or the stored floats."""
        if self.packed is None:
            return self.folder.values(self.name, start, stop).reshape(stop - start, -1)
        codes = self.folder.codes(self.packed, start, stop, columns).astype(np.float32)
        scales = self.folder.scales(self.packed, start, stop)
        out: Floats = codes.reshape(*scales.shape, -1) * scales[:, :, None]
        return out.reshape(codes.shape)


@dataclass(frozen=True)
class Drift:
    """How far an artifact's matrix is from the checkpoint's.

    Attributes:
        name: the matrix.
        snr_db: of the values; after division by ``gain``.
        changed: fraction of the weights that lost their integer, or, where the checkpoint stores floats, their value.
        gain: a factor that the artifact has multiplied in, such as an embedding's; else 1.
        kind: how the artifact stores it.
    """

    name: str
    snr_db: float
    changed: float
    gain: float
    kind: str

    def __str__(self) -> str:
        times = "" if self.gain == 1.0 else f", times {self.gain:.4g}"
        return f"{self.snr_db:.1f} dB, {100 * self.changed:.3g} % of codes changed ({self.kind}{times})"


def matrices(folder: Folder) -> list[Matrix]:
    """Every matrix that the decoder uses: packed ones, and floats of two dimensions."""
    out = []
    for packed in folder.packed.values():
        width, per_byte = folder.shape(packed.names[0])[1], 8 // packed.bits
        columns = range((width - 1) * per_byte + 1, width * per_byte + 1)
        out.append(Matrix(folder, f"{packed.key}.weight", packed.rows, columns, packed))
    for key in folder.floats:
        shape = folder.shape(key)
        if len(shape) == 2:
            out.append(Matrix(folder, key, shape[0], range(shape[1], shape[1] + 1), None))
    return out


def drift(matrix: Matrix, stored: Stored) -> Drift:
    """Compares every element, in blocks of rows."""
    parts, columns = stored.shape[0] // matrix.rows, stored.shape[1] * (stored.shape[0] // matrix.rows)
    sums, changed = np.zeros(4), 0
    same_bits = matrix.packed is not None and stored.bits == matrix.packed.bits
    for start, stop in matrix.folder.blocks(matrix.rows, columns):
        expected = matrix.values(start, stop, columns)
        found = stored.rows(start * parts, stop * parts).reshape(stop - start, columns)
        a, b = expected.ravel().astype(np.float64), found.ravel().astype(np.float64)
        sums += (a @ a, a @ b, b @ b, np.sum((a - b) ** 2))
        if matrix.packed is None:
            changed += int(np.count_nonzero(_patterns(found) != _patterns(expected)))
            continue
        codes = matrix.folder.codes(matrix.packed, start, stop, columns)
        if same_bits:
            mine = stored.codes(start * parts, stop * parts).reshape(codes.shape)
        else:  # the step of the checkpoint's own grid that the value is nearest to
            scales = matrix.folder.scales(matrix.packed, start, stop)
            steps = found.reshape(*scales.shape, -1) / np.where(scales == 0, 1, scales)[:, :, None]
            mine = np.rint(steps).reshape(codes.shape)
        changed += int(np.count_nonzero(mine != codes))
    signal, dot, energy, noise = map(float, sums)
    gain, snr = 1.0, _decibels(signal, noise)
    factor = dot / signal if signal else 1.0
    if factor > 0 and abs(factor - 1.0) > FOLDED:
        scaled = _decibels(signal, max(0.0, signal - 2 * dot / factor + energy / factor**2))
        if scaled >= LEAST_DB:  # otherwise it is coarse rounding that made the values smaller, and no factor
            gain, snr = factor, scaled
    return Drift(matrix.name.removesuffix(".weight"), snr, changed / (matrix.rows * columns), gain, stored.kind)


def _decibels(signal: float, noise: float) -> float:
    if noise == 0.0:
        return metrics.CAP_DB
    return min(metrics.CAP_DB, 10 * float(np.log10(signal / noise))) if signal else -metrics.CAP_DB


def _patterns(values: Floats) -> NDArray[np.uint16]:
    """bfloat16 patterns, with one zero."""
    found = to_bfloat16(values)
    out: NDArray[np.uint16] = np.where(found & 0x7FFF, found, np.uint16(0))
    return out
