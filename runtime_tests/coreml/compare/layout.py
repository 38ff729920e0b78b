"""Rung 0 for Core ML, third part: functions, inputs, states and outputs against config.json, and what devices take."""

from __future__ import annotations

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.session import KINDS, prefill_lengths
from runtime_tests.readers.coreml.mlpackage import MlPackage
from runtime_tests.readers.coreml.program import Function, Type
from runtime_tests.readers.dimensions import SLIDING
from runtime_tests.results import Check, none

ALIGNMENT = 32  # of the states' inner dimensions


def compare_layout(case: CoremlCase) -> list[Check]:
    """Every function's interface by name, shape and type; the description must say the same as the program."""
    wrong: list[str] = []
    lengths = {**{name: n for n, name in prefill_lengths(case.package.functions).items()}, "decode": 1}
    wrong += [f"function {name}: not expected" for name in case.package.functions if name not in lengths]
    if len(lengths) < 2:
        wrong.append("no function prefill_<n>")
    for name, length in lengths.items():
        function = case.package.functions[name]
        expected = _inputs(case, length)
        if case.package.parts and name != "decode":  # a part takes what it reads; prefill ends in a layer's keys
            expected = {key: type for key, type in expected.items() if key in function.inputs or type.state}
        wrong += differences(f"{name} input", function.inputs, expected)
        outputs = {output: function.types[output] for output in function.outputs}
        wrong += differences(f"{name} output", outputs, _outputs(case, name))
    for part in case.package.parts or (case.package,):
        for function in part.functions.values():
            wrong += described(part, function)
    for kind in ("key", "value"):
        layers = [layer for held, some in case.held.values() if held == kind for layer in some]
        if layers != [owner.layer for owner in case.dims.owners]:
            wrong.append(f"states of {kind}s hold those of layers {layers}")
    if case.ring is not None and case.ring < case.window:
        wrong.append(f"rings of {case.ring} rows, the window has {case.window} positions")
    if case.context > case.dims.max_context + ALIGNMENT - 1:
        wrong.append(f"context {case.context}, the model has {case.dims.max_context}")
    return [none("functions, states and description", wrong, "differences", len(lengths))]


def _inputs(case: CoremlCase, length: int) -> dict[str, Type]:
    dims, kind = case.dims, case.precision
    out = {
        "embeddings": Type(kind, (1, length, dims.hidden)),
        "position": Type("int32", (1,)),
    }
    if dims.per_layer_width:
        shape = (1, length, dims.layers, dims.per_layer_width)
        out["per_layer_embeddings"] = Type(kind, shape)
    for layer in sorted(set(dims.kinds)):
        suffix = KINDS[layer]
        ring = case.ring if layer == SLIDING else None
        out[f"mask_{suffix}"] = Type(kind, (1, 1, length, case.context if ring is None else ring + length))
        # Rotary rows may be of another precision than the products.
        rows = case.decode.inputs.get(f"cos_{suffix}", Type(kind, ())).dtype
        out |= {f"{part}_{suffix}": Type(rows, (length, dims.head_dims[layer])) for part in ("cos", "sin")}
    if case.ring is not None:
        out["ring_rows"] = Type("int32", (case.ring,))
    sizes = {owner.layer: (owner.kv_heads, owner.head_dim) for owner in dims.owners}
    for name, (_, layers) in case.held.items():
        heads, width = (max(sizes[layer][i] for layer in layers) for i in (0, 1))
        shape = (len(layers), heads, case.rows(layers[0]), -(-width // ALIGNMENT) * ALIGNMENT)
        out[name] = Type(kind, shape, state=True)
    return out


def _outputs(case: CoremlCase, name: str) -> dict[str, Type]:
    if name == "decode":
        return {"logits": Type(case.precision, (1, 1, case.dims.vocab))}
    return {"done": Type(case.precision, (1, 1, 1))}


def differences(where: str, found: dict[str, Type], expected: dict[str, Type]) -> list[str]:
    """What is missing, not expected, or of another type."""
    out = []
    for name in sorted({*found, *expected}):
        if name not in found:
            out.append(f"{where} {name}: missing")
        elif name not in expected:
            out.append(f"{where} {name}: unexpected")
        elif found[name] != expected[name]:
            out.append(f"{where} {name}: {_shown(found[name])}, expected {_shown(expected[name])}")
    return out


def _shown(type: Type) -> str:
    return f"{'state of ' if type.state else ''}{type.dtype}{list(type.shape)}"


def described(package: MlPackage, function: Function) -> list[str]:
    """The description is what Core ML shows an app; each entry must be the program's and say what it is."""
    listed = {item.name: item for item in package.specification.description.functions}
    if function.name not in listed:
        return [f"{function.name}: not in the description"]
    item, out = listed[function.name], []
    outputs = {name: function.types[name] for name in function.outputs}
    states = {name: type for name, type in function.inputs.items() if type.state}
    plain = {name: type for name, type in function.inputs.items() if not type.state}
    for features, expected in ((item.input, plain), (item.output, outputs), (item.state, states)):
        found = {feature.name: feature for feature in features}
        out += [f"{function.name} {name}: described otherwise" for name in sorted(set(found) ^ set(expected))]
        for name in sorted(set(found) & set(expected)):
            kind = found[name].type
            array = kind.stateType.arrayType if expected[name].state else kind.multiArrayType
            dtype = array.ArrayDataType.Name(array.dataType).lower()
            if (tuple(array.shape), dtype) != (expected[name].shape, expected[name].dtype):
                out.append(f"{function.name} {name}: described as {dtype}{list(array.shape)}")
            if not found[name].shortDescription:
                out.append(f"{function.name} {name}: no description")
    return out
