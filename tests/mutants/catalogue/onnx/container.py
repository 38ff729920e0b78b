"""Faults in how ONNX models lie in their files: what they refer to is missing, cut or elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


def _whole(change: Callable[[Any], None]) -> Callable[[Patient], None]:
    """A fault of the graph that is made of both models, which are sound."""

    def apply(patient: Patient) -> None:
        patient.both = change

    return apply


def _last_node(whole: Any) -> None:
    whole.graph.node[-1].input[1] = whole.graph.node[-1].input[0]


def _window(whole: Any) -> None:
    node = next(one for one in whole.graph.node if one.op_type == "GroupQueryAttention")
    next(item for item in node.attribute if item.name == "local_window_size").i += 1


def _other_data(whole: Any) -> None:
    a, b = (next(t for t in whole.graph.initializer if t.name == f"layers.{i}.mlp.up_proj.codes") for i in (0, 1))
    for one, other in zip(a.external_data, b.external_data, strict=True):
        one.value, other.value = other.value, one.value


def _root(whole: Any) -> None:
    node = next(one for one in whole.graph.node if "inputs_embeds" in one.output)
    next(t for t in whole.graph.initializer if t.name == node.input[1]).raw_data = b"\0\0\x80\x3f"


def _context_of_whole(whole: Any) -> None:
    whole.graph.input[0].name = "ids"
    for node in whole.graph.node:
        node.input[:] = ["ids" if name == "input_ids" else name for name in node.input]


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
    _mutant("text_gone", "no model that takes ids", lambda p: setattr(p, "name_of_both", "elsewhere.onnx")),
    _mutant("text_of_another_window", "a window off by one in what an app runs alone", _whole(_window), "0"),
    _mutant("text_of_other_codes", "two matrices exchanged in what an app runs alone", _whole(_other_data), "0", "2b"),
    _mutant("text_without_a_root", "rows are not multiplied in what an app runs", _whole(_root), "0", "2b"),
    _mutant(
        "text_that_ends_otherwise", "tanh times itself behind the head in what an app runs", _whole(_last_node), "0"
    ),
    _mutant("text_of_another_input", "ids under another name", _whole(_context_of_whole), "0"),
    _mutant("models_exchanged", "each model under the other's name", _models_exchanged, "0"),
)
