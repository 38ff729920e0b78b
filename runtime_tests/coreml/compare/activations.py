"""Rung 0 for Core ML, second part: the static scales of ``quantize`` and ``dequantize`` around every linear."""

from __future__ import annotations

import numpy as np

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.compare.weighed import Weighed
from runtime_tests.coreml.program.matrices import named
from runtime_tests.readers.coreml.program import Function, Operation
from runtime_tests.results import Check, none


def linears(function: Function) -> dict[str, Operation]:
    """The ``linear`` of each weight, by the weight's name without ``_weight``."""
    out = {}
    for op in function.operations:
        weight = function.one(op, "weight") if op.kind == "linear" else None
        if isinstance(weight, str):
            out[weight.removesuffix("_weight")] = op
    return out


def compare_activations(case: CoremlCase) -> list[Check]:
    """Scales on both sides of every linear in every function, bit for bit; none where the checkpoint has 0."""
    return compare_scales(case, _expected(case))


def compare_scales(case: Weighed, keys: list[str]) -> list[Check]:
    """The same of given linears."""
    wrong, total = [], 0
    absent = [f"{key}: not there" for key in keys if named(key) not in linears(case.decode)]
    for function in case.package.functions.values():
        found = linears(function)
        for key in keys:
            if named(key) in found:
                total += 2
                op = found[named(key)]
                sides = (("input", _before(function, op)), ("output", _after(function, op)))
                wrong += [
                    f"{function.name} {key}: {line}"
                    for side, pair in sides
                    if (line := _compare(case, function, f"{key}.{side}_activation_scale", side, pair))
                ]
    return [
        none("activation scales equal", wrong, "sides", total),
        none(f"every linear in {case.decode.name}", absent, "linears", len(keys)),
    ]


def _compare(case: Weighed, function: Function, name: str, side: str, pair: list[Operation]) -> str:
    stored = case.folder.scalar(name)
    if stored is None or stored == 0:
        return f"{side} is quantized, the checkpoint leaves it float" if pair else ""
    if len(pair) != 2:
        return f"{side} is not quantized, the checkpoint has the scale {stored:g}"
    for op in pair:
        scale = function.constant(argument) if (argument := function.one(op, "scale")) else None
        value = np.asarray(scale.array(), np.float32) if scale is not None else np.zeros(0, np.float32)
        # The Neural Engine has no float32: there a scale is the checkpoint's, rounded once.
        expected = stored.astype(np.float16).astype(np.float32) if case.profile == "ane" else stored
        if value.shape != () or value.view(np.uint32) != expected.view(np.uint32):
            return f"{side} scale of {op.kind} is {value.tolist()}, the checkpoint has {stored:g}"
        if "zero_point" in op.inputs:
            return f"{side} has a zero point"
    return ""


def _before(function: Function, op: Operation) -> list[Operation]:
    """The ``dequantize`` and ``quantize`` that the input passes through, casts aside."""
    made = producer(function, op, "x")
    while made is not None and made.kind == "cast":
        made = producer(function, made, "x")
    if made is None or made.kind != "dequantize":
        return []
    first = producer(function, made, "input")
    return [made, first] if first is not None and first.kind == "quantize" else [made]


def producer(function: Function, op: Operation, parameter: str) -> Operation | None:
    """What makes an argument."""
    argument = function.one(op, parameter)
    return function.producer.get(argument) if isinstance(argument, str) else None


def _after(function: Function, op: Operation) -> list[Operation]:
    """The same behind the output, past casts and the multiplication by the gain."""
    readers = function.consumers.get(op.name, [])
    while len(readers) == 1 and (readers[0].kind == "cast" or is_gain(function, readers[0])):
        readers = function.consumers.get(readers[0].name, [])
    if not any(reader.kind == "quantize" for reader in readers):
        return []
    # The unrounded output must have no other reader.
    if len(readers) != 1:
        return readers[:1]
    behind = function.consumers.get(readers[0].name, [])
    return [readers[0], *behind] if all(reader.kind == "dequantize" for reader in behind) else [readers[0]]


def is_gain(function: Function, op: Operation) -> bool:
    """Whether an operation multiplies a product by what is left of its scales."""
    return op.kind == "mul" and any(str(function.one(op, side)).endswith("_gain") for side in ("x", "y"))


def _expected(case: CoremlCase) -> list[str]:
    """Linears that decode must hold, from config.json: shared layers have neither k nor v."""
    dims, out = case.dims, ["lm_head"]
    for index in range(dims.layers):
        shared = index >= dims.first_shared
        kinds = ["q_proj", "o_proj"] if shared else ["q_proj", "k_proj", "v_proj", "o_proj"]
        out += [f"layers.{index}.self_attn.{kind}" for kind in kinds]
        out += [f"layers.{index}.mlp.{kind}" for kind in ("gate_proj", "up_proj", "down_proj")]
        if dims.per_layer_width:
            out += [f"layers.{index}.per_layer_input_gate", f"layers.{index}.per_layer_projection"]
    return out
