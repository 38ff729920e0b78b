"""Faults in how ONNX models lie in their files: what they refer to is missing, cut or elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import onnx

from tests.mutants.mutant import REFUSED, Edit, Mutant
from tests.support.onnx.patient import Patient

KIND, TARGET = "container", "onnx"
KEY = "layers.0.mlp.up_proj.codes"


def _place(key: str, value: str) -> Callable[[Patient], None]:
    """Another place of a weight's data."""

    def apply(patient: Patient) -> None:
        (item,) = [one for one in patient.constant(KEY).external_data if one.key == key]
        item.value = value

    return apply


def _cut(name: str) -> Callable[[Patient], None]:
    def apply(patient: Patient) -> None:
        path = patient.path.with_name(name)
        path.write_bytes(path.read_bytes()[:-64])

    return apply


def _gone(name: str) -> Callable[[Patient], None]:
    return lambda patient: patient.path.with_name(name).unlink()


def _twice(patient: Patient) -> None:
    """A second constant of one name, inside the graph."""
    patient.proto.graph.initializer.append(onnx.helper.make_tensor(KEY, 2, [1], [0]))


def _shape(patient: Patient) -> None:
    patient.constant(KEY).dims[0] += 1


def _type(patient: Patient) -> None:
    patient.constant("layers.0.mlp.up_proj.scales").data_type = 6  # int32, of as many bytes


def _context(patient: Patient) -> None:
    """The context that the model says for itself."""
    (said,) = [one for one in patient.proto.metadata_props if one.key == "gemma_bridge.context"]
    said.value = "many"


def _models_exchanged(patient: Patient) -> None:
    patient.proto, patient.rows = patient.rows, patient.proto


def _mutant(name: str, what: str, change: Callable[[Patient], None], *expected: str) -> Mutant:
    return Mutant(name, KIND, "mobile", what, expected or (REFUSED,), Edit(change), TARGET)


MUTANTS = (
    _mutant("data_cut", "the end of the weights is missing", _cut("model.onnx.data")),
    _mutant("data_gone", "no weights", _gone("model.onnx.data")),
    _mutant("data_of_the_rows_cut", "the end of the tables is missing", _cut("embedding.onnx.data")),
    _mutant("embedding_elsewhere", "the tables are in a folder above", _place("location", "../model.onnx.data")),
    _mutant("weight_of_the_system", "a weight is a file of the system", _place("location", "/etc/passwd")),
    _mutant("weight_past_the_end", "a weight lies behind the end", _place("offset", "99999999999")),
    _mutant("weight_of_another_length", "a weight with fewer bytes than its shape says", _place("length", "12")),
    _mutant("weight_of_another_shape", "a weight with one row more", _shape),
    _mutant("scales_of_integers", "scales that are said to be integers", _type, "0"),
    _mutant("constant_twice", "two constants of one name", _twice),
    _mutant("context_of_no_number", "the model's own context is a word", _context, "0"),
    _mutant("models_exchanged", "each model under the other's name", _models_exchanged, "0"),
)
