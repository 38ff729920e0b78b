"""What happens inside the reference: residuals, per-layer inputs, keys, values and the outputs of the linears."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from runtime_tests.reference.model import Floats


@dataclass
class Capture:
    """What one forward pass over ``T`` tokens made.

    Attributes:
        boundary: by the artifact's names, ``layers.<i>/input`` and so on, float32 ``[T, width]``.
        keys, values: by KV-owning layer, after norm and rotary embedding, before any rounding for the cache, float32
            ``[kv heads, T, head_dim]``.
        linears: outputs of the linears by module path, float32 ``[T, out]``.
        norms: outputs of norms that have a weight, by module path, float32 ``[T, width]``; only on request.
        scales: output activation scale of each quantized linear that has one.
    """

    boundary: dict[str, Floats] = field(default_factory=dict)
    keys: dict[int, Floats] = field(default_factory=dict)
    values: dict[int, Floats] = field(default_factory=dict)
    linears: dict[str, Floats] = field(default_factory=dict)
    norms: dict[str, Floats] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)


def watch_layer(out: Capture, index: int, layer: Any, norms: bool) -> list[Any]:
    """Hooks that keep what a layer is given and makes; the caller removes them."""

    def keep(name: str, tensor: Any) -> None:
        # A copy: the layer multiplies its residual in place afterwards.
        out.boundary[name] = tensor[0].float().clone().numpy()

    def entering(_module: Any, args: Any, kwargs: Any) -> None:
        keep(f"layers.{index}/input", args[0] if args else kwargs["hidden_states"])
        given = args[1] if len(args) > 1 else kwargs.get("per_layer_input")
        if given is not None:
            keep(f"layers.{index}/per_layer_input", given)

    handles = [
        layer.register_forward_pre_hook(entering, with_kwargs=True),
        layer.register_forward_hook(lambda _m, _a, result: keep(f"layers.{index}/output", result)),
        layer.pre_feedforward_layernorm.register_forward_pre_hook(
            lambda _m, args: keep(f"layers.{index}/attention", args[0])
        ),
    ]
    if hasattr(layer, "per_layer_input_gate"):
        handles.append(
            layer.per_layer_input_gate.register_forward_pre_hook(lambda _m, args: keep(f"layers.{index}/mlp", args[0]))
        )
    for name, module in layer.named_modules():
        key = f"layers.{index}.{name}"
        if re.search(r"_proj$|per_layer_input_gate$|per_layer_projection$", name):
            handles.append(_watch_linear(out, key, module))
        elif norms and key.endswith("norm") and getattr(module, "weight", None) is not None:
            handles.append(_watch_norm(out, key, module))
    return handles


def watch_outside(out: Capture, decoder: Any) -> list[Any]:
    """Hooks that keep the norms and the projection in front of and behind all layers; the caller removes them."""
    handles = [
        _watch_norm(out, key, module)
        for key, module in decoder.named_children()
        if key.endswith("norm") and getattr(module, "weight", None) is not None
    ]
    if hasattr(decoder, "per_layer_model_projection"):
        handles.append(_watch_linear(out, "per_layer_model_projection", decoder.per_layer_model_projection))
    return handles


def _watch_linear(out: Capture, key: str, module: Any) -> Any:
    def leaving(_module: Any, _args: Any, result: Any) -> None:
        out.linears[key] = result[0].float().numpy()

    scale = getattr(module, "output_activation_scale", None)
    if scale is not None and float(scale) != 0.0:
        out.scales[key] = float(scale)
    return module.register_forward_hook(leaving)


def _watch_norm(out: Capture, key: str, module: Any) -> Any:
    def leaving(_module: Any, _args: Any, result: Any) -> None:
        out.norms[key] = result[0].float().flatten(1).numpy()

    return module.register_forward_hook(leaving)
