"""Rung 0, third part: signatures, KV caches and the executor's metadata against config.json."""

from __future__ import annotations

from runtime_tests.errors import InputError
from runtime_tests.litert.case import DECODER, DRAFTER, EMBEDDER, PER_LAYER, LitertCase
from runtime_tests.litert.runners.interpreter import VERIFY, entry_lengths
from runtime_tests.readers.dimensions import SLIDING
from runtime_tests.readers.litert.tflite import Tflite
from runtime_tests.results import Check, none

Shapes = dict[str, tuple[tuple[int, ...], str]]


def compare_layout(case: LitertCase) -> list[Check]:
    """Every signature's inputs and outputs by name, shape and type."""
    wrong: list[str] = []
    decoder, dims = case.model(DECODER), case.dims
    try:
        context = case.context
    except InputError as error:
        return [none("signatures and KV layout", [str(error)], "differences", 1)]
    lengths = {"decode": 1, **entry_lengths(decoder)}
    wrong += [f"signature {name}: not of LiteRT-LM's names" for name in decoder.signatures if name not in lengths]
    if not lengths.keys() - {"decode", VERIFY}:
        wrong.append("no signature prefill_<n>")
    drafted = DRAFTER in case.artifact.models()
    if drafted != (VERIFY in lengths):
        wrong.append(f"{'a' if drafted else 'no'} section {DRAFTER}, {'no' if drafted else 'a'} signature {VERIFY}")
    for name, length in lengths.items():
        if name not in decoder.signatures:
            wrong.append(f"no signature {name}")
            continue
        found_in, found_out = shapes_of(decoder, name)
        wrong += differences(f"{name} input", found_in, _inputs(case, length))
        outputs = _caches(case)
        if name in ("decode", VERIFY):
            outputs["logits"] = ((1, length, dims.vocab), "FLOAT32")
            outputs |= {"activations": ((1, length, dims.hidden), "FLOAT32")} if drafted else {}
        wrong += differences(f"{name} output", found_out, outputs)
    tables: dict[str, tuple[int, ...]] = {EMBEDDER: (1, 1, dims.hidden)}
    if dims.per_layer_width:
        tables[PER_LAYER] = (1, 1, dims.layers, dims.per_layer_width)
    for section, shape in tables.items():
        found = section in case.artifact.models()
        wrong += _table(case.model(section), shape) if found else [f"no section {section}"]
    if context > dims.max_context:
        wrong.append(f"context {context}, the model has {dims.max_context}")
    return [none("signatures and KV layout", wrong, "differences", len(lengths) + 2)]


def _cache_type(case: LitertCase) -> str:
    graph, entry = case.model(DECODER).subgraph("decode"), case.model(DECODER).signatures["decode"]
    kinds = {graph.tensors[index].type for name, index in entry.inputs.items() if name.startswith("kv_cache_")}
    return "INT8" if kinds == {"INT8"} else "FLOAT32"


def _caches(case: LitertCase) -> Shapes:
    out: Shapes = {}
    for number, owner in enumerate(case.dims.owners):
        heads, head, rows = owner.kv_heads, owner.head_dim, _rows(case, owner.layer)
        out[f"kv_cache_k_{number}"] = ((1, heads, rows, head), _cache_type(case))
        out[f"kv_cache_v_{number}"] = ((1, heads, head, rows), _cache_type(case))
    return out


def _rows(case: LitertCase, layer: int) -> int:
    """Rows of a layer's caches: of a sliding layer as many as the first such cache has, at least the window.

    Tokens that verify writes may be given up again: what they overwrote must lie outside every later window.
    """
    if case.dims.kinds[layer] != SLIDING:
        return case.context
    first = next(i for i, owner in enumerate(case.dims.owners) if case.dims.kinds[owner.layer] == SLIDING)
    found = case.cache_rows.get(f"kv_cache_k_{first}", case.context)
    ahead = max(0, entry_lengths(case.model(DECODER)).get(VERIFY, 0) - 2)
    return min(max(found, case.window + ahead), case.context)


def _inputs(case: LitertCase, length: int) -> Shapes:
    dims = case.dims
    out: Shapes = {
        "embeddings": ((1, length, dims.hidden), "FLOAT32"),
        "input_pos": ((length,), "INT32"),
        "mask": ((1, 1, length, case.context), "FLOAT32"),
    }
    if dims.per_layer_width:
        shape = (1, length, dims.layers, dims.per_layer_width)
        out["per_layer_embeddings"] = (shape, "FLOAT32")
    return {**out, **_caches(case)}


def shapes_of(model: Tflite, name: str) -> tuple[Shapes, Shapes]:
    """Inputs and outputs of a signature by name, with shape and type."""
    graph, entry = model.subgraph(name), model.signatures[name]

    def shapes(names: dict[str, int]) -> Shapes:
        return {key: (graph.tensors[index].shape, graph.tensors[index].type) for key, index in names.items()}

    return shapes(entry.inputs), shapes(entry.outputs)


def differences(where: str, found: Shapes, expected: Shapes) -> list[str]:
    """What is missing, unexpected or of another shape or type."""
    out = []
    for name in sorted({*found, *expected}):
        if name not in found:
            out.append(f"{where} {name}: missing")
        elif name not in expected:
            out.append(f"{where} {name}: unexpected")
        elif found[name] != expected[name]:
            (shape, kind), (right, wanted) = found[name], expected[name]
            out.append(f"{where} {name}: {kind}{list(shape)}, expected {wanted}{list(right)}")
    return out


def _table(model: Tflite, shape: tuple[int, ...]) -> list[str]:
    if len(model.signatures) != 1:
        return [f"{model.where}: {len(model.signatures)} signatures, expected one"]
    (name,) = model.signatures
    found_in, found_out = shapes_of(model, name)
    if list(found_in.values()) != [((1, 1), "INT32")] or list(found_out.values()) != [(shape, "FLOAT32")]:
        return [f"{model.where}: {found_in} -> {found_out}, expected INT32[1, 1] -> FLOAT32{list(shape)}"]
    return []
