"""The block-quantized weights of a ``.tflite``: what weights/lattice.py means, as this project's files hold it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime_tests.memory.pages import release
from runtime_tests.readers.bits import to_bfloat16
from runtime_tests.readers.checkpoint import Folder
from runtime_tests.readers.litert.tflite import Subgraph, Tensor, Tflite
from runtime_tests.weights.lattice import BLOCK, no_bfloat16, same_patterns, same_rounding

UNSCALE, OFFSET = ".weight_unscale", "_offset"


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

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape

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
            different += int(np.count_nonzero(~same_patterns(mine, stored)))
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


def lattices(model: Tflite, signature: str = "decode") -> Iterator[tuple[str, Lattice]]:
    """Module path and weight of every block-quantized linear of a signature, whatever its values are."""
    graph, seen = model.subgraph(signature), set()
    for tensor in graph.tensors:
        if tensor.type == "INT4" and tensor.index not in graph.producer and tensor.name not in seen:
            seen.add(tensor.name)
            lattice = open_lattice(model, graph, tensor)
            if not isinstance(lattice, str):
                yield tensor.name.removesuffix(".weight"), lattice
