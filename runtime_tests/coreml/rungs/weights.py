"""Rung 0 for Core ML: integers, scales and floats read back from ``weight.bin`` and the row tables, bit for bit."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.coreml.case import FIRST, SECOND, CoremlCase
from runtime_tests.coreml.compare.activations import compare_activations
from runtime_tests.coreml.compare.feeding import compare_feeding
from runtime_tests.coreml.compare.layout import compare_layout
from runtime_tests.coreml.compare.limits import compare_engine
from runtime_tests.coreml.compare.tensors import (
    compare_floats,
    compare_integers,
    compare_lattice,
    compare_shared,
    released,
    words,
)
from runtime_tests.coreml.program.matrices import matrix
from runtime_tests.coreml.vision.weights import compare_vision
from runtime_tests.questions.beside import compare_companions, compare_copies
from runtime_tests.readers.bits import same_codes
from runtime_tests.readers.coreml.rows import Rows
from runtime_tests.readers.format import Packed
from runtime_tests.results import Check, none


def climb(case: CoremlCase) -> list[Check]:
    """Compares weights, tables, float constants, activation scales and the functions' layout."""
    weights = _integers(case) if case.folder.storage == "integers" else _lattice(case)
    beside = case.package.path.parent
    shared = [compare_shared(case), *compare_activations(case), *compare_layout(case), *compare_engine(case)]
    shared += [*compare_companions(case, beside), *compare_copies(case, beside), *compare_feeding(case)]
    return [*weights, *_tables(case), *_floats(case), *shared, *compare_vision(case)]


def _integers(case: CoremlCase) -> list[Check]:
    skipped = (FIRST, SECOND)
    return compare_integers(
        case, [each for key, each in case.folder.packed.items() if key not in skipped and not _unused(case, key)]
    )


def _lattice(case: CoremlCase) -> list[Check]:
    """q4_0: every linear of the layers is on four bits."""
    pattern = re.compile(r"layers\..*(_proj|_gate|per_layer_projection)\.weight")
    return compare_lattice(case, [name for name in case.folder.floats if pattern.fullmatch(name)])


def _tables(case: CoremlCase) -> list[Check]:
    wrong, keys = [], [FIRST, *([SECOND] if case.dims.per_layer_width else [])]
    for key in keys:
        table = case.table(key)
        width = case.dims.hidden if key == FIRST else case.dims.per_layer_width
        if np.float32(table.multiplier) != np.float32(float(width) ** 0.5):
            wrong.append(f"{key}: multiplier {table.multiplier:g}, expected the root of {width}")
        packed = case.folder.packed.get(key)
        line = _packed_table(case, table, packed) if packed else _float_table(case, table, f"{key}.weight")
        wrong += [f"{key}: {line}"] if line else []
    return [none("row tables equal", wrong, "tables", len(keys))]


def _packed_table(case: CoremlCase, table: Rows, packed: Packed) -> str:
    if (table.bits, table.rows, table.groups) != (packed.bits, packed.rows, packed.groups):
        return f"{table.rows} rows of {table.bits} bits with {table.groups} scales"
    codes = scales = 0

    def views(start: int, stop: int) -> list[NDArray[Any] | None]:
        return [table.packed(start, stop), case.folder.stored(packed.names[0], start, stop)]

    for start, stop in released(case, (table.rows, table.columns), views):
        part, mine = slice(start, stop), table.packed(start, stop)
        stored = case.folder.stored(packed.names[0], start, stop).view(np.uint8)
        if not same_codes(mine, stored, table.bits):
            expected = case.folder.codes(packed, start, stop, table.columns)
            codes += int(np.count_nonzero(table.codes(part) != expected))
        scales += int(np.count_nonzero(words(table.scales(part)) != words(case.folder.scales(packed, start, stop))))
    return f"{codes} codes, {scales} scales differ" if codes or scales else ""


def _float_table(case: CoremlCase, table: Rows, name: str) -> str:
    if table.bits < 16 or (table.rows, table.columns) != case.folder.shape(name):
        return f"{table.rows} rows of {table.columns} in {table.bits} bits"
    different = 0

    def views(start: int, stop: int) -> list[NDArray[Any] | None]:
        return [table.packed(start, stop), case.folder.stored(name, start, stop)]

    for start, stop in released(case, (table.rows, table.columns), views):
        stored, mine = case.folder.stored(name, start, stop), table.packed(start, stop)
        if stored.dtype.itemsize * 8 != table.bits or not np.array_equal(
            mine, stored.view(np.uint8).reshape(mine.shape)
        ):
            found, expected = table.values(slice(start, stop)), case.folder.values(name, start, stop)
            different += int(np.count_nonzero(words(found) != words(expected)))
    return f"{different} values differ" if different else ""


def _floats(case: CoremlCase) -> list[Check]:
    """Float constants; those of a float16 program are held to the checkpoint's numbers rounded once."""
    tables = {f"{FIRST}.weight", f"{SECOND}.weight"}
    wanted = {
        name: name
        for name in case.folder.floats
        if name not in tables and isinstance(matrix(case.decode, name.removesuffix(".weight")), str)
    }
    if "lm_head.weight" not in case.folder.floats and "lm_head" not in case.folder.packed:
        wanted["lm_head"] = f"{FIRST}.weight"
    return compare_floats(case, wanted)


def _unused(case: CoremlCase, key: str) -> bool:
    """Keys and values of layers that read another layer's: stored by some checkpoints, used by none."""
    first = case.dims.first_shared
    parts = key.split(".")
    return first > 0 and parts[0] == "layers" and int(parts[1]) >= first and parts[-1] in ("k_proj", "v_proj")
