"""Rung 0: are the integers, scales and constants in the artifact the checkpoint's?

Every tensor, every element, bit for bit. A tensor is found by its name, which is the checkpoint's key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime_tests.litert.case import DECODER, EMBEDDER, PER_LAYER, LitertCase
from runtime_tests.litert.compare.activations import compare_activations
from runtime_tests.litert.compare.changed import compare_matrices, compare_recognized
from runtime_tests.litert.compare.layout import compare_layout
from runtime_tests.litert.weights.lattice import odd_scales, open_lattice, rounded_difference
from runtime_tests.memory.pages import release
from runtime_tests.progress import walk
from runtime_tests.readers.bits import same_codes
from runtime_tests.readers.checkpoint import pieces
from runtime_tests.readers.format import Packed
from runtime_tests.readers.litert.tflite import BITS, Subgraph, Tensor, Tflite
from runtime_tests.results import Check, none
from runtime_tests.rungs.feeding import compare_tokens

_BYTES_AT_ONCE = 8 << 20  # packed codes are compared as they are


@dataclass(frozen=True)
class Found:
    """A named constant of the artifact: one entry for each distinct buffer and quantization."""

    model: Tflite
    graph: Subgraph
    tensor: Tensor


def climb(case: LitertCase) -> list[Check]:
    """Compares weights, float constants, activation scales and the layout of signatures and caches."""
    constants = {name: list(_constants(case.model(name))) for name in _sections(case)}
    suspects: set[str] = set()
    checks = (_integers if case.folder.storage == "integers" else _lattice)(case, constants, suspects)
    return [
        *checks,
        *compare_recognized(case),
        *compare_matrices(case, suspects),
        *compare_activations(case),
        *compare_layout(case),
        *compare_tokens(case),
    ]


def _sections(case: LitertCase) -> list[str]:
    per_layer = [PER_LAYER] if case.dims.per_layer_width else []
    wanted = [DECODER, EMBEDDER, *per_layer]
    return [name for name in wanted if name in case.artifact.models()] if case.foreign else wanted


def _constants(model: Tflite) -> Iterator[Found]:
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


def _named(constants: dict[str, list[Found]], key: str, section: str) -> list[Found]:
    return [found for found in constants[section] if found.tensor.name == key]


def _integers(case: LitertCase, constants: dict[str, list[Found]], suspects: set[str]) -> list[Check]:
    codes: list[str] = []
    scales: list[str] = []
    elements = 0
    for packed in walk("tensors", case.folder.packed.values()):
        found = _named(constants, f"{packed.key}.weight", case.home(packed.key))
        if not found and _unused(case, packed.key):
            continue
        if not found:
            codes.append(f"{packed.key}: not in the artifact")
        for item in found:
            wrong_codes, wrong_scales = _packed(case, packed, item)
            codes += wrong_codes
            scales += wrong_scales
            suspects |= {f"{packed.key}.weight"} if wrong_codes or wrong_scales else set()
            elements += int(np.prod(item.tensor.shape))
    total = len(case.folder.packed)
    strangers = [
        item.tensor.name
        for items in constants.values()
        for item in items
        if item.tensor.type in BITS and item.tensor.name.removesuffix(".weight") not in case.folder.packed
        if item.tensor.quantization is not None and item.tensor.name.endswith(".weight")
    ]
    return [
        none("integers equal", codes, "tensors", total),
        none("weight scales equal", scales, "tensors", total),
        none("no weights of other origin", strangers, "tensors", total),
        none("float constants equal", _floats(case, constants, suspects), "tensors", len(case.folder.floats)),
    ]


def _unused(case: LitertCase, key: str) -> bool:
    """Keys and values of layers that read another layer's: stored by some checkpoints, used by none."""
    first = case.dims.first_shared
    parts = key.split(".")
    return first > 0 and parts[0] == "layers" and int(parts[1]) >= first and parts[-1] in ("k_proj", "v_proj")


def _packed(case: LitertCase, packed: Packed, found: Found) -> tuple[list[str], list[str]]:
    """What differs between a checkpoint matrix and the artifact's tensor: codes, and scales."""
    tensor, where = found.tensor, f"{packed.key}"
    rows = packed.rows * packed.groups  # a table with several scales a row is laid out as that many rows
    if tensor.type != f"INT{packed.bits}":
        return [f"{where}: {tensor.type}, the checkpoint has {packed.bits} bits"], []
    if len(tensor.shape) != 2 or tensor.shape[0] != rows:
        return [f"{where}: shape {list(tensor.shape)}, the checkpoint has {rows} rows"], []
    quantization = tensor.quantization
    if quantization is None or quantization.block or len(quantization.scales) != rows or quantization.dimension != 0:
        return [], [f"{where}: not one scale a row"]
    if quantization.zero_points.size and quantization.zero_points.any():
        return [], [f"{where}: zero points that are not zero"]
    columns, codes, scales = tensor.shape[1], 0, 0
    for start, stop in pieces(packed.rows, columns * packed.groups * packed.bits // 8, _BYTES_AT_ONCE):
        part = slice(start * packed.groups, stop * packed.groups)
        mine = found.model.packed(tensor, part.start, part.stop)
        stored = case.folder.stored(packed.names[0], start, stop)
        if mine is None or not same_codes(mine, stored.view(np.uint8), packed.bits):
            codes += _different(case, packed, found, (start, stop))
        release(stored, *([] if mine is None else [mine]))
        expected = case.folder.scales(packed, start, stop).reshape(-1)
        scales += int(np.count_nonzero(_words(quantization.scales[part]) != _words(expected)))
    return (
        [f"{where}: {codes} codes differ"] if codes else [],
        [f"{where}: {scales} scales differ"] if scales else [],
    )


def _different(case: LitertCase, packed: Packed, found: Found, rows: tuple[int, int]) -> int:
    """How many codes of some rows are not the checkpoint's."""
    columns = found.tensor.shape[1] * packed.groups
    mine = found.model.rows(found.tensor, rows[0] * packed.groups, rows[1] * packed.groups)
    return int(np.count_nonzero(mine != case.folder.codes(packed, *rows, columns).reshape(mine.shape)))


def _words(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Bit patterns, so that equal means equal."""
    return np.ascontiguousarray(values, np.float32).view(np.uint32)


def _floats(case: LitertCase, constants: dict[str, list[Found]], suspects: set[str]) -> list[str]:
    """Float tensors of the checkpoint that the artifact lacks or changed.

    In a file with names of its own only matrices are recognized; of the vectors see ``compare_recognized``.
    """
    wrong = []
    for key in walk("tensors", case.folder.floats):
        if case.foreign and len(case.folder.shape(key)) != 2:
            continue
        found = [item for items in constants.values() for item in items if item.tensor.name == key]
        if key == "lm_head.weight" and not found:
            found = _named(constants, "embed_tokens.weight", DECODER)
        if not found:
            wrong.append(f"{key}: not in the artifact")
        lines = [line for item in found if (line := _values(case, key, item))]
        suspects |= {key} if lines else set()
        wrong += lines
    return wrong


def _values(case: LitertCase, key: str, found: Found) -> str:
    """How the values of a constant differ from the checkpoint's tensor of that name; empty when they are equal."""
    tensor, shape = found.tensor, case.folder.shape(key)
    if int(np.prod(tensor.shape)) != int(np.prod(shape)):
        return f"{key}: shape {list(tensor.shape)}, the checkpoint has {list(shape)}"
    if tensor.type not in ("FLOAT32", "INT16", *BITS):
        return f"{key}: {tensor.type}"
    if tensor.type == "INT4":
        return _blockwise(case, key, found)
    if tensor.type in BITS:
        return f"{key}: {tensor.type}, the checkpoint has floats"
    rows = shape[0] if len(shape) > 1 else 1  # vectors and scalars are compared whole, whatever their rank is there
    if len(shape) > 1 and tensor.shape[0] % rows:
        return f"{key}: shape {list(tensor.shape)}, the checkpoint has {list(shape)}"
    per_row, different = tensor.shape[0] // rows if len(shape) > 1 else 0, 0
    for start, stop in case.folder.blocks(rows, int(np.prod(shape)) // rows):
        whole = len(shape) < 2
        mine = found.model.rows(tensor) if whole else found.model.rows(tensor, start * per_row, stop * per_row)
        if not whole and tensor.type == "INT16" and (bits := case.folder.stored(key, start, stop)).dtype == np.uint16:
            different += int(np.count_nonzero(mine.reshape(-1).view(np.uint16) != bits.reshape(-1)))
            release(bits, found.model.bytes_of(tensor, start * per_row, stop * per_row))
            continue
        stored = case.folder.values(key) if whole else case.folder.values(key, start, stop)
        words = _words(stored.reshape(-1))
        if tensor.type == "INT16":  # bfloat16 bit patterns
            wide = mine.reshape(-1).view(np.uint16).astype(np.uint32) << 16
            different += int(np.count_nonzero(wide != words))
        else:
            different += int(np.count_nonzero(_words(mine.reshape(-1)) != words))
        if not whole:
            release(case.folder.stored(key, start, stop), found.model.bytes_of(tensor, start * per_row, stop * per_row))
    return f"{key}: {different} values differ" if different else ""


def _blockwise(case: LitertCase, key: str, found: Found) -> str:
    lattice = open_lattice(found.model, found.graph, found.tensor)
    if isinstance(lattice, str):
        return f"{key}: {lattice}"
    if found.tensor.shape != case.folder.shape(key):
        return f"{key}: shape {list(found.tensor.shape)}, the checkpoint has {list(case.folder.shape(key))}"
    if different := rounded_difference(case.folder, lattice):
        return f"{key}: {different} weights differ"
    odd = odd_scales(lattice)
    return f"{key}: {odd} block scales are not on the lattice of bfloat16 numbers" if odd else ""


def _lattice(case: LitertCase, constants: dict[str, list[Found]], suspects: set[str]) -> list[Check]:
    names = {item.tensor.name for item in constants[DECODER] if item.tensor.type == "INT4"}
    wide = sorted(key for key in case.folder.floats if _linear(key) and key not in names)
    return [
        none("weights and constants equal", _floats(case, constants, suspects), "tensors", len(case.folder.floats)),
        none("linears on 4 bits", [f"{key}: not INT4" for key in wide], "tensors", len(names) + len(wide)),
    ]


def _linear(key: str) -> bool:
    """Linears of the layers; the embeddings, norms and the model projection are not on the lattice."""
    return key.startswith("layers.") and key.endswith(("_proj.weight", "_gate.weight", "per_layer_projection.weight"))
