"""Rung 0: the tower and its projection, bit for bit, in every function; scales, bounds and layout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.compare.activations import compare_scales
from runtime_tests.coreml.compare.layout import described, differences
from runtime_tests.coreml.compare.tensors import compare_floats, compare_integers, compare_lattice, compare_shared
from runtime_tests.coreml.program.matrices import matrix, named
from runtime_tests.coreml.vision.clips import BOUNDS, compare_clips
from runtime_tests.coreml.vision.package import STEM, Towered, budgets, towered
from runtime_tests.coreml.vision.told import compare_told
from runtime_tests.readers.coreml.program import Type
from runtime_tests.results import Check, none

TABLE = "vision_tower.patch_embedder.position_embedding_table"
COLOURS = 3


def compare_vision(case: CoremlCase) -> list[Check]:
    """Every tensor of the tower's checkpoint, its scales and bounds; nothing of a model that takes no images."""
    if case.images is None:
        return compare_told(case)
    it, most = towered(case), budgets(case.images)[-1]
    plain = [key for key in it.folder.floats if key != TABLE and not key.endswith(BOUNDS)]
    on_lattice = [key for key in plain if not isinstance(matrix(it.decode, key.removesuffix(".weight")), str)]
    integers = it.folder.storage == "integers"
    checks = [
        *(compare_integers(it, list(it.folder.packed.values())) if integers else compare_lattice(it, on_lattice)),
        *compare_floats(it, {key: key for key in plain if integers or key not in on_lattice}),
        compare_shared(it),
        *compare_scales(it, _linears(it)),
        *compare_clips(it, _linears(it)),
        _tables(it, most * case.tower.sizes.kernel),
        _layout(case, it),
    ]
    return [*(replace(check, name=f"images: {check.name}") for check in checks), *compare_told(case)]


def _linears(it: Towered) -> list[str]:
    """Module paths of everything that multiplies with a matrix."""
    floats = (key.removesuffix(".weight") for key in it.folder.floats if key.endswith(".weight"))
    ends = (".linear", "input_proj", "_projection")
    return [*it.folder.packed, *(key for key in floats if key.endswith(ends))]


def _tables(it: Towered, needed: int) -> Check:
    """Both tables of positions, of which the first rows are needed: as many as an image may have patches in a row."""
    wrong = []
    _, rows, width = it.folder.shape(TABLE)
    stored = it.folder.values(TABLE).reshape(2, rows, width)
    needed = min(rows, needed)
    for axis, name in enumerate((f"{TABLE}.x", f"{TABLE}.y")):
        for function in it.package.functions.values():
            found = function.constant(named(name)) if named(name) in function.producer else None
            if found is None or len(found.type.shape) != 2 or found.type.dtype not in ("float16", "float32"):
                wrong.append(f"{function.name}: {name} is not there")
                continue
            mine = found.array()
            if not needed <= len(mine) <= rows or mine.shape[1] != width:
                wrong.append(f"{name}: {list(mine.shape)}, {needed} of {rows} rows can be needed")
            elif different := int(np.count_nonzero(mine != stored[axis, : len(mine)])):
                wrong.append(f"{function.name}: {name}: {different} values differ")
    return none("tables of positions equal", wrong, "tables", 2 * len(it.package.functions))


def _layout(case: CoremlCase, it: Towered) -> Check:
    """Inputs and outputs of every function, and what the package says of them."""
    sizes, wrong = case.tower.sizes, list[str]()
    known = {f"{STEM}{rows}" for rows in budgets(it.package)}
    wrong += [f"function {name}: not expected" for name in it.package.functions if name not in known]
    for rows in budgets(it.package):
        function, count = it.package.functions[f"{STEM}{rows}"], rows * sizes.kernel**2
        given = {
            "images": Type("float32", (1, count, COLOURS * sizes.patch**2)),
            "positions_xy": Type("int32", (1, count, 2)),
        }
        wrong += differences(f"{function.name} input", function.inputs, given)
        outputs = {output: function.types[output] for output in function.outputs}
        made = {"rows": Type(case.precision, (1, rows, case.dims.hidden))}
        wrong += differences(f"{function.name} output", outputs, made)
        wrong += described(it.package, function)
    return none("functions and description", wrong, "differences", len(known))
