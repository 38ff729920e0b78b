"""Faults in the operations of a finished program, in its functions and in what it says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tests.mutants.mutant import REFUSED, Edit, Mutant
from tests.support.coreml.patient import Patient

KIND, TARGET = "program", "coreml"
PREFILL, DECODE = ("prefill_16", "prefill_64"), "decode"
FUNCTIONS = (*PREFILL, DECODE)
LINEAR = "layers_1_mlp_down_proj"
HALF = np.float16


def _arguments(op: Any) -> Iterator[Any]:
    return (argument for items in op.inputs.values() for argument in items.arguments)


def _reads(op: Any, name: str) -> bool:
    return any(argument.name == name for argument in _arguments(op))


def _held(patient: Patient, op: Any, parameter: str, function: str) -> Any:
    """The tensor message of a constant argument, which stands in the operation or is a value of its own."""
    argument = op.inputs[parameter].arguments[0]
    if argument.WhichOneof("binding") == "value":
        return argument.value.immediateValue.tensor
    return patient.constant(argument.name, function)


def _times(tensor: Any, factor: float) -> None:
    """A float constant, whichever type it has."""
    if tensor.WhichOneof("value") == "floats":
        tensor.floats.values[:] = [value * factor for value in tensor.floats.values]
    else:
        tensor.bytes.values = (np.frombuffer(tensor.bytes.values, HALF) * HALF(factor)).tobytes()


def _scale(side: str, factor: float, functions: Iterable[str] = FUNCTIONS) -> Callable[[Patient], None]:
    """The activation scale of one side of a linear, in ``quantize`` and in ``dequantize``."""

    def change(patient: Patient) -> None:
        for function in functions:
            op = patient.operation(f"{LINEAR}_{side}", function)
            _times(_held(patient, op, "scale", function), factor)

    return change


def _unquantized(patient: Patient) -> None:
    """In decode, who reads a linear's rounded output reads the output itself."""
    codes = patient.operation(f"{LINEAR}_codes", DECODE)
    source = codes.inputs["input"].arguments[0].name
    operations = patient.block(DECODE).operations
    (back,) = (op for op in operations if op.type == "dequantize" and _reads(op, f"{LINEAR}_codes"))
    _redirect(operations, back.outputs[0].name, source)


def _redirect(operations: Iterable[Any], old: str, new: str) -> None:
    for op in operations:
        for argument in _arguments(op):
            if argument.name == old:
                argument.name = new


def _input_for(old: str, new: str, functions: Iterable[str]) -> Callable[[Patient], None]:
    """Who reads an input reads another one of its shape, and the reverse."""

    other = {old: new, new: old}

    def change(patient: Patient) -> None:
        for function in functions:
            for op in patient.block(function).operations:
                for argument in _arguments(op):
                    if argument.name in other:  # of a value in its place the name is empty, and must not be set
                        argument.name = other[argument.name]

    return change


def _gelu(patient: Patient) -> None:
    for function in FUNCTIONS:
        for op in (op for op in patient.block(function).operations if op.type == "gelu"):
            _held(patient, op, "mode", function).strings.values[0] = "EXACT"


def _epsilon(patient: Patient) -> None:
    for op in (op for op in patient.block(DECODE).operations if op.type == "rsqrt"):
        _held(patient, op, "epsilon", DECODE).floats.values[0] = 1e-3


def _softcap(patient: Patient) -> None:
    (op,) = (op for op in patient.block(DECODE).operations if op.type == "tanh")
    op.type = "identity"


def _weight_of_a_neighbour(patient: Patient) -> None:
    for op in patient.block("prefill_64").operations:
        if op.type == "linear" and _reads(op, "layers_2_mlp_gate_proj_weight"):
            _redirect([op], "layers_2_mlp_gate_proj_weight", "layers_1_mlp_gate_proj_weight")


def _wrong_owner(patient: Patient) -> None:
    """Layers that share layer 3's keys read layer 2's, in decode alone."""
    products = [op for op in patient.block(DECODE).operations if op.type == "matmul"]
    _redirect(products, "layers_3_key_cache", "layers_2_key_cache")


def _turned(patient: Patient) -> None:
    """The scores of one layer in decode come from keys that are not turned."""
    op = next(op for op in patient.block(DECODE).operations if op.type == "matmul")
    held = _held(patient, op, "transpose_y", DECODE).bools
    held.values[0] = not held.values[0]


def not_kept(state: str, functions: Iterable[str]) -> Callable[[Patient], None]:
    """Writes to a state, or to that of each kind of layer, left out."""
    names = (state, f"{state}_sliding", f"{state}_full")

    def change(patient: Patient) -> None:
        for function in functions:
            operations = patient.block(function).operations
            for i in reversed(range(len(operations))):
                if operations[i].type == "write_state" and any(_reads(operations[i], name) for name in names):
                    del operations[i]

    return change


def over_the_first(patient: Patient) -> None:
    """In decode alone, the second owner's keys go where the first one's rows lie."""
    updates = [op for op in patient.block(DECODE).operations if op.type == "slice_update"]
    for corner in ("begin", "end"):
        updates[2].inputs[corner].CopyFrom(updates[0].inputs[corner])


def row_written_one_late(patient: Patient) -> None:
    """In decode all new rows go one position further than they belong."""
    operations = patient.block(DECODE).operations
    at = next(i for i, op in enumerate(operations) if op.type == "add" and _reads(op, "position"))
    after = operations[at].outputs[0].name
    later = type(operations[at])()
    later.CopyFrom(operations[at])
    later.outputs[0].name = "later"
    later.attributes["name"].immediateValue.tensor.strings.values[0] = "later"
    moved = {"position": after, after: "later"}
    for op in (later, *(op for op in operations if op.type == "concat")):
        for argument in _arguments(op):
            if argument.name in moved:
                argument.name = moved[argument.name]
    operations.insert(at + 1, later)


def _functions_exchanged(patient: Patient) -> None:
    """Program and description agree; the names do not say how many tokens a function takes."""
    functions, held = patient.model.mlProgram.functions, {}
    for name in PREFILL:
        held[name] = type(functions[name])()
        held[name].CopyFrom(functions[name])
    for name, other in zip(PREFILL, reversed(PREFILL), strict=True):
        functions[name].CopyFrom(held[other])
    for item in patient.model.description.functions:
        item.name = dict(zip(PREFILL, reversed(PREFILL), strict=True)).get(item.name, item.name)


def _renamed(old: str, new: str) -> Callable[[Patient], None]:
    def change(patient: Patient) -> None:
        functions = patient.model.mlProgram.functions
        functions[new].CopyFrom(functions[old])
        del functions[old]
        for item in patient.model.description.functions:
            item.name = new if item.name == old else item.name

    return change


def _input_renamed(patient: Patient) -> None:
    function = patient.model.mlProgram.functions[DECODE]
    for item in function.inputs:
        item.name = "pos" if item.name == "position" else item.name
    _redirect(patient.block(DECODE).operations, "position", "pos")
    described = next(item for item in patient.model.description.functions if item.name == DECODE)
    for feature in described.input:
        feature.name = "pos" if feature.name == "position" else feature.name


def _described(change: Callable[[Any], None]) -> Callable[[Patient], None]:
    """What the package says of decode."""
    return lambda patient: change(next(item for item in patient.model.description.functions if item.name == DECODE))


def _state_shape(described: Any) -> None:
    described.state[0].type.stateType.arrayType.shape[2] *= 2


def _input_type(described: Any) -> None:
    described.input[0].type.multiArrayType.dataType = 65552 + 65568 - described.input[0].type.multiArrayType.dataType


def _speechless(described: Any) -> None:
    described.input[0].shortDescription = ""


def _reads_nothing(patient: Patient) -> None:
    _redirect(patient.block(DECODE).operations[-1:], patient.block(DECODE).operations[-2].outputs[0].name, "nothing")


def _unknown(patient: Patient) -> None:
    op = next(op for op in patient.block(DECODE).operations if op.type == "gelu")
    op.type = "gelu_of_another_kind"


def _twice(patient: Patient) -> None:
    op = patient.operation("layers_1_mlp", DECODE)
    op.outputs[0].name = "layers_0_mlp"


def _mutant(name: str, what: str, change: Callable[[Patient], None], *expected: str, bed: str = "mobile") -> Mutant:
    return Mutant(name, KIND, bed, what, expected or ("2a",), Edit(change), TARGET)


MUTANTS = (
    _mutant("output_scale_doubled", "an output activation scale doubled", _scale("codes", 2.0), "0", "2a"),
    _mutant(
        "input_scale_one_ulp", "an input activation scale, by one unit in the last place", _scale("in", 1 + 2**-23), "0"
    ),
    _mutant(
        "output_scale_of_decode",
        "an output activation scale of decode alone, by 1 %",
        _scale("codes", 1.01, (DECODE,)),
        "0",
        "2a",
    ),
    _mutant("output_not_rounded", "in decode a linear's rounded output has no reader", _unquantized, "0", "2a"),
    _mutant("gelu_of_the_program", "erf instead of tanh in every gelu", _gelu, bed="q4_0"),
    _mutant("epsilon_of_decode", "1e-3 added to mean squares in decode", _epsilon, bed="q4_0"),
    _mutant("softcap_bypassed", "decode's tanh gives what it gets", _softcap),
    _mutant("weight_of_a_neighbour", "layer 2 of one prefill multiplies by layer 1's weight", _weight_of_a_neighbour),
    _mutant("wrong_owner_in_decode", "shared layers of decode read another owner's keys", _wrong_owner),
    _mutant("scores_of_turned_keys", "one product of decode has its right side the other way round", _turned, REFUSED),
    _mutant(
        "cosines_and_sines_exchanged",
        "sliding layers of decode turn by each other's rows",
        _input_for("cos_sliding", "sin_sliding", (DECODE,)),
    ),
    _mutant(
        "masks_exchanged",
        "the masks of sliding and full layers, which have other columns",
        _input_for("mask_sliding", "mask_full", FUNCTIONS),
        REFUSED,
    ),
    _mutant("keys_not_kept_by_decode", "decode does not write its keys", not_kept("keys", (DECODE,)), "2a", "2b"),
    _mutant("values_not_kept_by_prefill", "prefill does not write its values", not_kept("values", PREFILL)),
    _mutant("keys_over_the_first", "decode writes the second owner's keys over the first's", over_the_first),
    _mutant(
        "cache_written_one_late", "decode's new keys and values of full layers go one row too far", row_written_one_late
    ),
    _mutant(
        "states_exchanged",
        "decode keeps keys as values and the reverse",
        _input_for("keys_sliding", "values_sliding", (DECODE,)),
    ),
    _mutant("function_names_swapped", "each prefill function under the other's name", _functions_exchanged, "0"),
    _mutant("prefill_renamed", "prefill_16 calls itself prefill_17", _renamed("prefill_16", "prefill_17"), "0"),
    _mutant("decode_missing", "no function decode", _renamed("decode", "decoder"), REFUSED),
    _mutant("input_renamed", "decode takes its position under a name that the app does not know", _input_renamed, "0"),
    _mutant("state_described_otherwise", "a state is described as twice as long", _described(_state_shape), "0"),
    _mutant("input_described_otherwise", "an input is described with another type", _described(_input_type), "0"),
    _mutant("input_without_description", "an input is not described in words", _described(_speechless), "0"),
    _mutant("value_that_nobody_makes", "the last operation reads a value that is not there", _reads_nothing, REFUSED),
    _mutant("operation_that_nobody_knows", "an operation of no known kind", _unknown, REFUSED),
    _mutant("two_values_of_one_name", "two operations make values of one name", _twice, REFUSED),
)
