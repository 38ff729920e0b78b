"""What a finished ``.mlpackage`` and a table of rows hold, read with the judge's reader; none of the writers' code."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.errors import ArtifactError
from convert.inspection.report import Cache, Report, Section, Signature
from convert.inspection.weights import Share, component, merge
from convert.model.signature import Tensor
from runtime_tests.readers.regular import open_regular

if TYPE_CHECKING:
    from runtime_tests.readers.coreml.mlpackage import MlPackage

_BITS = {"uint2": 2, "int4": 4, "int8": 8, "float16": 16, "float32": 32}
_PARTS = {"data": "scale", "indices": "lut"}  # of a constexpr: codes, and what scales them
_LARGEST_HEADER = 1 << 16
_COUNTS = ("rows", "columns", "bits", "groups", "row_bytes", "rows_offset", "scales_offset", "bytes")


def inspect_package(path: Path) -> Report:
    """Reads the specification and the outside of the weights, not the weights.

    Raises:
        ArtifactError: damaged, or no package.
    """
    package = _open(path)
    opened = package.parts or (package,)
    weights = sum(blobs.stat().st_size for part in opened for blobs in part.path.rglob("weight.bin"))
    return Report(
        file=path.name,
        bytes=package.size,
        sections=(Section("program", 0, package.size - weights), Section("weights", 0, weights)),
        signatures=tuple(found for number, part in enumerate(opened, 1) for found in _signatures(part, number)),
        cache=_cache(package),
        weights=merge(_weights(package)),
        operators={name: _operators(function.operations) for name, function in sorted(package.functions.items())},
    )


@dataclass(frozen=True)
class Inside:
    """A function of a part: names of its inputs, states left out, and of its outputs, in order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class PartInside:
    """One package of a model.

    Attributes:
        functions: by name.
        states: how many layers each state holds, by name, in order.
        positions: rows of a layer in a state, or columns of a mask, of a layer that sees all of the context.
        ring: rows of the others; None where they have as many.
    """

    name: str
    functions: dict[str, Inside]
    states: dict[str, int]
    positions: int
    ring: int | None


def inspect_parts(path: Path) -> tuple[PartInside, ...]:
    """The packages of a model, in the order in which a call runs them.

    Raises:
        ArtifactError: damaged, or no package.
    """
    package = _open(path)
    out = []
    for part in package.parts or (package,):
        functions, states, positions, ring = {}, dict[str, int](), 0, None
        for name, function in part.functions.items():
            plain = tuple(key for key, type in function.inputs.items() if not type.state)
            functions[name] = Inside(plain, tuple(function.outputs))
            states |= {key: type.shape[0] for key, type in function.inputs.items() if type.state}
            if "ring_rows" in function.inputs:
                ring = function.inputs["ring_rows"].shape[0]
            whole = ("mask_",) if ring is None else ("mask_full",)
            masks = (type.shape[-1] for key, type in function.inputs.items() if key.startswith(whole))
            positions = max([positions, *masks])
        out.append(PartInside(part.path.name, functions, states, positions, ring))
    return tuple(out)


def inspect_table(path: Path) -> Share:
    """What a table of rows says of itself in its header.

    Raises:
        ArtifactError: no table, damaged, or not as long as it says.
    """
    found = table_header(path)
    rows, columns, bits, groups = (found[key] for key in ("rows", "columns", "bits", "groups"))
    scales = "none" if not groups else "per row" if groups == 1 else f"per {columns // groups} columns"
    return Share(
        component(found["name"]), bits, scales, 1, rows * columns, rows * found["row_bytes"], rows * groups * 4
    )


def table_header(path: Path) -> dict[str, Any]:
    """The description in a table's header: counts as int, ``name`` as text, ``multiplier`` as float.

    Raises:
        ArtifactError: no table, damaged, or not as long as it says.
    """
    asked = f"inspect {path.name}"
    try:
        with open_regular(path) as file:
            magic, length, _ = struct.unpack("<8sII", file.read(16))
            if magic != b"GBROWS1\0" or length > _LARGEST_HEADER:
                raise ValueError("it is no table of rows")
            found: dict[str, Any] = json.loads(file.read(length))
        header: dict[str, Any] = {key: int(found[key]) for key in _COUNTS}
        header |= {"name": str(found["name"]), "multiplier": float(found["multiplier"])}
        fits = header["row_bytes"] == -(-header["columns"] * header["bits"] // 8)
        if header["bits"] not in _BITS.values() or not fits or header["bytes"] != path.stat().st_size:
            raise ValueError("its header does not fit its length")
    except (OSError, ValueError, KeyError, TypeError, struct.error, RecursionError) as error:
        raise ArtifactError(asked, f"damaged: {error}", "Build it again") from error
    return header


def _open(path: Path) -> MlPackage:
    from runtime_tests.errors import CannotRunError, InputError
    from runtime_tests.readers.coreml.parts import open_parts

    try:
        return open_parts(path)
    except (InputError, CannotRunError) as error:
        raise ArtifactError(f"inspect {path.name}", str(error), "Give a package as it was built") from error


def _signatures(package: MlPackage, number: int) -> Iterator[Signature]:
    section = "program" if number == 1 else f"program, part {number}"
    for name, function in package.functions.items():
        inputs = tuple(Tensor(key, type.shape, type.dtype) for key, type in function.inputs.items() if not type.state)
        outputs = tuple(Tensor(key, function.types[key].shape, function.types[key].dtype) for key in function.outputs)
        yield Signature(section, name, inputs, outputs)


def _cache(package: MlPackage) -> Cache | None:
    decode = package.functions.get("decode")
    states = [type for type in decode.inputs.values() if type.state] if decode else []
    if not states:
        return None
    size = sum(prod(type.shape) for type in states) * _BITS[states[0].dtype] // 8
    pairs = sum(states[i].shape[0] for i in range(0, len(states), 2))  # keys and values of each part, or kind of layer
    rows = sorted({type.shape[2] for type in states})
    return Cache(states[0].dtype, rows[-1], pairs, size, rows[0] if len(rows) > 1 else None)


def _weights(package: MlPackage) -> Iterator[Share]:
    """Functions share their weights: each is counted once, by its name."""
    done = set()
    for function in package.functions.values():
        for op in function.operations:
            if op.name in done or not (op.constant or op.kind.startswith("constexpr_")):
                continue
            done.add(op.name)
            shape = op.outputs[0][1].shape
            if op.constant is None:
                yield _quantized(op)
            elif op.name.endswith(("_weight", "_scalar")):
                bits = _BITS[op.constant.type.dtype]
                yield Share(component(op.name), bits, "none", 1, prod(shape), prod(shape) * bits // 8, 0)


def _quantized(op: Any) -> Share:
    """The share of a matrix that a constexpr gives: bits of its codes, layout and bytes of its scales."""
    (codes,), (scale,) = next((op.inputs[key], op.inputs[other]) for key, other in _PARTS.items() if key in op.inputs)
    bits, (rows, columns), groups = _BITS[codes.type.dtype], codes.type.shape, scale.type.shape[1]
    layout = "per row" if groups == 1 else f"per {columns // groups} columns"
    scale_bytes = prod(scale.type.shape) * _BITS[scale.type.dtype] // 8
    return Share(component(op.name), bits, layout, 1, rows * columns, rows * columns * bits // 8, scale_bytes)


def _operators(operations: Any) -> dict[str, int]:
    return dict(sorted(Counter(op.kind for op in operations if op.kind != "const").items()))
