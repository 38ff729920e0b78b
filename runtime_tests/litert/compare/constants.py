"""Named constants of a section, and whether their values are a checkpoint's tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime_tests.litert.weights.lattice import odd_scales, open_lattice, rounded_difference
from runtime_tests.memory.pages import release
from runtime_tests.readers.checkpoint import Folder
from runtime_tests.readers.litert.tflite import BITS, Subgraph, Tensor, Tflite


@dataclass(frozen=True)
class Found:
    """A named constant of the artifact: one entry for each distinct buffer and quantization."""

    model: Tflite
    graph: Subgraph
    tensor: Tensor


def constants_of(model: Tflite) -> Iterator[Found]:
    """Named constants; those that several subgraphs share are given once."""
    seen: set[tuple[str, int, bytes]] = set()
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if tensor.name and tensor.index not in graph.producer and len(model.buffer(tensor.buffer)):
                scales = tensor.quantization.scales if tensor.quantization else np.zeros(0, np.float32)
                key = (tensor.name, tensor.buffer, scales.tobytes() if scales.size < 1 << 20 else b"")
                if key not in seen:
                    seen.add(key)
                    yield Found(model, graph, tensor)


def words(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Bit patterns, so that equal means equal."""
    return np.ascontiguousarray(values, np.float32).view(np.uint32)


def values_differ(folder: Folder, key: str, found: Found) -> str:
    """How the values of a constant differ from the checkpoint's tensor of that name; empty when they are equal."""
    tensor, shape = found.tensor, folder.shape(key)
    if int(np.prod(tensor.shape)) != int(np.prod(shape)):
        return f"{key}: shape {list(tensor.shape)}, the checkpoint has {list(shape)}"
    if tensor.type not in ("FLOAT32", "INT16", *BITS):
        return f"{key}: {tensor.type}"
    if tensor.type == "INT4":
        return _blockwise(folder, key, found)
    if tensor.type in BITS:
        return f"{key}: {tensor.type}, the checkpoint has floats"
    rows = shape[0] if len(shape) > 1 else 1  # vectors and scalars are compared whole, whatever their rank is there
    if len(shape) > 1 and tensor.shape[0] % rows:
        return f"{key}: shape {list(tensor.shape)}, the checkpoint has {list(shape)}"
    per_row, different = tensor.shape[0] // rows if len(shape) > 1 else 0, 0
    for start, stop in folder.blocks(rows, int(np.prod(shape)) // rows):
        whole = len(shape) < 2
        mine = found.model.rows(tensor) if whole else found.model.rows(tensor, start * per_row, stop * per_row)
        if not whole and tensor.type == "INT16" and (bits := folder.stored(key, start, stop)).dtype == np.uint16:
            different += int(np.count_nonzero(mine.reshape(-1).view(np.uint16) != bits.reshape(-1)))
            release(bits, found.model.bytes_of(tensor, start * per_row, stop * per_row))
            continue
        stored = folder.values(key) if whole else folder.values(key, start, stop)
        expected = words(stored.reshape(-1))
        if tensor.type == "INT16":  # bfloat16 bit patterns
            wide = mine.reshape(-1).view(np.uint16).astype(np.uint32) << 16
            different += int(np.count_nonzero(wide != expected))
        else:
            different += int(np.count_nonzero(words(mine.reshape(-1)) != expected))
        if not whole:
            release(folder.stored(key, start, stop), found.model.bytes_of(tensor, start * per_row, stop * per_row))
    return f"{key}: {different} values differ" if different else ""


def _blockwise(folder: Folder, key: str, found: Found) -> str:
    lattice = open_lattice(found.model, found.graph, found.tensor)
    if isinstance(lattice, str):
        return f"{key}: {lattice}"
    if found.tensor.shape != folder.shape(key):
        return f"{key}: shape {list(found.tensor.shape)}, the checkpoint has {list(folder.shape(key))}"
    if different := rounded_difference(folder, lattice):
        return f"{key}: {different} weights differ"
    odd = odd_scales(lattice)
    return f"{key}: {odd} block scales are not on the lattice of bfloat16 numbers" if odd else ""
