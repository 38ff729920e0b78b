"""The q4_0-unquantized format: bfloat16 weights, the decoder's matrices on a Q4_0 lattice, and nothing that says so.

The same numbers stored as float32, or as float16 where that holds them, are the same checkpoint: `NarrowedFloats`.

Whether a matrix lies on the lattice is detected on a sample of its rows when the checkpoint is opened, and proven for
every block when its rows are read: ``LatticeError`` names the first one that does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.checkpoint.fields import Fields
from convert.checkpoint.format import Contents
from convert.checkpoint.ledger import Ledger
from convert.checkpoint.other_kinds import USE
from convert.checkpoint.outline import Outline, Part
from convert.checkpoint.recover import BLOCK, recover
from convert.checkpoint.tensors import NarrowedFloats, StoredFloats, tall, widen
from convert.checkpoint.types import FloatTensor
from convert.errors import CheckpointError, LatticeError
from convert.lattice import QuantTensor, pack

METHOD = None  # ``quant_method`` in config.json
_PROBED_ROWS = 8
# Blocks of bfloat16 noise practically never fit the lattice; blocks with one or two distinct values may by chance.
_MOSTLY = 0.1
# Weights a step: small enough for the temporaries to stay in the cache.
_STEP = 1 << 16


Floats = StoredFloats | NarrowedFloats


class OtherHalf:
    """Keeps what the next call will ask for: codes and scales of the same rows are read one after the other.

    One array for a whole checkpoint, handed over and forgotten, so that a matrix that was read holds no memory.
    """

    def __init__(self) -> None:
        self._kept: tuple[tuple[str, int, int, str], Any] | None = None

    def keep(self, key: tuple[str, int, int, str], array: Any) -> None:
        self._kept = key, array

    def take(self, key: tuple[str, int, int, str]) -> Any:
        """The array that was kept under this key, or None."""
        kept = self._kept
        if kept is None or kept[0] != key:
            return None
        self._kept = None
        return kept[1]


@dataclass(frozen=True)
class LatticeMatrix:
    """A ``QuantTensor`` of 4 bits with a scale for every 32 columns, recovered while its rows are read.

    ``codes``, ``scales`` and ``packed`` raise ``LatticeError`` when a block of the rows is not on the lattice.

    Attributes:
        stored: ``[rows, columns]``; of a stack, all rows of its matrices.
    """

    stored: Floats
    asked: str
    memory: OtherHalf
    stack: int | None = None

    @property
    def name(self) -> str:
        return self.stored.name

    @property
    def rows(self) -> int:
        return self.stored.shape[0]

    @property
    def columns(self) -> int:
        return self.stored.shape[1]

    @property
    def bits(self) -> int:
        return 4

    @property
    def groups(self) -> int:
        return self.columns // BLOCK

    def packed(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Rows as two's complement bytes ``uint8 [stop-start, columns/2]``."""
        return pack(self.codes(start, stop), 4)

    def codes(self, start: int, stop: int) -> NDArray[np.int8]:
        """Rows as codes ``int8 [stop-start, columns]``."""
        kept = self.memory.take((self.name, start, stop, "codes"))
        if kept is not None:
            return kept
        codes, scales = self._recovered(start, stop)
        self.memory.keep((self.name, start, stop, "scales"), scales)
        return codes

    def scales(self, start: int, stop: int) -> NDArray[np.float32]:
        """Scales ``float32 [stop-start, columns/32]``: bfloat16 numbers, possibly negative; 0 for a block of zeros."""
        kept = self.memory.take((self.name, start, stop, "scales"))
        if kept is not None:
            return kept
        codes, scales = self._recovered(start, stop)
        self.memory.keep((self.name, start, stop, "codes"), codes)
        return scales

    def _recovered(self, start: int, stop: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        codes = np.empty((stop - start, self.columns), np.int8)
        scales = np.empty((stop - start, self.groups), np.float32)
        step = max(1, _STEP // self.columns)
        for first in range(start, stop, step):
            last = min(stop, first + step)
            found, bits, fits = recover(self.stored.bits16(first, last).reshape(-1, BLOCK))
            if not fits.all():
                row, block = divmod(int(np.flatnonzero(~fits)[0]), self.groups)
                raise off_lattice(self.asked, self.name, first + row, block)
            codes[first - start : last - start] = found.reshape(last - first, self.columns)
            scales[first - start : last - start] = widen(bits).reshape(last - first, self.groups)
        return codes, scales


def off_lattice(asked: str, name: str, row: int, block: int) -> LatticeError:
    """The refusal of a block: columns ``32 * block`` to ``32 * block + 31`` of a row."""
    columns = f"columns {BLOCK * block}..{BLOCK * block + BLOCK - 1}"
    found = f"tensor {name} is not on the Q4_0 lattice at row {row}, block {block} ({columns})"
    return LatticeError(asked, found, "Download the checkpoint again; a fine-tuned or merged one has left its grid")


def read(ledger: Ledger, outline: Outline[Any], settings: Fields | None) -> Contents:
    """Takes a module's tensors and decides for each matrix that may lie on the lattice whether it does.

    Matrices that training does not round (``Part.rounded``) are carried as the floats they are, which is exact whatever
    they lie on; so is one that it perhaps rounds and of which nearly no block fits. Of those that it always rounds, all
    have to lie on the lattice where one does. Where none does, the module is no QAT's, and only one that may be stored
    as floats (``Outline.floats``) is taken.

    Raises:
        LatticeError: a matrix that is always rounded is off the lattice that others lie on; or most blocks of a matrix
            fit and one does not; or its rows are no multiple of 32 long.
        CheckpointError: no matrix lies on the lattice (not a QAT checkpoint); a tensor is missing or has a wrong shape.
    """
    quants: dict[str, QuantTensor] = {}
    floats: dict[str, FloatTensor] = {}
    matrices, memory, astray = 0, OtherHalf(), list[Floats]()
    for part in outline.parts:
        stored = ledger.floats(outline, part)
        if part.rounded != "never":
            matrices += 1
            matrix = _narrowed(StoredFloats(tall(stored.tensor)), ledger.asked)
            if _lies_on_lattice(matrix, ledger.asked):
                quants[part.key] = LatticeMatrix(matrix, ledger.asked, memory, _stack(part))
                continue
            if part.rounded == "always":
                astray.append(matrix)
        # Vectors become float32 in any case.
        floats[part.float_key] = stored if part.kind in ("plain", "bound") else _narrowed(stored, ledger.asked)
    if outline.floats and not quants:
        return Contents("floats", {}, floats, {}, {})
    if matrices and not quants:
        found = f"not a QAT checkpoint: none of the decoder's {matrices} matrices lies on a Q4_0 lattice"
        raise CheckpointError(ledger.asked, f"{found}, and config.json has no quantization_config", USE)
    if astray:
        raise _astray(astray[0], ledger.asked)
    return Contents("rounded lattice", quants, floats, {}, {})


def _narrowed(stored: StoredFloats, asked: str) -> Floats:
    return stored.narrowed(_probed(stored.shape[0]), asked)


def _stack(part: Part) -> int | None:
    return part.shape[0] if part.kind == "experts" else None


def _astray(stored: Floats, asked: str) -> LatticeError:
    """The refusal of a matrix that is off the lattice as a whole, with the first block that shows it."""
    if stored.dtype == "BF16":
        for row in range(stored.shape[0]):
            _, _, fits = recover(stored.bits16(row, row + 1).reshape(-1, BLOCK))
            if not fits.all():
                return off_lattice(asked, stored.name, row, int(np.flatnonzero(~fits)[0]))
    found = (
        f"tensor {stored.name} is {stored.dtype} and holds numbers that are no bfloat16, of which the lattice is made"
    )
    return LatticeError(asked, found, "Use a checkpoint as Google publishes it")


def _lies_on_lattice(stored: Floats, asked: str) -> bool:
    """Judges by a few rows spread over the matrix."""
    if stored.dtype != "BF16":
        return False
    rows, columns = stored.shape
    if columns % BLOCK:
        found = f"tensor {stored.name} has rows of {columns} numbers, which is no multiple of {BLOCK}"
        raise LatticeError(asked, found, "Use a checkpoint as Google publishes it")
    groups = columns // BLOCK
    sample = _probed(rows)
    blocks = np.concatenate([stored.bits16(row, row + 1) for row in sample]).reshape(-1, BLOCK)
    _, scales, fits = recover(blocks)
    telling = (scales != 0) | ~fits  # a block of zeros fits everything and tells nothing
    if fits.all():
        return True
    if fits[telling].mean() <= _MOSTLY:
        return False
    row, block = divmod(int(np.flatnonzero(~fits)[0]), groups)
    raise off_lattice(asked, stored.name, sample[row], block)


def _probed(rows: int) -> list[int]:
    """Rows spread over a matrix, the first and the last among them."""
    return [int(row) for row in np.unique(np.linspace(0, rows - 1, min(rows, _PROBED_ROWS)).astype(int))]
