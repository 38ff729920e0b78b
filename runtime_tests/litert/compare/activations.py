"""Rung 0, second part: the static activation scales around every linear, in every signature that has it."""

from __future__ import annotations

import numpy as np

from runtime_tests.litert.case import DECODER, LitertCase
from runtime_tests.litert.cuts.forced import linears
from runtime_tests.readers.checkpoint import Folder
from runtime_tests.readers.litert.tflite import Subgraph, Tensor
from runtime_tests.results import Check, none

ALWAYS_IN_DECODE = "decode"


def compare_activations(case: LitertCase) -> list[Check]:
    """Input and output scale of every FULLY_CONNECTED against the checkpoint's, bit for bit.

    A scale of 0 leaves the activation alone: there the tensor must be float32.
    """
    wrong: list[str] = []
    absent: list[str] = []
    model, total = case.model(DECODER), 0
    for signature in sorted(model.signatures):
        graph = model.subgraph(signature)
        found = linears(graph)
        for key, pairs in found.items():
            for given, made in pairs:
                total += 2
                for side, index in (("input", given), ("output", made)):
                    if line := scale_differs(case.folder, key, side, graph, graph.tensors[index]):
                        wrong.append(f"{signature} {key}: {line}")
        if signature == ALWAYS_IN_DECODE:
            absent = [key for key in _expected(case) if key not in found]
    return [
        *_caches(case),
        none("activation scales equal", wrong, "tensors", total),
        none("every linear in decode", [f"{key}: not there" for key in absent], "linears", len(_expected(case))),
    ]


def _caches(case: LitertCase) -> list[Check]:
    """Scales of an int8 KV cache, at every input and output of every signature."""
    if not case.cache_scales:
        return []
    wrong, total, model = [], 0, case.model(DECODER)
    for name, signature in sorted(model.signatures.items()):
        graph = model.subgraph(name)
        for number, owner in enumerate(case.dims.owners):
            for letter in "kv":
                expected = case.folder.scalar(f"layers.{owner.layer}.self_attn.{letter}_cache_scale")
                for side in (signature.inputs, signature.outputs):
                    found = graph.tensors[side[f"kv_cache_{letter}_{number}"]].quantization
                    total += 1
                    if found is None or found.scales.size != 1 or expected is None or found.scales[0] != expected:
                        wrong.append(f"{name} kv_cache_{letter}_{number}")
    return [none("cache scales equal", wrong, "tensors", total)]


def _expected(case: LitertCase) -> list[str]:
    """Linears that decode must hold, from config.json: shared layers have neither k nor v."""
    dims, out = case.dims, [] if case.dims.tied else ["lm_head"]
    for index in range(dims.layers):
        shared = index >= dims.first_shared
        kinds = ["q_proj", "o_proj"] if shared else ["q_proj", "k_proj", "v_proj", "o_proj"]
        out += [f"layers.{index}.self_attn.{kind}" for kind in kinds]
        out += [f"layers.{index}.mlp.{kind}" for kind in ("gate_proj", "up_proj", "down_proj")]
        if dims.per_layer_width:
            out += [f"layers.{index}.per_layer_input_gate", f"layers.{index}.per_layer_projection"]
    return out


def scale_differs(folder: Folder, key: str, side: str, graph: Subgraph, tensor: Tensor) -> str:
    """How the scale of a linear's input or output differs from the checkpoint's; empty when they are equal.

    Codes may go by pieces: put together in front of a linear, cut behind it. Each piece must have the scale.
    """
    expected = folder.scalar(f"{key}.{side}_activation_scale")
    if expected is None or expected == 0.0:
        return "" if tensor.type == "FLOAT32" else f"{side} is {tensor.type}, the checkpoint leaves it float"
    quantization = tensor.quantization
    if tensor.type != "INT8" or quantization is None or quantization.scales.size != 1:
        return f"{side} is {tensor.type}, the checkpoint has the scale {expected:g}"
    if quantization.zero_points.size and quantization.zero_points.any():
        return f"{side} has a zero point"
    found = np.float32(quantization.scales[0])
    if found.view(np.uint32) != expected.view(np.uint32):
        return f"{side} scale {found:g}, the checkpoint has {expected:g}"
    made, pieces = graph.producer.get(tensor.index), list[int]()
    if side == "input" and made is not None and made.code != "QUANTIZE":
        if made.code != "CONCATENATION":
            return f"{side} comes from {made.code}, expected QUANTIZE"
        pieces = list(made.inputs)
    if side == "output":
        pieces = [op.outputs[0] for op in graph.consumers.get(tensor.index, []) if op.code == "SLICE"]
    wrong = (scale_differs(folder, key, side, graph, graph.tensors[piece]) for piece in pieces)
    return next((f"of a piece: {line}" for line in wrong if line), "")
