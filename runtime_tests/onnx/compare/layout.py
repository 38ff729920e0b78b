"""Rung 0 for ONNX, third part: what goes in and comes out, which operators there are, and where caches go."""

from __future__ import annotations

from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.runner import past
from runtime_tests.readers.dimensions import SLIDING
from runtime_tests.readers.onnx.model import OnnxModel
from runtime_tests.results import Check, none

ATTENTION = "GroupQueryAttention"
# Everything that such a model needs; a graph with a loop, a branch or a function is something else.
KNOWN = frozenset(
    "Add BitShift BitwiseAnd Cast Concat Cos DequantizeLinear Div Gather Gelu MatMul MatMulNBits Mul "
    "QuantizeLinear Reciprocal ReduceMean Reshape Shape Sin Slice Sqrt Sub Tanh Transpose Unsqueeze "
    f"{ATTENTION}".split()
)


def compare_layout(case: OnnxCase) -> list[Check]:
    """Names, shapes and types of inputs and outputs; windows and heads of attention; operators."""
    attentions = [node for node in case.decoder.nodes if node.type == ATTENTION]
    odd = [
        f"{model.path.name}: {node.name} is a {node.domain}.{node.type}"
        for model in (case.decoder, case.embedding)
        for node in model.nodes
        if node.type not in KNOWN
    ]
    total = len(case.decoder.nodes) + len(case.embedding.nodes)
    wrong = [*_outside(case.decoder, *_decoder(case)), *_outside(case.embedding, *_embedding(case))]
    return [
        none("inputs and outputs", wrong, "differences", len(case.decoder.inputs) + len(case.decoder.outputs)),
        none("attention: heads, window, caches", _attention(case), "layers", len(attentions)),
        none("operators that a decoder has no use for", odd, "nodes", total),
    ]


def _decoder(case: OnnxCase) -> tuple[dict[str, tuple[object, ...]], dict[str, tuple[object, ...]]]:
    dims = case.dims
    given: dict[str, tuple[object, ...]] = {
        "inputs_embeds": (1, "sequence", dims.hidden, "float32"),
        "attention_mask": (1, "total", "int64"),
        "position_ids": (1, "sequence", "int64"),
    }
    if dims.per_layer_width:
        given["per_layer_inputs"] = (1, "sequence", dims.layers * dims.per_layer_width, "float32")
    made: dict[str, tuple[object, ...]] = {"logits": (1, 1, dims.vocab, "float32")}
    for i, owner in enumerate(dims.owners):
        for part in ("key", "value"):
            given[past(i, part)] = (1, owner.kv_heads, "past", owner.head_dim, "float32")
            made[f"present.{i}.{part}"] = (1, owner.kv_heads, "total", owner.head_dim, "float32")
    return given, made


def _embedding(case: OnnxCase) -> tuple[dict[str, tuple[object, ...]], dict[str, tuple[object, ...]]]:
    dims = case.dims
    made: dict[str, tuple[object, ...]] = {"inputs_embeds": (1, "sequence", dims.hidden, "float32")}
    if dims.per_layer_width:
        made["per_layer_inputs"] = (1, "sequence", dims.layers * dims.per_layer_width, "float32")
    return {"input_ids": (1, "sequence", "int64")}, made


def _outside(model: OnnxModel, given: dict[str, tuple[object, ...]], made: dict[str, tuple[object, ...]]) -> list[str]:
    wrong = []
    for side, expected, there in (("input", given, model.inputs), ("output", made, model.outputs)):
        found = {name: (*one.shape, one.dtype) for name, one in there.items()}
        wrong += [
            f"{model.path.name}: {side} {name} is {found.get(name)}, expected {expected.get(name)}"
            for name in sorted({*expected, *found})
            if found.get(name) != expected.get(name)
        ]
    return wrong


def _attention(case: OnnxCase) -> list[str]:
    """Each layer's attention in order: its own keys and values appended, or another's read."""
    dims, nodes = case.dims, [node for node in case.decoder.nodes if node.type == ATTENTION]
    if len(nodes) != dims.layers:
        return [f"{len(nodes)} operators for {dims.layers} layers"]
    heads = case.folder.transformers.get_text_config().num_attention_heads
    wrong, owners = [], {owner.layer: (i, owner) for i, owner in enumerate(dims.owners)}
    for layer, node in enumerate(nodes):
        same = [one for one in owners if dims.kinds[one] == dims.kinds[layer] and one <= layer]
        number, owner = owners[layer if layer in owners else same[-1]]
        kind = "past_key_values" if layer in owners else "present"
        held = tuple(f"{kind}.{number}.{part}" for part in ("key", "value"))
        expected = {
            "num_heads": heads,
            "kv_num_heads": owner.kv_heads,
            "scale": 1.0,
            "local_window_size": dims.window if dims.kinds[layer] == SLIDING else -1,
        }
        if node.attributes != expected:
            wrong.append(f"layer {layer}: {node.attributes}, expected {expected}")
        if node.inputs[3:5] != held:
            wrong.append(f"layer {layer} reads {', '.join(node.inputs[3:5])}, expected {', '.join(held)}")
        if layer in owners and node.outputs[1:] != tuple(f"present.{number}.{part}" for part in ("key", "value")):
            wrong.append(f"layer {layer} writes {', '.join(node.outputs[1:])}")
    return wrong
