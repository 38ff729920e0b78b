"""Faults in what an ONNX decoder keeps of its sliding layers, and in which of it is looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import numpy_helper

from tests.mutants.mutant import Edit, Mutant
from tests.support.onnx.patient import Patient

KIND, TARGET = "windows", "onnx"
KEPT, SEEN = "present.1.key", "seen.1.key"


def _least(by: int) -> Callable[[Patient], None]:
    """Another number of rows that is kept at least."""

    def apply(patient: Patient) -> None:
        node = next(node for node in patient.proto.graph.node if node.op_type == "Max")
        patient.own(node, 1, numpy_helper.to_array(patient.constant(node.input[1])) + np.int64(by))

    return apply


def _last(patient: Patient) -> Any:
    """What takes the rows that are kept."""
    return patient.node(patient.node(KEPT).input[0])


def _rest(patient: Patient) -> Any:
    """What takes the rows of a buffer behind them."""
    return patient.node(patient.node(KEPT).input[1])


def _first_rows(patient: Patient) -> None:
    node, rest = _last(patient), _rest(patient)
    patient.own(node, 1, np.zeros(1, np.int64))
    node.input[2] = rest.input[1]


def _moved(patient: Patient) -> None:
    """Where the kept rows begin: one late, and so one of them is missing."""
    node = _last(patient)
    graph = patient.proto.graph
    more = type(node)(op_type="Add", input=[node.input[1], "one"], output=["moved"], name="moved")
    graph.initializer.append(numpy_helper.from_array(np.ones(1, np.int64), "one"))
    graph.node.insert(list(graph.node).index(node), more)
    _last(patient).input[1] = "moved"


def _no_rest(patient: Patient) -> None:
    """A buffer shrinks to the rows that hold tokens."""
    _rest(patient).input[1] = _rest(patient).input[2]


def _all_kept(patient: Patient) -> None:
    patient.own(_last(patient), 1, np.zeros(1, np.int64))


def _keys_kept_as_values(patient: Patient) -> None:
    _last(patient).input[0] = "seen.1.value"


def _reader_of_kept(patient: Patient) -> None:
    """A layer that reads another's looks at what is left of it."""
    for node in patient.users("seen.3.key"):
        if node.op_type == "GroupQueryAttention":
            node.input[3], node.input[4] = "present.3.key", "present.3.value"


def _mutant(name: str, what: str, change: Callable[[Patient], None], *expected: str) -> Mutant:
    return Mutant(name, KIND, "mobile", what, expected or ("2a",), Edit(change), TARGET)


MUTANTS = (
    _mutant("window_row_too_many", "sliding layers keep a row that nobody looks at", _least(1)),
    _mutant("window_row_too_few", "sliding layers keep a row less than the next token looks at", _least(-1)),
    _mutant("window_row_missing", "of one cache the oldest row is lost", _moved),
    _mutant("window_first_rows", "the oldest rows are kept and the newest are lost", _first_rows),
    _mutant("window_all_rows", "one cache of a sliding layer grows with the context", _all_kept),
    _mutant("window_of_values", "values are kept as keys", _keys_kept_as_values, "0", "2a"),
    _mutant("window_buffer_shrinks", "a cache that is longer does not stay so", _no_rest),
    _mutant("window_read_late", "a layer that shares reads what is left of the rows", _reader_of_kept, "0"),
)
