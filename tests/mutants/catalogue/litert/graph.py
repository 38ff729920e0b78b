"""Faults put into the graphs of a finished file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from convert.targets.litert.pack import ALIGNMENT
from runtime_tests.litert.case import DECODER, EMBEDDER, PER_LAYER
from runtime_tests.readers.litert.tflite import Tflite
from tests.mutants.mutant import REFUSED, Edit, Mutant
from tests.mutants.patient import Patient

KIND = "graph"


def repack(patient: Patient, change: Callable[[Any, Tflite], None]) -> None:
    """Changes the decoder's flatbuffer in its object form; the weights after it move on as a whole."""
    model, content = patient.model(), patient.content(DECODER)
    change(model.raw, model)
    streamed = [buffer for buffer in model.raw.buffers if buffer.offset > 1]
    room = min(buffer.offset for buffer in streamed)
    moved = -(-max(0, len(_packed(model.raw)) - room) // ALIGNMENT) * ALIGNMENT
    for buffer in streamed:
        buffer.offset += moved
    patient.rebuild({DECODER: _packed(model.raw).ljust(room + moved, b"\0") + content[room:]})


def _packed(raw: Any) -> bytes:
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(raw.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _signature(raw: Any, name: str) -> Any:
    return next(entry for entry in raw.signatureDefs if entry.signatureKey == name.encode())


def _outputs_exchanged(raw: Any, _model: Tflite) -> None:
    entries = {e.name: e for e in _signature(raw, "decode").outputs}
    a, b = entries[b"kv_cache_k_0"], entries[b"kv_cache_k_1"]
    a.tensorIndex, b.tensorIndex = b.tensorIndex, a.tensorIndex


def _input_renamed(raw: Any, _model: Tflite) -> None:
    next(e for e in _signature(raw, "decode").inputs if e.name == b"kv_cache_k_0").name = b"kv_cache_key_0"


def _prefill_renamed(raw: Any, _model: Tflite) -> None:
    _signature(raw, "prefill_16").signatureKey = b"prefill_17"


def _decode_missing(raw: Any, _model: Tflite) -> None:
    raw.signatureDefs = [entry for entry in raw.signatureDefs if entry.signatureKey != b"decode"]


def _decode_twice(raw: Any, _model: Tflite) -> None:
    """The first is what a reader that keeps the last never sees."""
    import copy

    twin = copy.copy(_signature(raw, "prefill_16"))
    twin.signatureKey = b"decode"
    raw.signatureDefs = [twin, *raw.signatureDefs]


def _tensor_beyond(raw: Any, _model: Tflite) -> None:
    raw.subgraphs[0].operators[0].inputs[0] = 1_000_000


def _relu(raw: Any, model: Tflite) -> None:
    for graph in model.subgraphs:
        for op in graph.operators:
            if op.code == "FULLY_CONNECTED" and graph.tensors[op.inputs[1]].name == "layers.2.self_attn.o_proj.weight":
                options = raw.subgraphs[graph.index].operators[op.index].builtinOptions
                options.fusedActivationFunction = schema.ActivationFunctionType.RELU


def _softcap_bypassed(patient: Patient) -> None:
    model = patient.model()
    graph = model.subgraph("decode")
    tanh = next(op for op in reversed(graph.operators) if op.code == "TANH")
    (after,) = graph.consumers[tanh.outputs[0]]
    patient.rewire(graph, after.index, tanh.outputs[0], tanh.inputs[0], model)


def _owner_in_decode(patient: Patient) -> None:
    model = patient.model()
    graph, entry = model.subgraph("decode"), model.signatures["decode"]
    right, wrong = entry.outputs["kv_cache_k_3"], entry.outputs["kv_cache_k_2"]
    readers = [op.index for op in graph.operators if op.code == "BATCH_MATMUL" and right in op.inputs]
    patient.rewire(graph, readers[-1], right, wrong, model)


def _weight_of_a_neighbour(patient: Patient) -> None:
    model = patient.model()
    graph = model.subgraph("prefill_64")
    right, wrong = (graph.by_name[f"layers.{i}.mlp.gate_proj.weight"].index for i in (1, 2))
    (op,) = graph.consumers[right]
    patient.rewire(graph, op.index, right, wrong, model)


def _constants(patient: Patient, section: str, dtype: str) -> list[np.ndarray]:
    """The constants of a section's graphs of a type, as views."""
    model = patient.model(section)
    found = {t.buffer: model.buffer(t.buffer) for graph in model.subgraphs for t in graph.tensors if t.type == dtype}
    return [held for held in found.values() if len(held)]


def _factor_one(section: str) -> Callable[[Patient], None]:
    def change(patient: Patient) -> None:
        (factor,) = (held for held in _constants(patient, section, "FLOAT32") if len(held) == 4)
        factor.view(np.float32)[:] = 1.0

    return change


def _rows_reversed(patient: Patient) -> None:
    for held in _constants(patient, PER_LAYER, "INT32"):
        numbers = held.view(np.int32)
        if len(numbers) > 2 and np.array_equal(numbers, np.arange(len(numbers))):
            numbers[:] = numbers[::-1].copy()


def _halves_exchanged(patient: Patient) -> None:
    """bfloat16 becomes the lower half of a float32, and zeros the upper one."""
    model = patient.model(EMBEDDER)
    (graph,) = model.subgraphs
    (op,) = (op for op in graph.operators if op.code == "CONCATENATION")
    raw = model.raw.subgraphs[graph.index].operators[op.index]
    raw.inputs[:] = raw.inputs[::-1].copy()


def _scales_halved(patient: Patient) -> None:
    model = patient.model()
    scales = {t.buffer for graph in model.subgraphs for t in graph.tensors if t.name.endswith(".weight_scale")}
    for number in scales:
        model.buffer(number).view(np.float16)[:] *= np.float16(0.5)


def _edit(name: str, what: str, change: Callable[[Patient], None], *expected: str, bed: str = "mobile") -> Mutant:
    return Mutant(name, KIND, bed, what, expected or ("2a",), Edit(change))


def _repacked(name: str, what: str, change: Callable[[Any, Tflite], None], *expected: str) -> Mutant:
    return _edit(name, what, lambda patient: repack(patient, change), *expected)


MUTANTS = (
    _edit("embeddings_not_scaled", "no square root of the hidden size", _factor_one(EMBEDDER)),
    _edit("per_layer_embeddings_not_scaled", "no square root of their width", _factor_one(PER_LAYER)),
    _edit("per_layer_rows_reversed", "the last layer's slice goes to the first layer", _rows_reversed),
    _edit("bfloat16_in_the_lower_half", "looked-up rows become tiny numbers", _halves_exchanged, bed="q4_0"),
    _edit(
        "unscale_forgotten", "block scales moved by a power of two, and nothing tells", _scales_halved, "0", bed="q4_0"
    ),
    _edit("softcap_bypassed", "decode's tanh is left out in the finished file", _softcap_bypassed),
    _edit("wrong_owner_in_decode", "one shared layer of decode reads another owner's keys", _owner_in_decode),
    _edit("weight_of_a_neighbour", "layer 1 of one prefill multiplies by layer 2's weight", _weight_of_a_neighbour),
    _repacked("activation_fused", "a linear cuts off negative outputs", _relu),
    _repacked("outputs_exchanged", "decode hands out layer 0's keys as layer 1's", _outputs_exchanged),
    _repacked("cache_input_renamed", "a cache has a name that the engine does not know", _input_renamed, "0"),
    _repacked("prefill_renamed", "prefill_16 calls itself prefill_17", _prefill_renamed, "0"),
    _repacked("decode_missing", "no decode signature", _decode_missing, REFUSED),
    _repacked("decode_twice", "two signatures are called decode", _decode_twice, REFUSED),
    _repacked("tensor_beyond", "an operator reads a tensor that is not there", _tensor_beyond, REFUSED),
)
