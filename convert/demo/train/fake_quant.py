"""Quantization in the mobile and the q4_0 scheme, with straight-through gradients.

Weights: ``clamp(round(w / s)) * s`` with a step ``s`` per output channel (per token and layer in the per-layer
embedding) that is learned with them (learned step size quantization, Esser et al. 2020, arXiv:1902.08153).
Activations: int8 with one static step a tensor, calibrated once and then frozen. q4_0: blocks of 32, whose step
follows from the block.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convert.lattice import code_range

BLOCK = 32
SMALLEST_STEP = 1e-6


def bounds(bits: int) -> tuple[int, int]:
    """Smallest and largest code of a weight. TFLite restricts int8 weights to -127..127."""
    low, high = code_range(bits)
    return (-127 if bits == 8 else low), high


def straight(exact: Tensor, rounded: Tensor) -> Tensor:
    """``rounded`` with the gradient of ``exact``."""
    return exact + (rounded - exact).detach()


def codes(weight: Tensor, step: Tensor, bits: int) -> Tensor:
    """The integers of a weight ``[rows, columns]``, as floats; ``step`` is ``[rows, groups]``."""
    low, high = bounds(bits)
    grouped = weight.reshape(*step.shape, -1) / step[..., None]
    return grouped.round().clamp(low, high).reshape(weight.shape)


def on_grid(weight: Tensor, step: Tensor, bits: int) -> Tensor:
    """``code * step``; gradients reach both, the step's being damped by the number of weights that share it."""
    low, high = bounds(bits)
    grouped = weight.reshape(*step.shape, -1)
    damping = (grouped.shape[-1] * high) ** -0.5
    damped = straight(step * damping, step)[..., None]
    inside = (grouped / damped).clamp(low, high)
    return (straight(inside, inside.round()) * damped).reshape(weight.shape)


def first_step(weight: Tensor, groups: int, bits: int) -> Tensor:
    """Step of each row and group with the smallest squared error, ``[rows, groups]``."""
    grouped = weight.detach().reshape(weight.shape[0], groups, -1)
    largest = grouped.abs().amax(-1).clamp_min(SMALLEST_STEP)
    low, high = bounds(bits)
    best, error = torch.zeros_like(largest), torch.full_like(largest, torch.inf)
    for fraction in torch.linspace(0.2, 1.1, 46):
        step = largest * fraction / (high + 0.5)
        rounded = (grouped / step[..., None]).round().clamp(low, high) * step[..., None]
        found = (rounded - grouped).square().sum(-1)
        best, error = torch.where(found < error, step, best), torch.minimum(found, error)
    return best


def naive_step(weight: Tensor, groups: int, bits: int) -> Tensor:
    """Step that puts the largest magnitude of each row and group on the largest code: min-max rounding."""
    grouped = weight.detach().reshape(weight.shape[0], groups, -1)
    return grouped.abs().amax(-1).clamp_min(SMALLEST_STEP) / bounds(bits)[1]


class StaticInt8(nn.Module):
    """A tensor's static int8 grid; step 0 leaves the tensor alone. ``watching`` records the largest magnitude."""

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Buffer(torch.zeros(()))
        self.largest = 0.0
        self.watching = False
        self.value = 0.0

    def forward(self, x: Tensor) -> Tensor:
        if self.watching:
            self.largest = max(self.largest, x.detach().abs().max().item())
        if self.value == 0.0:
            return x
        out: Tensor = torch.fake_quantize_per_tensor_affine(x, self.value, 0, -128, 127)
        return out

    def freeze(self, step: float) -> None:
        self.step.fill_(step)
        self.value = float(self.step)  # as float32 holds it


class MobileLinear(nn.Module):
    """A linear of the mobile scheme; takes the weight of the one that it replaces."""

    def __init__(self, weight: nn.Parameter, bits: int, step: Tensor) -> None:
        super().__init__()
        self.weight, self.bits = weight, bits
        self.step = nn.Parameter(step)
        self.entering, self.leaving = StaticInt8(), StaticInt8()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.leaving(F.linear(self.entering(x), on_grid(self.weight, self.step, self.bits)))
        return out


class MobileEmbedding(nn.Module):
    """A table of the mobile scheme: only the rows that are looked up are rounded."""

    def __init__(self, weight: nn.Parameter, bits: int, step: Tensor, factor: float) -> None:
        super().__init__()
        self.weight, self.bits, self.factor = weight, bits, factor
        self.step = nn.Parameter(step)

    def forward(self, ids: Tensor) -> Tensor:
        rows = on_grid(F.embedding(ids, self.weight), F.embedding(ids, self.step), self.bits)
        return rows * self.factor

    def head(self) -> Tensor:
        """The whole table on its grid: the head's weight."""
        return on_grid(self.weight, self.step, self.bits)


class Q40Linear(nn.Module):
    """A linear whose weight is rounded to the q4_0 lattice and to bfloat16."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, straight(self.weight, q4_0(self.weight.detach())))


def q4_0(weight: Tensor) -> Tensor:
    """``bf16(code * d)`` in blocks of 32 along the input, ``d`` the signed extremum over -8 as bfloat16."""
    blocks = weight.reshape(weight.shape[0], -1, BLOCK)
    extremum = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    d = (extremum / -8).bfloat16().float() + 0.0
    found = (blocks / torch.where(d == 0, 1.0, d)).round().clamp(-8, 7)
    return ((found + 0.0) * d).bfloat16().float().reshape(weight.shape)
