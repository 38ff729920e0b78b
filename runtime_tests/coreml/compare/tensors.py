"""Weights of a package against a checkpoint's, bit for bit: codes, scales, floats, and that functions share them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.coreml.compare.weighed import Weighed
from runtime_tests.coreml.constants import power_and_gain
from runtime_tests.coreml.program.matrices import BLOCKWISE, TABLE, Matrix, matrix, named
from runtime_tests.coreml.program.values import where
from runtime_tests.memory.pages import release
from runtime_tests.readers.bits import same_codes, to_bfloat16
from runtime_tests.readers.coreml.program import Function, Operation
from runtime_tests.readers.format import Packed
from runtime_tests.results import Check, none, stated
from runtime_tests.weights.lattice import no_bfloat16, same_rounding

RELEASED = 32  # ranges of rows
CODES = np.array([-2, -1, 0, 1], np.float32)


def compare_integers(case: Weighed, wanted: Sequence[Packed]) -> list[Check]:
    """Codes and scales of quantized matrices, and that there are no others."""
    codes: list[str] = []
    scales: list[str] = []
    for packed in wanted:
        found = matrix(case.decode, packed.key)
        if isinstance(found, str):
            codes.append(f"{packed.key}: {found}")
            continue
        wrong = _compare(case, packed, found)
        codes += [f"{packed.key}: {line}" for line in wrong[0]]
        scales += [f"{packed.key}: {line}" for line in wrong[1]]
    return [
        none("integers equal", codes, "tensors", len(wanted)),
        none("weight scales equal", scales, "tensors", len(wanted)),
        none("no weights of other origin", _strangers(case, {p.key for p in wanted}), "tensors", len(wanted)),
    ]


def _compare(case: Weighed, packed: Packed, found: Matrix) -> tuple[list[str], list[str]]:
    """What differs between a checkpoint's matrix and the program's: codes, and scales or table entries."""
    if found.bits != packed.bits:
        return [f"{found.bits} bits, the checkpoint has {packed.bits}"], []
    if found.shape[0] != packed.rows or packed.groups != 1 or found.scale.type.shape[1] != 1:
        return [f"shape {list(found.shape)} by {found.scale.type.shape[1]} scales a row"], []
    codes = scales = 0

    def views(start: int, stop: int) -> list[NDArray[Any] | None]:
        return [found.packed(start, stop), case.folder.stored(packed.names[0], start, stop)]

    for start, stop in released(case, found.shape, views):
        codes += _different(case, packed, found, start, stop)
        expected = case.folder.scales(packed, start, stop)
        if case.profile == "ane":  # no float32 there: the gain beside the power of two is rounded once
            expected = _halved(found, expected, start, stop)
        if found.bits == 2:  # every entry, so that equal codes are equal dense values
            scales += int(np.count_nonzero((found.tables(start, stop) != CODES * expected).any(axis=1)))
        else:
            scales += int(np.count_nonzero(words(found.scales(start, stop)) != words(expected)))
    return [f"{codes} codes differ"] if codes else [], [f"{scales} scales differ"] if scales else []


def _different(case: Weighed, packed: Packed, found: Matrix, start: int, stop: int) -> int:
    """How many codes of some rows are not the checkpoint's. Equal bytes are equal codes, and are not unpacked."""
    mine, stored = found.packed(start, stop), case.folder.stored(packed.names[0], start, stop).view(np.uint8)
    if mine is not None:
        same = np.array_equal(mine, stored.reshape(-1)) if found.bits == 2 else same_codes(mine, stored, found.bits)
        if same:
            return 0
    expected = case.folder.codes(packed, start, stop, found.shape[1])
    return int(np.count_nonzero(found.codes(start, stop) != expected))


def _halved(found: Matrix, scales: NDArray[np.float32], start: int, stop: int) -> NDArray[np.float32]:
    """The scales with their gains in float16; NaN, which equals nothing, where the codes have another power of two."""
    stored = found.scale.array(start, stop).astype(np.float32)
    mine = (stored[:, 0, 1 + 2] if found.bits == 2 else stored).reshape(scales.shape)
    power, gain = power_and_gain(scales)
    return np.where(mine == power, power * gain, np.nan).astype(np.float32)


def compare_lattice(case: Weighed, names: Sequence[str]) -> list[Check]:
    """``bfloat16(code * scale)`` is the stored weight."""
    wrong: list[str] = []
    for name in names:
        found = matrix(case.decode, name.removesuffix(".weight"))
        if isinstance(found, str):
            wrong.append(f"{name}: {found}")
        elif (
            found.bits != 4
            or found.shape != case.folder.shape(name)
            or found.scale.type.shape[1] * 32 != found.shape[1]
        ):
            wrong.append(f"{name}: {found.bits} bits, {list(found.shape)}, {found.scale.type.shape[1]} scales a row")
        else:
            different = _rounded(case, name, found)
            wrong += [f"{name}: {different} weights differ"] if different else []
            odd = int(np.count_nonzero(no_bfloat16(found.scales(0, found.shape[0]))))
            wrong += [f"{name}: {odd} block scales are not on the lattice of bfloat16 numbers"] if odd else []
    return [
        none("weights equal", wrong, "tensors", len(names)),
        none(
            "no weights of other origin",
            _strangers(case, {n.removesuffix(".weight") for n in names}),
            "tensors",
            len(names),
        ),
    ]


def _rounded(case: Weighed, name: str, found: Matrix) -> int:
    """How many weights do not round to the stored ones."""
    different = 0

    def views(start: int, stop: int) -> list[NDArray[Any] | None]:
        return [found.packed(start, stop), case.folder.stored(name, start, stop)]

    for start, stop in released(case, found.shape, views):
        stored, mine = case.folder.stored(name, start, stop), found.rows(start, stop)
        if stored.dtype != np.uint16 or not np.array_equal(to_bfloat16(mine), stored):
            different += int(np.count_nonzero(~same_rounding(mine, case.folder.values(name, start, stop))))
    return different


def released(
    case: Weighed, shape: Sequence[int], views: Callable[[int, int], list[NDArray[Any] | None]]
) -> Iterator[tuple[int, int]]:
    """Row ranges to work on; the pages of what they are read from are given back some dozens of megabytes at a time."""
    first = 0
    for number, (start, stop) in enumerate(case.folder.blocks(shape[0], shape[1])):
        yield start, stop
        if number % RELEASED == RELEASED - 1 or stop == shape[0]:
            release(*(view for view in views(first, stop) if view is not None))
            first = stop


def _strangers(case: Weighed, known: set[str]) -> list[str]:
    names = {named(f"{key}.weight") for key in known}
    return [
        f"{function.name}: {op.name}"
        for function in case.package.functions.values()
        for op in function.operations
        if op.kind.startswith("constexpr_") and (op.name not in names or op.kind not in (BLOCKWISE, TABLE))
    ]


def compare_floats(case: Weighed, wanted: Mapping[str, str]) -> list[Check]:
    """Constants by the name that they should have, and the key of the checkpoint's tensor."""
    wrong, inexact = [], 0
    for name, key in wanted.items():
        line, lost = _constant(case, key, named(name if name != "lm_head" else "lm_head.weight"))
        wrong += [f"{name}: {line}"] if line else []
        inexact += lost
    return [
        none("float constants equal", wrong, "tensors", len(wanted)),
        stated("float constants that float16 cannot hold exactly", inexact, "values"),
    ]


def _constant(case: Weighed, key: str, name: str) -> tuple[str, int]:
    """How a constant differs from the checkpoint's tensor, and how many of its values had to be rounded."""
    found = case.decode.constant(name) if name in case.decode.producer else None
    shape = case.folder.shape(key)
    if found is None or found.type.dtype not in ("float16", "float32"):
        return "not in the program", 0
    if int(np.prod(found.type.shape)) != int(np.prod(shape)) or (len(shape) > 1 and found.type.shape != shape):
        return f"shape {list(found.type.shape)}, the checkpoint has {list(shape)}", 0
    blocks = case.folder.blocks(*shape) if len(shape) == 2 else [(0, None)]
    different = inexact = 0
    for start, stop in blocks:
        stored = case.folder.values(key, start, stop).reshape(-1)
        mine = found.array(start, stop).reshape(-1)
        expected = stored.astype(mine.dtype)
        different += int(np.count_nonzero(words(mine) != words(expected)))
        inexact += int(np.count_nonzero(expected.astype(np.float32) != stored))
    return (f"{different} values differ" if different else ""), inexact


def compare_shared(case: Weighed) -> Check:
    """Every function reads the records that decode reads: one copy of each weight."""
    wrong, total = [], 0
    for function in case.package.functions.values():
        for op in function.operations:
            if function.name != case.decode.name and _stored(op.name) and op.kind.startswith("const"):
                total += 1
                mine = case.decode.producer.get(op.name)
                if mine is None or _places(function, op) != _places(case.decode, mine):
                    wrong.append(f"{function.name}: {op.name}")
    return none("weights shared by the functions", wrong, "weights", total)


def _places(function: Function, op: Operation) -> list[object]:
    """Where the constants behind an operation lie."""
    found = [op.constant, *(function.constant(argument) for items in op.inputs.values() for argument in items)]
    return [None if constant is None else where(constant) for constant in found]


def _stored(name: str) -> bool:
    return name.endswith(("_weight", "_gain", "_layer_scalar"))


def words(values: NDArray[np.floating]) -> NDArray[np.unsignedinteger]:
    """Bit patterns, so that equal means equal."""
    found = np.ascontiguousarray(values)
    return found.view(np.uint16 if found.dtype == np.float16 else np.uint32)
