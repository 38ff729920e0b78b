"""Faults in what lies beside a package: row tables, and the files that an app reads for itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from runtime_tests.readers.coreml.rows import Rows, open_rows
from tests.mutants.catalogue import companions
from tests.mutants.mutant import REFUSED, Edit, Mutant
from tests.support.coreml.patient import Patient

KIND, TARGET = "beside", "coreml"
FIRST, SECOND = "embed_tokens", "embed_tokens_per_layer"


def _table(key: str, change: Callable[[Any, Any], None]) -> Callable[[Patient], None]:
    """Changes the rows, uint8 ``[rows, row_bytes]``, and scales, float32 ``[rows, groups]``, of a table."""

    def apply(patient: Patient) -> None:
        path = patient.path.parent / f"{key}.rows"
        said: Rows = open_rows(path)
        file = np.memmap(path, np.uint8, "r+")
        rows = file[said.rows_offset : said.rows_offset + said.rows * said.row_bytes].reshape(said.rows, -1)
        scales = file[said.scales_offset :].view(np.float32).reshape(said.rows, -1)
        change(rows, scales)

    return apply


def _code(rows: Any, scales: Any) -> None:
    rows[10, 3] ^= 1


def _rows_swapped(rows: Any, scales: Any) -> None:
    rows[[300, 301]] = rows[[301, 300]]


def _row_of_another(rows: Any, scales: Any) -> None:
    rows[300], scales[300] = rows[301], scales[301]


def _all_one_late(rows: Any, scales: Any) -> None:
    rows[:], scales[:] = np.roll(rows, 1, axis=0), np.roll(scales, 1, axis=0)


def _scale_ulp(rows: Any, scales: Any) -> None:
    scales.view(np.uint32)[7, 0] += 1


def _scales_of_the_next_layer(rows: Any, scales: Any) -> None:
    scales[:] = np.roll(scales, 1, axis=1)


def _said(key: str, old: bytes, new: bytes) -> Callable[[Patient], None]:
    """What a table says of itself, in as many bytes."""

    def apply(patient: Patient) -> None:
        path = patient.path.parent / f"{key}.rows"
        content = path.read_bytes()
        head = content[:4096]
        assert len(old) == len(new)
        assert head.count(old) == 1, f"{key} does not say {old!r} once"
        path.write_bytes(head.replace(old, new) + content[4096:])

    return apply


def _cut(patient: Patient) -> None:
    path = patient.path.parent / f"{FIRST}.rows"
    path.write_bytes(path.read_bytes()[:-64])


def _tables_exchanged(patient: Patient) -> None:
    a, b = (patient.path.parent / f"{key}.rows" for key in (FIRST, SECOND))
    held = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(held)


def _mutant(name: str, what: str, change: Callable[[Patient], None], *expected: str) -> Mutant:
    return Mutant(name, KIND, "mobile", what, expected or ("0",), Edit(change), TARGET)


MUTANTS = (
    _mutant("code_of_a_row", "one code of one token's embedding", _table(FIRST, _code)),
    _mutant("code_of_a_per_layer_row", "the same of the per-layer embedding", _table(SECOND, _code)),
    _mutant("rows_swapped", "the codes of two tokens exchanged", _table(FIRST, _rows_swapped)),
    _mutant("row_of_another_token", "one token has its neighbour's row", _table(FIRST, _row_of_another)),
    _mutant("per_layer_row_of_another_token", "the same of the per-layer embedding", _table(SECOND, _row_of_another)),
    _mutant("rows_one_late", "every token has the row of the one before it", _table(FIRST, _all_one_late), "0", "2a"),
    _mutant("scale_of_a_row_one_ulp", "one row's scale, by one unit in the last place", _table(FIRST, _scale_ulp)),
    _mutant(
        "scales_of_the_next_layer",
        "each scale of the per-layer embedding one layer on",
        _table(SECOND, _scales_of_the_next_layer),
        "0",
        "2a",
    ),
    _mutant(
        "multiplier_of_a_table",
        "rows are multiplied by something else",
        _said(FIRST, b'"multiplier": 12.', b'"multiplier": 13.'),
        "0",
        "2a",
    ),
    _mutant(
        "rows_said_elsewhere",
        "a table says that its rows begin later",
        _said(FIRST, b'"rows_offset": 4096', b'"rows_offset": 4097'),
        "0",
        "2a",
    ),
    _mutant("table_cut", "the end of a table is missing", _cut, REFUSED),
    _mutant("tables_exchanged", "each table under the other's name", _tables_exchanged),
    _mutant("table_gone", "no embedding", lambda p: (p.path.parent / f"{FIRST}.rows").unlink(), REFUSED),
    *companions.mutants(_mutant),
)
