"""Turns the float network into one that is trained on a grid, and finds the activation steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn

from convert.demo.train.fake_quant import MobileEmbedding, MobileLinear, Q40Linear, StaticInt8, first_step
from convert.demo.writing.layout import linears, tables
from convert.demo.writing.shape import TextShape
from convert.demo.writing.stored import Matrix

FirstStep = Callable[[Tensor, int, int], Tensor]
# One tensor feeds these, so they have one input step.
SHARED = {"k_proj": "q_proj", "v_proj": "q_proj", "up_proj": "gate_proj"}
HEADROOM = 1.02


def to_mobile(model: Any, shape: TextShape, steps: FirstStep = first_step) -> Any:
    """Replaces linears and tables by modules of the mobile scheme, in place; activations stay float for now."""
    decoder = model.model.language_model
    for matrix in linears(shape):
        parent, leaf = _parent(decoder, matrix.key)
        weight = getattr(parent, leaf).weight
        setattr(parent, leaf, MobileLinear(weight, matrix.bits, steps(weight, 1, matrix.bits)))
    for matrix in tables(shape)[:2]:
        old = getattr(decoder, matrix.key)
        step = steps(old.weight, matrix.groups, matrix.bits)
        setattr(decoder, matrix.key, MobileEmbedding(old.weight, matrix.bits, step, old.scalar_embed_scale))
    return model


def to_q4_0(model: Any, shape: TextShape) -> Any:
    """Replaces the linears of the layers by ones on the q4_0 lattice, in place."""
    decoder = model.model.language_model
    for matrix in linears(shape):
        parent, leaf = _parent(decoder, matrix.key)
        setattr(parent, leaf, Q40Linear(getattr(parent, leaf).weight))
    return model


def head(model: Any) -> Any:
    """The head's weight ``[vocab, hidden]``, on its grid where there is one."""
    table = model.model.language_model.embed_tokens
    return table.head() if isinstance(table, MobileEmbedding) else table.weight


def mobile_linears(model: Any, shape: TextShape) -> Iterator[tuple[Matrix, MobileLinear]]:
    """The quantized linears with their place."""
    for matrix in linears(shape):
        yield matrix, model.model.language_model.get_submodule(matrix.key)


def watch(model: Any, watching: bool) -> None:
    """Begins or ends the recording of magnitudes."""
    for module in model.modules():
        if isinstance(module, StaticInt8):
            module.watching = watching


def freeze_activations(model: Any, shape: TextShape) -> None:
    """Sets every static step from the magnitudes that were recorded; from now on they do not change."""
    found = {matrix.key: module for matrix, module in mobile_linears(model, shape)}
    for key, module in found.items():
        parent, _, leaf = key.rpartition(".")
        feeding = found[f"{parent}.{SHARED.get(leaf, leaf)}"] if leaf in SHARED else module
        module.entering.freeze(feeding.entering.largest * HEADROOM / 127)
        module.leaving.freeze(module.leaving.largest * HEADROOM / 127)


def to_bfloat16(model: Any) -> None:
    """Rounds what the mobile format keeps in bfloat16, and trains it no further: norms, per_layer_model_projection."""
    kept = {id(p) for m in model.modules() if isinstance(m, MobileLinear | MobileEmbedding) for p in m.parameters()}
    for parameter in model.model.language_model.parameters():
        if id(parameter) not in kept:
            parameter.data.copy_(parameter.data.bfloat16().float())
            parameter.requires_grad_(False)


def _parent(decoder: nn.Module, key: str) -> tuple[nn.Module, str]:
    parent, _, leaf = key.rpartition(".")
    return (decoder.get_submodule(parent) if parent else decoder), leaf
