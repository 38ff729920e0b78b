"""Gives the constants of a foreign ``.tflite`` the checkpoint's names, found by shape and values.

A file of another maker calls its weights ``arith.constant17``. A matrix is recognized by some of its rows: of all
constants with its number of elements it is the one that points most nearly in the same direction. Requantization turns
a matrix by some degrees; two different matrices stand at right angles. With the names in place, every rung that looks
by name works as on this project's own files.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime_tests.litert.weights.matrices import Matrix, matrices
from runtime_tests.litert.weights.stored import Stored
from runtime_tests.readers.checkpoint import Folder
from runtime_tests.readers.litert.tflite import Tflite

SAMPLED_ROWS = 16
LEAST_COSINE = 0.5


@dataclass(frozen=True)
class Naming:
    """The model under the checkpoint's names, and which matrices were recognized.

    Attributes:
        model: the same bytes; only the names differ.
        found: cosine of each recognized matrix by its name.
    """

    model: Tflite
    found: dict[str, float]


def is_foreign(model: Tflite, folder: Folder) -> bool:
    """Whether no constant has one of the checkpoint's names."""
    known = {item.name for item in matrices(folder)}
    return not any(tensor.name in known for graph in model.subgraphs for tensor in graph.tensors)


def recognize(model: Tflite, folder: Folder, wanted: list[Matrix] | None = None) -> Naming:
    """Names every constant that resembles a matrix of the checkpoint; each constant gets one name at most.

    Args:
        model: a section.
        folder: the checkpoint.
        wanted: the matrices to look for; by default all.
    """
    looked_for = matrices(folder) if wanted is None else wanted
    constants = _constants(model)
    pairs = sorted(_pairs(looked_for, constants), key=lambda pair: (-pair[0], pair[1], pair[2]))
    named: dict[int, str] = {}
    found: dict[str, float] = {}
    for cosine, which, place in pairs:
        name = looked_for[which].name
        if cosine >= LEAST_COSINE and name not in found and place not in named:
            named[place], found[name] = name, cosine
    raw = copy.copy(model.raw)
    raw.subgraphs = [copy.copy(graph) for graph in raw.subgraphs]
    for graph in raw.subgraphs:
        graph.tensors = [copy.copy(tensor) for tensor in graph.tensors]
    for place, name in named.items():
        for item in constants[place]:
            raw.subgraphs[item.graph.index].tensors[item.tensor.index].name = name.encode()
    return Naming(Tflite(raw, model.data, model.where), dict(sorted(found.items())))


def _constants(model: Tflite) -> list[list[Stored]]:
    """Readable constants; those of several subgraphs that share a buffer, and a meaning for it, are one."""
    out: dict[tuple[int, str, bytes], list[Stored]] = defaultdict(list)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            stored = Stored(model, graph, tensor)
            if tensor.index in graph.producer or not len(model.buffer(tensor.buffer)) or not stored.readable:
                continue
            if len(tensor.shape) > 1:
                scales = b"" if tensor.quantization is None else tensor.quantization.scales[:64].tobytes()
                out[tensor.buffer, tensor.type, scales].append(stored)
    return list(out.values())


def _pairs(wanted: list[Matrix], constants: list[list[Stored]]) -> list[tuple[float, int, int]]:
    """Cosine, matrix and constant of every pair of one size."""
    groups: dict[tuple[int, range], list[int]] = defaultdict(list)
    for index, matrix in enumerate(wanted):
        groups[matrix.rows, matrix.columns].append(index)
    out = []
    for members in groups.values():
        fitting = [place for place, items in enumerate(constants) if wanted[members[0]].fits(items[0])]
        by_columns: dict[int, list[int]] = defaultdict(list)
        for place in fitting:
            by_columns[_columns(wanted[members[0]], constants[place][0])].append(place)
        for columns, places in by_columns.items():
            mine = np.stack([_direction(wanted[i].values(*_sample(wanted[i]), columns)) for i in members])
            theirs = np.stack([_direction(_sampled(wanted[members[0]], constants[place][0])) for place in places])
            cosines = mine @ theirs.T
            out += [(float(cosines[i, j]), a, b) for i, a in enumerate(members) for j, b in enumerate(places)]
    return out


def _columns(matrix: Matrix, stored: Stored) -> int:
    return stored.shape[1] * (stored.shape[0] // matrix.rows)


def _sample(matrix: Matrix) -> tuple[int, int]:
    start = max(0, matrix.rows // 2 - SAMPLED_ROWS // 2)
    return start, min(matrix.rows, start + SAMPLED_ROWS)


def _sampled(matrix: Matrix, stored: Stored) -> NDArray[np.float32]:
    start, stop = _sample(matrix)
    parts = stored.shape[0] // matrix.rows
    return stored.rows(start * parts, stop * parts)


def _direction(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    flat = np.nan_to_num(rows.ravel().astype(np.float64), posinf=0.0, neginf=0.0)
    out: NDArray[np.float64] = flat / max(float(np.linalg.norm(flat)), 1e-300)
    return out


def equal_vectors(model: Tflite, folder: Folder) -> tuple[int, list[str]]:
    """How many float vectors and scalars of the checkpoint are among the constants, bit for bit, and which are not."""
    held = {
        bytes(model.buffer(tensor.buffer))
        for graph in model.subgraphs
        for tensor in graph.tensors
        if tensor.type == "FLOAT32" and tensor.index not in graph.producer
    }
    wanted = [key for key in folder.floats if len(folder.shape(key)) < 2]
    absent = [key for key in wanted if np.ascontiguousarray(folder.values(key), np.float32).tobytes() not in held]
    return len(wanted) - len(absent), absent
