"""Reductions, softmax and normalizations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from runtime_tests.coreml.program.kernel import Bool, Float, Int, Ints, Kernel, Tensor, Text
from runtime_tests.errors import CannotRunError


def _reduction(function: Callable[[Any, tuple[int, ...], bool], Any]) -> Kernel:
    def run(x: Tensor, axes: Ints | None = None, keep_dims: Bool = False) -> Tensor:
        return function(x, tuple(range(x.ndim)) if axes is None else axes, keep_dims)

    return Kernel(run)


def softmax(x: Tensor, axis: Int = -1) -> Tensor:
    return torch.softmax(x, axis)


def reduce_argmax(x: Tensor, axis: Int = -1, keep_dims: Bool = False, output_dtype: Text = "int32") -> Tensor:
    """The first of equal maxima."""
    if output_dtype not in ("int32", "uint16"):
        raise CannotRunError(f"reduce_argmax to {output_dtype[:20]!r}")
    return torch.argmax(x, axis, keepdim=keep_dims).to(torch.int32)


def layer_norm(
    x: Tensor, axes: Ints | None = None, gamma: Tensor = None, beta: Tensor = None, epsilon: Float = 1e-5
) -> Tensor:
    """``gamma (x - mean) / sqrt(var + epsilon) + beta`` over the last axes."""
    over = sorted(axis % x.ndim for axis in (axes if axes is not None else range(x.ndim)))
    if over != list(range(over[0], x.ndim)):
        raise CannotRunError(f"layer_norm over axes {over} that are not the last ones")
    return F.layer_norm(x, x.shape[over[0] :], gamma, beta, epsilon)


def l2_norm(x: Tensor, epsilon: Float = 1e-6) -> Tensor:
    """``x / sqrt(sum(x**2) + epsilon)`` over the last three axes."""
    return x / torch.sqrt((x * x).sum((-3, -2, -1), keepdim=True) + epsilon)


def cumsum(x: Tensor, axis: Int = 0, exclusive: Bool = False, reverse: Bool = False) -> Tensor:
    given = x.flip(axis) if reverse else x
    sums = torch.cumsum(given, axis).to(x.dtype)
    sums = sums - given if exclusive else sums
    return sums.flip(axis) if reverse else sums


KERNELS: dict[str, Kernel] = {
    "reduce_sum": _reduction(lambda x, axes, keep: x.sum(axes, keepdim=keep).to(x.dtype)),
    "reduce_mean": _reduction(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    "reduce_max": _reduction(lambda x, axes, keep: x.amax(axes, keepdim=keep)),
    "reduce_min": _reduction(lambda x, axes, keep: x.amin(axes, keepdim=keep)),
    "reduce_sum_square": _reduction(lambda x, axes, keep: (x * x).sum(axes, keepdim=keep).to(x.dtype)),
    "reduce_l1_norm": _reduction(lambda x, axes, keep: x.abs().sum(axes, keepdim=keep)),
    "reduce_l2_norm": _reduction(lambda x, axes, keep: (x * x).sum(axes, keepdim=keep).sqrt()),
    "reduce_log_sum_exp": _reduction(lambda x, axes, keep: torch.logsumexp(x, axes, keepdim=keep)),
    "reduce_argmax": Kernel(reduce_argmax),
    "softmax": Kernel(softmax),
    "layer_norm": Kernel(layer_norm),
    "l2_norm": Kernel(l2_norm),
    "cumsum": Kernel(cumsum),
}
