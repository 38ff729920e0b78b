"""Rung 0 for ONNX, third part: what goes in and comes out, which operators there are, and where caches go."""

from __future__ import annotations

from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.runner import past
from runtime_tests.readers.dimensions import SLIDING
from runtime_tests.readers.onnx.model import OnnxModel
from runtime_tests.results import Check, none

ATTENTION, PARTS = "GroupQueryAttention", ("key", "value")
# Everything that such a model needs; a graph with a loop, a branch or a function is something else.
KNOWN = frozenset(
    "Add BitShift BitwiseAnd Cast Concat Cos DequantizeLinear Div Gather Gelu MatMul MatMulNBits Max Min Mul "
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
        rows = "window_" if dims.kinds[owner.layer] == SLIDING else ""
        for part in PARTS:
            given[past(i, part)] = (1, owner.kv_heads, f"{rows}past", owner.head_dim, "float32")
            made[f"present.{i}.{part}"] = (1, owner.kv_heads, f"{rows}total", owner.head_dim, "float32")
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
        sliding = dims.kinds[layer] == SLIDING
        kept = "seen" if sliding else "present"
        held = tuple(f"{kept}.{number}.{part}" for part in PARTS)
        expected = {
            "num_heads": heads,
            "kv_num_heads": owner.kv_heads,
            "scale": 1.0,
            "local_window_size": dims.window if sliding else -1,
        }
        if node.attributes != expected:
            wrong.append(f"layer {layer}: {node.attributes}, expected {expected}")
        read = tuple(_source(case.decoder, name) for name in node.inputs[3:5]) if layer in owners else node.inputs[3:5]
        given = tuple(past(number, part) for part in PARTS) if layer in owners else held
        if read != given:
            wrong.append(f"layer {layer} reads {', '.join(read)}, expected {', '.join(given)}")
        if layer in owners and node.outputs[1:] != held:
            wrong.append(f"layer {layer} writes {', '.join(node.outputs[1:])}")
        if layer in owners and sliding:
            wrong += [line for part in PARTS if (line := _kept(case.decoder, number, part))]
    return wrong


def _source(model: OnnxModel, name: str) -> str:
    """What some of a cache's rows are taken from; the name itself where nothing is taken."""
    node = model.producer.get(name)
    return node.inputs[0] if node is not None and node.type == "Slice" else name


def _kept(model: OnnxModel, number: int, part: str) -> str:
    """What is wrong with how a window's cache is made: rows of what was seen, and of the cache of before behind them.

    Which rows is asked in rung 2a.
    """
    node = model.producer.get(f"present.{number}.{part}")
    if node is None:
        return f"nothing makes present.{number}.{part}"
    made = tuple(_source(model, name) for name in node.inputs)
    expected = f"seen.{number}.{part}", past(number, part)
    if (node.type, node.attributes, made) == ("Concat", {"axis": 2}, expected):
        return ""
    return f"present.{number}.{part} is {node.type} of {', '.join(made)}, expected Concat of {', '.join(expected)}"
