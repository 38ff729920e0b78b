"""q4_0 weights as the artifact holds them, before the rounding to bfloat16 that the checkpoint stores.

A q4_0 checkpoint stores ``bfloat16(code * scale)``: the code itself is lost in the last bits, and every weight is up to
2**-9 of itself off the lattice it was trained on. The artifact multiplies the lattice itself. So there are two
references: the stored weights, and the lattice whose rounding they are (rung 0 proves that, element by element). The
distance between the two is the checkpoint's own rounding, and no fault of the artifact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime_tests.memory.pages import release
from runtime_tests.readers.bits import to_bfloat16
from runtime_tests.readers.checkpoint import Folder
from runtime_tests.readers.tflite import Subgraph, Tensor, Tflite

UNSCALE, OFFSET, BLOCK = ".weight_unscale", "_offset", 32


@dataclass(frozen=True)
class Lattice:
    """A block-quantized weight of the artifact: value = (code * scale + offset) * factor.

    Kernels take positive scales only; a block with a negative one is stored as the complement of its codes with an
    offset of one scale. Both products and the sum are exact in float32: 8 bits of scale, 4 of code.
    """

    model: Tflite
    tensor: Tensor
    scales: Tensor
    offsets: Tensor | None
    factor: np.float32

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Weights of rows ``start:stop`` on the lattice, float32 ``[rows, in]``."""
        codes = self.model.rows(self.tensor, start, stop).astype(np.float32)
        scales = self.model.rows(self.scales, start, stop).astype(np.float32) * self.factor
        blocks = codes.reshape(*scales.shape, BLOCK)
        blocks *= scales[:, :, None]
        if self.offsets is not None:
            blocks += (self.model.rows(self.offsets, start, stop).astype(np.float32) * self.factor)[:, :, None]
        out: NDArray[np.float32] = blocks.reshape(codes.shape)
        return out

    def release(self) -> None:
        """Forgets the pages of the codes."""
        if (view := self.model.packed(self.tensor, 0, self.tensor.shape[0])) is not None:
            release(view)


def open_lattice(model: Tflite, graph: Subgraph, tensor: Tensor) -> Lattice | str:
    """The weight behind an INT4 tensor, or what is wrong with its description."""
    quantization = tensor.quantization
    if quantization is None or quantization.block != BLOCK or len(tensor.shape) != 2 or tensor.shape[1] % BLOCK:
        return f"not in blocks of {BLOCK}"
    shape = (tensor.shape[0], tensor.shape[1] // BLOCK)
    if not 0 <= quantization.scale_tensor < len(graph.tensors):
        return "no scales"
    scales, offsets = graph.tensors[quantization.scale_tensor], graph.by_name.get(tensor.name + OFFSET)
    for kind, holder in (("scales", scales), ("offsets", offsets)):
        if holder is not None and (holder.type not in ("FLOAT16", "FLOAT32") or holder.shape != shape):
            return f"{kind} are {holder.type}{list(holder.shape)}, expected floats {list(shape)}"
    factor = np.float32(1.0)
    unscale = graph.by_name.get(tensor.name.removesuffix(".weight") + UNSCALE)
    if unscale is not None:
        factor = np.float32(np.asarray(model.rows(unscale)).reshape(-1)[0])
        if factor <= 0 or np.frexp(factor)[0] != 0.5:
            return f"unscale {factor} is no power of two"
    return Lattice(model, tensor, scales, offsets, factor)


def rounded_difference(folder: Folder, lattice: Lattice) -> int:
    """Elements whose rounding to bfloat16 is not the stored weight, bit for bit; zeros by value."""
    key, different = lattice.tensor.name, 0
    for start, stop in folder.blocks(*lattice.tensor.shape):
        stored = folder.stored(key, start, stop)
        found = lattice.rows(start, stop)
        if stored.dtype != np.uint16:
            different += int(np.count_nonzero(~same_rounding(found, folder.values(key, start, stop))))
        elif not np.array_equal(mine := to_bfloat16(found), stored):
            different += int(np.count_nonzero(~_same_patterns(mine, stored)))
    release(folder.stored(key, 0, lattice.tensor.shape[0]))
    lattice.release()
    return different


def odd_scales(lattice: Lattice) -> int:
    """Blocks whose scale is no bfloat16 number, or whose offset is neither zero nor that scale.

    The rounding of a block's weights for storage can hide a scale that is off by less than itself.
    """
    scales = lattice.model.rows(lattice.scales).astype(np.float32) * lattice.factor
    wrong = no_bfloat16(scales)
    if lattice.offsets is not None:
        offsets = lattice.model.rows(lattice.offsets).astype(np.float32) * lattice.factor
        wrong |= (offsets != 0) & (offsets != scales)
    return int(np.count_nonzero(wrong))


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
    return _same_patterns(to_bfloat16(lattice), bits)


def _same_patterns(mine: NDArray[np.uint16], bits: NDArray[np.uint16]) -> NDArray[np.bool_]:
    out: NDArray[np.bool_] = (mine == bits) | (((mine | bits) & 0x7FFF) == 0)
    return out


def lattices(model: Tflite) -> Iterator[tuple[str, Lattice]]:
    """Module path and weight of every block-quantized linear of decode, whatever its values are."""
    graph, seen = model.subgraph("decode"), set()
    for tensor in graph.tensors:
        if tensor.type == "INT4" and tensor.index not in graph.producer and tensor.name not in seen:
            seen.add(tensor.name)
            lattice = open_lattice(model, graph, tensor)
            if not isinstance(lattice, str):
                yield tensor.name.removesuffix(".weight"), lattice
