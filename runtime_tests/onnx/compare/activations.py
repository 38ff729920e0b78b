"""Rung 0 for ONNX, second part: every linear's static activation scales, as ``QuantizeLinear`` around it has them."""

from __future__ import annotations

import numpy as np

from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.weights import Matrix, matrix
from runtime_tests.readers.checkpoint import Folder
from runtime_tests.readers.onnx.model import Node, OnnxModel
from runtime_tests.results import Check, none

ROUND, BACK = "QuantizeLinear", "DequantizeLinear"
_ZERO = np.int8(0)


def compare_activations(case: OnnxCase) -> list[Check]:
    """Input and output scale of every linear that the decoder must hold, bit for bit."""
    wrong, absent, keys = list[str](), list[str](), expected(case)
    for key in keys:
        found = matrix(case.decoder, key)
        if isinstance(found, str):
            if f"{key}.weight" not in case.decoder.constants:
                absent.append(f"{key}: {found}")
            continue
        wrong += scales_differ(case.decoder, case.folder, found, key)
    return [
        none("activation scales equal", wrong, "sides", 2 * len(keys)),
        none("every linear in the decoder", absent, "linears", len(keys)),
    ]


def expected(case: OnnxCase) -> list[str]:
    """Linears that a decoder must hold, from config.json: shared layers have neither k nor v."""
    dims, out = case.dims, ["lm_head"]
    for index in range(dims.layers):
        shared = index >= dims.first_shared
        kinds = ["q_proj", "o_proj"] if shared else ["q_proj", "k_proj", "v_proj", "o_proj"]
        out += [f"layers.{index}.self_attn.{kind}" for kind in kinds]
        out += [f"layers.{index}.mlp.{kind}" for kind in ("gate_proj", "up_proj", "down_proj")]
        if dims.per_layer_width:
            out += [f"layers.{index}.per_layer_input_gate", f"layers.{index}.per_layer_projection"]
    return out + (["per_layer_model_projection"] if dims.per_layer_width else [])


def scales_differ(model: OnnxModel, folder: Folder, found: Matrix, key: str) -> list[str]:
    """What is wrong with a linear's input and output scale."""
    both = (("input", _before(model, folder, found, key)), ("output", output_differs(model, folder, found.node, key)))
    return [f"{key}: {side} {line}" for side, line in both if line]


def _before(model: OnnxModel, folder: Folder, found: Matrix, key: str) -> str:
    """What is wrong in front of a product: codes, rounded by the checkpoint's scale, made floats, and nothing else."""
    stored = folder.scalar(f"{key}.input_activation_scale")
    made = model.producer.get(found.node.inputs[0])
    first = model.producer.get(made.inputs[0]) if made is not None and made.type in ("Cast", BACK) else None
    if stored is None or stored == 0:
        return "is rounded, the checkpoint leaves it float" if made is not None and made.type in (BACK, "Cast") else ""
    if made is None or first is None or first.type != ROUND:
        return f"is not rounded, the checkpoint has the scale {stored:g}"
    if line := scale_differs(model, first, stored):
        return line
    if made.type == "Cast":  # the codes go in: the scale has to come back behind the product
        return _factor(model, found, key, stored)
    return scale_differs(model, made, stored)


def _factor(model: OnnxModel, found: Matrix, key: str, stored: np.float32) -> str:
    """Codes as they are: the product has to be multiplied by their scale, once."""
    gained = model.consumers.get(found.node.outputs[0], [])
    if found.gain is None or not gained:
        return "codes go in and no scale comes back"
    return factor_differs(model, gained[0], stored)


def factor_differs(model: OnnxModel, gained: Node, stored: np.float32) -> str:
    """What is wrong where a product times its gain is multiplied by the scale of the codes that went in."""
    behind = model.consumers.get(gained.outputs[0], [])
    if len(behind) != 1 or behind[0].type != "Mul":
        return "codes go in and no scale comes back"
    (other,) = [one for one in behind[0].inputs if one != gained.outputs[0]] or [""]
    value = model.array(other) if other in model.constants else np.zeros(0)
    same = value.shape == () and np.float32(value).view(np.uint32) == stored.view(np.uint32)
    return "" if same else f"codes go in, and {value.tolist()} comes back for {stored:g}"


def output_differs(model: OnnxModel, folder: Folder, product: Node, key: str) -> str:
    """What is wrong behind a product, past gain and input scale."""
    stored = folder.scalar(f"{key}.output_activation_scale")
    name = product.outputs[0]
    while (readers := model.consumers.get(name, [])) and len(readers) == 1 and _is_factor(model, readers[0], name):
        name = readers[0].outputs[0]
    rounds = [node for node in readers if node.type == ROUND]
    if stored is None or stored == 0:
        return "is rounded, the checkpoint leaves it float" if rounds else ""
    if len(readers) != 1 or not rounds:
        return f"is not rounded, or read before, the checkpoint has the scale {stored:g}"
    behind = model.consumers.get(rounds[0].outputs[0], [])
    if not behind or any(node.type != BACK for node in behind):
        return "codes are read by something else than their scale"
    return next((line for node in (rounds[0], *behind) if (line := scale_differs(model, node, stored))), "")


def _is_factor(model: OnnxModel, node: Node, name: str) -> bool:
    """Whether a node multiplies by a constant that is the gain, or by a single number."""
    others = [one for one in node.inputs if one != name]
    if node.type != "Mul" or len(others) != 1 or others[0] not in model.constants:
        return False
    return model.shape(others[0]) == () or others[0].endswith(".scales")


def scale_differs(model: OnnxModel, node: Node, stored: np.float32, zero_point: np.generic = _ZERO) -> str:
    """What is wrong with one node's scale and zero point."""
    if len(node.inputs) != 3 or any(one not in model.constants for one in node.inputs[1:]):
        return f"{node.type} has inputs {', '.join(node.inputs)}"
    scale, zero = (model.array(one) for one in node.inputs[1:])
    if scale.dtype != np.float32 or scale.shape != () or scale.view(np.uint32) != stored.view(np.uint32):
        return f"scale of {node.type} is {scale.tolist()}, the checkpoint has {stored:g}"
    if zero.dtype != zero_point.dtype or zero.shape != () or zero != zero_point or node.attributes:
        return f"{node.type} has zero point {zero.tolist()} as {zero.dtype} and {sorted(node.attributes)}"
    return ""
