"""The weights of a checkpoint, counted by component and bits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from convert.checkpoint.types import Checkpoint, Module
from convert.lattice import QuantTensor, packed_width

_COMPONENTS = (
    ("embed_tokens_per_layer", "per-layer embedding"),
    ("embed_tokens", "embedding"),
    ("lm_head", "head"),
    ("self_attn", "attention"),
    ("mlp", "mlp"),
    ("per_layer", "per-layer input"),
    ("norm", "norms and scalars"),
    ("layer_scalar", "norms and scalars"),
)
_FLOAT_BITS = {"BF16": 16, "F16": 16, "F32": 32}


@dataclass(frozen=True)
class Share:
    """The tensors of one component that are stored in one way.

    Attributes:
        bits: bits of a weight: 2, 4 or 8 for integers, 16 or 32 for floats.
        scales: ``per row``, ``per <n> columns``, or ``none`` for floats.
        parameters: number of weights.
        code_bytes: bytes of the packed weights.
        scale_bytes: bytes of their scales at four bytes each.
    """

    component: str
    bits: int
    scales: str
    tensors: int
    parameters: int
    code_bytes: int
    scale_bytes: int


def component(key: str) -> str:
    """The part of the model a tensor belongs to.

    >>> component("layers.3.self_attn.q_norm.weight"), component("layers.3.per_layer_input_gate")
    ('norms and scalars', 'per-layer input')
    """
    if "norm" in key.removesuffix(".weight").rpartition(".")[2]:
        return "norms and scalars"
    return next((name for part, name in _COMPONENTS if part in key), "other")


def granularity(tensor: QuantTensor) -> str:
    """How the scales of a matrix are laid out, in words."""
    return "per row" if tensor.groups == 1 else f"per {tensor.columns // tensor.groups} columns"


def histogram(checkpoint: Checkpoint) -> tuple[Share, ...]:
    """All weights of all modules, biggest share first; those of other modules than text by the module's name.

    Reads no tensor.
    """
    return merge(share for name, module in checkpoint.modules.items() for share in _shares(name, module))


def _shares(module: str, held: Module[Any]) -> Iterator[Share]:
    for key, t in held.quants.items():
        codes, scales = t.rows * packed_width(t.columns, t.bits), t.rows * t.groups * 4
        yield Share(_named(module, key), t.bits, granularity(t), 1, t.rows * t.columns, codes, scales)
    for key, f in held.floats.items():
        bits, count = _FLOAT_BITS[f.dtype], prod(f.shape)
        yield Share(_named(module, key), bits, "none", 1, count, count * bits // 8, 0)


def _named(module: str, key: str) -> str:
    return component(key) if module == "text" else module


def merge(shares: Iterable[Share]) -> tuple[Share, ...]:
    """Adds up what is stored alike; biggest first, ties by name."""
    sums: dict[tuple[str, int, str], list[int]] = {}
    for s in shares:
        entry = sums.setdefault((s.component, s.bits, s.scales), [0, 0, 0, 0])
        for i, n in enumerate((s.tensors, s.parameters, s.code_bytes, s.scale_bytes)):
            entry[i] += n
    merged = (Share(*key, *entry) for key, entry in sums.items())
    return tuple(sorted(merged, key=lambda s: (-s.code_bytes, s.component, s.bits)))
