"""Faults in the graph of an ONNX decoder: another operator, another attribute, another wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from tests.mutants.mutant import Edit, Mutant
from tests.support.onnx.patient import Patient

KIND, TARGET = "graph", "onnx"
LINEAR = "layers.1.mlp.gate_proj"
DOWN = "layers.1.mlp.down_proj"
ATTENTION = "GroupQueryAttention"


def _product(patient: Patient, key: str) -> Any:
    return next(node for node in patient.proto.graph.node if f"{key}.codes" in node.input)


def _of(patient: Patient, type: str) -> list[Any]:
    return [node for node in patient.proto.graph.node if node.op_type == type]


def _up(value: Any) -> Any:
    return np.nextafter(value, np.float32(1))


def _scale(side: str, change: Callable[[Any], Any]) -> Callable[[Patient], None]:
    """Another scale in one node alone: where the input or the output is rounded, or where codes become numbers."""

    def apply(patient: Patient) -> None:
        codes = f"{LINEAR}/in" if side == "in" else f"{LINEAR}/codes"
        node = patient.users(codes)[0] if side == "back" else patient.node(codes)
        patient.own(node, 1, change(numpy_helper.to_array(patient.constant(node.input[1]))))

    return apply


def _zero_point(patient: Patient) -> None:
    patient.own(patient.node(f"{LINEAR}/codes"), 2, np.int8(1))


def _unrounded(patient: Patient) -> None:
    """Who reads the rounded output reads the one before."""
    first = patient.node(f"{LINEAR}/codes")
    back = patient.users(f"{LINEAR}/codes")[0]
    for node in patient.users(back.output[0]):
        for at, name in enumerate(node.input):
            if name == back.output[0]:
                node.input[at] = first.input[0]


def _factor(value: float) -> Callable[[Patient], None]:
    """What the product of whole numbers is multiplied by behind the gain."""

    def apply(patient: Patient) -> None:
        gained = patient.users(_product(patient, DOWN).output[0])[0]
        back = patient.users(gained.output[0])[0]
        patient.own(back, 1 if back.input[0] == gained.output[0] else 0, np.float32(value))

    return apply


def _no_gain(patient: Patient) -> None:
    gained = patient.users(_product(patient, DOWN).output[0])[0]
    at = next(i for i, name in enumerate(gained.input) if name.endswith(".scales"))
    patient.own(gained, at, np.float32(0.01))


def _attention(layer: int, name: str, change: Callable[[Any], Any]) -> Callable[[Patient], None]:
    def apply(patient: Patient) -> None:
        node = _of(patient, ATTENTION)[layer]
        value = onnx.helper.get_attribute_value(next(item for item in node.attribute if item.name == name))
        patient.attribute(node, name, change(value))

    return apply


def _window(by: int) -> Callable[[Patient], None]:
    return _attention(0, "local_window_size", lambda window: window + by)


def _full(patient: Patient) -> int:
    return next(
        i
        for i, node in enumerate(_of(patient, ATTENTION))
        if next(item.i for item in node.attribute if item.name == "local_window_size") == -1
    )


def _window_on_full(patient: Patient) -> None:
    _attention(_full(patient), "local_window_size", lambda window: 16)(patient)


def _others_cache(patient: Patient) -> None:
    nodes = _of(patient, ATTENTION)
    nodes[1].input[3], nodes[1].input[4] = nodes[0].input[3], nodes[0].input[4]


def _keys_as_values(patient: Patient) -> None:
    node = _of(patient, ATTENTION)[-1]
    node.input[4] = node.input[3]


def _heads_mixed(patient: Patient) -> None:
    """Keys are values and the reverse, where they go in."""
    node = _of(patient, ATTENTION)[2]
    node.input[1], node.input[2] = node.input[2], node.input[1]


def _other_weights(patient: Patient) -> None:
    node = _product(patient, LINEAR)
    node.input[1] = "layers.1.mlp.up_proj.codes"


def _said(name: str, value: int) -> Callable[[Patient], None]:
    return lambda patient: patient.attribute(_product(patient, LINEAR), name, value)


def _residual(patient: Patient) -> None:
    """A branch counts five per cent too much."""
    node = patient.node("layers.2/mlp")
    graph = patient.proto.graph
    more = onnx.helper.make_node("Mul", [node.input[1], "much"], ["too_much"], name="too_much")
    at = next(i for i, one in enumerate(graph.node) if one.name == node.name)
    graph.node.insert(at, more)
    graph.initializer.append(numpy_helper.from_array(np.float32(1.05), "much"))
    patient.node("layers.2/mlp").input[1] = "too_much"


def _constant_of(type: str, change: Callable[[Any], Any], number: int = 0) -> Callable[[Patient], None]:
    """Another constant in one of the nodes of a type that have any."""

    def apply(patient: Patient) -> None:
        having = [node for node in _of(patient, type) if any(name.startswith("const") for name in node.input)]
        node = having[number]
        at = next(i for i, name in enumerate(node.input) if name.startswith("const"))
        patient.own(node, at, change(numpy_helper.to_array(patient.constant(node.input[at]))))

    return apply


def _rotary(patient: Patient) -> None:
    node = _of(patient, "Cos")[0]
    angle = patient.node(node.input[0])
    at = next(i for i, name in enumerate(angle.input) if name.startswith("const"))
    patient.own(angle, at, numpy_helper.to_array(patient.constant(angle.input[at])) * np.float32(1.1))


def _cap(patient: Patient) -> None:
    last = patient.node("logits")
    at = next(i for i, name in enumerate(last.input) if name.startswith("const"))
    patient.own(last, at, np.float32(50.0))


def _first_token(patient: Patient) -> None:
    """The logits of a piece's first token."""
    node = next(one for one in _of(patient, "Gather") if any(name.startswith("const") for name in one.input))
    patient.own(node, 1, np.array([0], np.int64))


def _gelu(patient: Patient) -> None:
    for node in _of(patient, "Gelu"):
        patient.attribute(node, "approximate", "none")


def _identity(patient: Patient) -> None:
    """An operator that does nothing."""
    node = patient.node("logits")
    node.output[0] = "before"
    patient.proto.graph.node.append(onnx.helper.make_node("Identity", ["before"], ["logits"], name="logits"))


def _renamed(patient: Patient) -> None:
    for value in patient.proto.graph.output:
        if value.name == "present.0.key":
            value.name = "present.0.keys"
    for node in patient.proto.graph.node:
        for side in (node.input, node.output):
            for at, name in enumerate(side):
                if name == "present.0.key":
                    side[at] = "present.0.keys"


def _root(patient: Patient) -> None:
    """Rows of the table are multiplied by something else."""
    node = next(one for one in patient.rows.graph.node if "inputs_embeds" in one.output)
    name = f"spoilt_{len(patient.rows.graph.initializer)}"
    patient.rows.graph.initializer.append(numpy_helper.from_array(np.float32(13.0), name))
    node.input[1] = name


def _mutant(name: str, what: str, change: Callable[[Patient], None], *expected: str) -> Mutant:
    return Mutant(name, KIND, "mobile", what, expected or ("0",), Edit(change), TARGET)


MUTANTS = (
    _mutant("input_scale_one_ulp", "the scale that an input is rounded by", _scale("in", _up)),
    _mutant("output_scale_one_ulp", "the scale that an output is rounded by", _scale("out", _up)),
    _mutant("scale_back_one_ulp", "the scale that makes codes numbers again", _scale("back", _up)),
    _mutant(
        "output_scale_doubled", "an output is rounded twice as coarsely", _scale("out", lambda x: 2 * x), "0", "2a"
    ),
    _mutant("zero_point_moved", "codes of an output count from one", _zero_point, "0", "2a"),
    _mutant("output_not_rounded", "an output goes on as it is", _unrounded, "0", "2a"),
    _mutant("input_scale_lost", "no input scale behind a product of codes", _factor(1.0), "0", "2a"),
    _mutant("gain_lost", "one number in the place of a matrix's scales", _no_gain, "0", "2a"),
    _mutant("window_one_too_long", "a sliding layer sees one token more", _window(1), "0", "2a"),
    _mutant("window_one_too_short", "a sliding layer sees one token less", _window(-1), "0", "2a"),
    _mutant("window_attribute_gone", "one layer sees all", _attention(0, "local_window_size", lambda w: -1), "0", "2a"),
    _mutant("window_on_a_full_layer", "a full layer has a window", _window_on_full, "0", "2a"),
    _mutant("scores_halved", "scores of one layer count half", _attention(1, "scale", lambda s: 0.5), "0", "2a"),
    _mutant("cache_of_another_layer", "a layer reads its neighbour's cache", _others_cache, "0"),
    _mutant("keys_as_values", "a layer that shares mixes keys", _keys_as_values, "0", "2a"),
    _mutant("keys_for_values", "a layer writes keys as values and the reverse", _heads_mixed, "2a"),
    _mutant("weights_of_another_linear", "a linear multiplies with another's codes", _other_weights, "0", "2a"),
    _mutant("bits_said_otherwise", "codes of other bits than they are", _said("bits", 8)),
    _mutant("blocks_said_otherwise", "blocks of another size", _said("block_size", 16)),
    _mutant("branch_too_loud", "a residual counts five per cent too much", _residual, "2a"),
    _mutant("rotary_base_in_the_graph", "angles are a tenth larger", _rotary, "2a"),
    _mutant("cap_of_gemma_2", "the cap of attention scores on logits, behind tanh alone", _cap, "2a"),
    _mutant("logits_of_the_first_token", "logits of a piece's first token", _first_token, "3"),
    _mutant("gelu_exact_in_the_graph", "erf instead of tanh everywhere", _gelu, "2a"),
    _mutant("operator_without_use", "an operator that does nothing", _identity),
    _mutant("output_renamed", "a cache under another name", _renamed),
    _mutant("rows_times_another_root", "rows are multiplied by something else", _root, "2a"),
)
