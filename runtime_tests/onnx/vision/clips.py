"""Rung 0: the bounds at which the tower's linears clip what goes in and what comes out."""

from __future__ import annotations

import numpy as np

from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.images import model
from runtime_tests.readers.onnx.model import Node, OnnxModel
from runtime_tests.results import Check, none

BOUNDS = (".input_min", ".input_max", ".output_min", ".output_max")
PRODUCTS = ("MatMul", "MatMulInteger", "MatMulNBits")
_ROUNDING = ("QuantizeLinear", "DequantizeLinear", "Cast")
_OF = {"Max": "min", "Min": "max"}  # the operator that keeps a bound


def compare_clips(case: OnnxCase) -> list[Check]:
    """Every bound of every linear, bit for bit; nothing is clipped where the checkpoint has no bound."""
    folder, graph, wrong, total = case.vision, model(case), list[str](), 0
    for key, product in products(graph).items():
        found = {**_before(graph, product.inputs[0]), **_behind(graph, product.outputs[0])}
        for bound in BOUNDS:
            expected, side = folder.scalar(key.removesuffix(".linear") + bound), bound.removeprefix(".")
            total += expected is not None
            if line := _differs(expected, found.get(side)):
                wrong.append(f"{key}: {side} {line}")
    return [none("images: bounds at which linears clip", wrong, "bounds", total)]


def products(graph: OnnxModel) -> dict[str, Node]:
    """The product of every linear of the layers, by its module path."""
    out = {}
    for node in graph.nodes:
        if node.type in PRODUCTS:
            made = graph.producer.get(node.inputs[1])
            name = node.inputs[1] if made is None else made.inputs[0]  # turned, where floats are multiplied
            key = name.removesuffix(".codes").removesuffix(".weight")
            if name in graph.constants and key.endswith(".linear"):
                out[key] = node
    return out


def _differs(expected: np.float32 | None, found: np.float32 | None) -> str:
    if expected is None or np.isinf(expected):  # which clips nothing
        return "" if found is None else f"is {found:g}, the checkpoint has none"
    if found is None:
        return f"is not there, the checkpoint has {expected:g}"
    return "" if found == expected else f"is {found:g}, the checkpoint has {expected:g}"


def _before(graph: OnnxModel, name: str) -> dict[str, np.float32]:
    out: dict[str, np.float32] = {}
    while (node := graph.producer.get(name)) is not None and node.type in (*_ROUNDING, *_OF):
        if node.type in _OF:
            bound, name = _bound(graph, node)
            if bound is None:
                return out
            out.setdefault(f"input_{_OF[node.type]}", bound)
        else:
            name = node.inputs[0]
    return out


def _behind(graph: OnnxModel, name: str) -> dict[str, np.float32]:
    """Past the scales that a product is multiplied by, and its rounding."""
    out: dict[str, np.float32] = {}
    while len(readers := graph.consumers.get(name, [])) == 1:
        (node,) = readers
        scaled = node.type == "Mul" and any(one in graph.constants and _factor(graph, one) for one in node.inputs)
        if node.type in _OF:
            bound, _ = _bound(graph, node)
            if bound is None:
                return out
            out.setdefault(f"output_{_OF[node.type]}", bound)
        elif not scaled and node.type not in _ROUNDING:
            return out
        name = node.outputs[0]
    return out


def _factor(graph: OnnxModel, name: str) -> bool:
    return name.endswith(".scales") or graph.shape(name) == ()


def _bound(graph: OnnxModel, node: Node) -> tuple[np.float32 | None, str]:
    """The constant of a minimum or maximum, and what it bounds."""
    held = [one for one in node.inputs if one in graph.constants]
    others = [one for one in node.inputs if one not in graph.constants]
    if len(held) != 1 or len(others) != 1 or graph.shape(held[0]) != ():
        return None, ""
    return np.float32(graph.array(held[0])), others[0]
