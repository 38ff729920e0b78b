"""Faults of lowering: the decoder is right, and the graph is not what it says. Some are put into the finished file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from convert.targets.litert.pack import ALIGNMENT
from runtime_tests.litert.case import DECODER
from runtime_tests.readers.litert.tflite import Tflite
from tests.mutants.mutant import REFUSED, Build, Edit, Mutant
from tests.mutants.patient import Patient
from tests.mutants.source import reads

KIND = "graph"
OPS, DYNAMIC, EMBEDDER = "targets.litert.ops", "targets.litert.dynamic", "targets.litert.embedder"
LOWERED, BLOCKS = "targets.litert.decoder", "targets.litert.blocks"
TERMS = "self._terms = options.terms or (TERMS_OF_LOGITS if module.static_activations else TERMS_OF_ALL)"
SHORT = "        if length == 1:\n"
LENGTH = "length, context = rows.shape[axis], cache.shape[axis]"
CACHES = "written[layer.index]\n    for tensor"
ACCUMULATE = """        if length == 1:
            options = schema.GatherOptionsT()
            options.axis = axis
            at = [cache.value, position.reshape((1,)).value]
            rows = rows + symbol(self._graph.op("GATHER", at, rows.shape, options=options))
"""


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


def _build(
    name: str, what: str, *changes: tuple[str, str, str], to: tuple[str, ...] = ("2a",), bed: str = "mobile"
) -> Mutant:
    return Mutant(name, KIND, bed, what, to, Build(reads(*changes)))


def _edit(name: str, what: str, change: Callable[[Patient], None], *expected: str) -> Mutant:
    return Mutant(name, KIND, "mobile", what, expected or ("2a",), Edit(change))


def _repacked(name: str, what: str, change: Callable[[Any, Tflite], None], *expected: str) -> Mutant:
    return _edit(name, what, lambda patient: repack(patient, change), *expected)


MUTANTS = (
    _build("head_in_8_bits", "lm_head's activations keep 8 bits", (OPS, TERMS, "self._terms = 1")),
    _build("linears_in_16_bits", "q4_0 activations keep 16 bits of 24", (OPS, TERMS, "self._terms = 2"), bed="q4_0"),
    _build(
        "static_activations_left_out",
        "linears quantize their rows as they come",
        (OPS, "scales = self._module.activations.get(key)", "scales = None"),
        to=("0", "2a"),
    ),
    _build(
        "activations_rounded_but_float",
        "QUANTIZE and DEQUANTIZE around a float product",
        (OPS, "if scales is not None and scales.input and scales.output:", "if False:"),
        to=("0",),
    ),
    _build(
        "input_scale_of_the_output",
        "each input is quantized by its linear's output scale",
        (OPS, "codes = self.quantize(x, float(scales.input)", "codes = self.quantize(x, float(scales.output)"),
        to=("0", "2a"),
    ),
    _build("cache_without_room", "a padded last chunk is moved to fit the context", (OPS, SHORT, "        if True:\n")),
    _build("cache_accumulates", "a new row is added to what an earlier conversation left", (OPS, SHORT, ACCUMULATE)),
    _build(
        "prefill_rows_out_of_order",
        "the halves of a chunk are written in the wrong order",
        (OPS, LENGTH, LENGTH + "\n        rows = concatenate(rows.chunk(2, axis)[::-1], axis) if length > 1 else rows"),
    ),
    _build(
        "prefill_caches_exchanged",
        "prefill hands out layer 0's cache as layer 1's",
        (
            LOWERED,
            CACHES,
            "written[layer.index if signature.gives_logits or i > 1 else config.owners[1 - i].index]\n    for tensor",
        ),
    ),
    _build(
        "prefill_without_an_mlp",
        "prefill leaves out the MLP of layer 2",
        (
            "model.decoder",
            "x = x + self._mlp(x, layer)",
            "x = x + self._mlp(x, layer) if logits or layer.index != 2 else x",
        ),
    ),
    _build(
        "embeddings_not_scaled",
        "no square root of the hidden size",
        (EMBEDDER, "(1, 1, width), float(width) ** 0.5)", "(1, 1, width), 1.0)"),
    ),
    _build(
        "per_layer_embeddings_not_scaled",
        "no square root of their width",
        (EMBEDDER, "shape, float(width) ** 0.5)", "shape, 1.0)"),
    ),
    _build(
        "per_layer_rows_reversed",
        "the last layer's slice goes to the first layer",
        (EMBEDDER, "np.arange(groups, dtype=np.int32)", "np.arange(groups, dtype=np.int32)[::-1]"),
    ),
    _build(
        "bfloat16_in_the_lower_half",
        "looked-up rows become tiny numbers",
        (EMBEDDER, "np.zeros((width, 1), np.int16))), row]", "np.zeros((width, 1), np.int16))), row][::-1]"),
        bed="q4_0",
    ),
    _build(
        "block_offsets_unused",
        "offsets are in the file and not in the sum",
        (
            DYNAMIC,
            'fully_connected(symbol(sums), offsets, "float32"))',
            'fully_connected(symbol(sums), offsets, "float32")) * 0.0',
        ),
        bed="q4_0",
    ),
    _build(
        "unscale_forgotten",
        "block scales moved by a power of two, and nothing tells",
        (BLOCKS, "(np.where(size == 0, filler, size) / factor)", "(np.where(size == 0, filler, size) / 2)"),
        to=("0",),
        bed="q4_0",
    ),
    _build(
        "unscale_unused",
        "block scales moved by a power of two, which is told and not applied",
        (BLOCKS, "return np.float32(1.0)", "return np.float32(2.0)"),
        (DYNAMIC, "return out if weight.factor is None else out * symbol(weight.factor)", "return out"),
        bed="q4_0",
    ),
    _build(
        "cache_scales_lost_in_prefill",
        "prefill's int8 caches have no scale",
        (OPS, "self._graph.tensors[out.value.index].quantization = parameters", "pass"),
        to=("0",),
        bed="int8 cache",
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
