"""Element by element: arithmetic, comparison, activation functions, casts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from runtime_tests.coreml.program.kernel import Float, Kernel, Tensor, Text
from runtime_tests.errors import CannotRunError


def _unary(function: Callable[[Any], Any]) -> Kernel:
    def run(x: Tensor) -> Tensor:
        return function(x)

    return Kernel(run)


def _binary(function: Callable[[Any, Any], Any]) -> Kernel:
    def run(x: Tensor, y: Tensor) -> Tensor:
        return function(x, y)

    return Kernel(run)


def identity(x: Tensor) -> Tensor:
    return x


def rsqrt(x: Tensor, epsilon: Float = 1e-12) -> Tensor:
    return torch.rsqrt(x + epsilon)


def inverse(x: Tensor, epsilon: Float = 1e-4) -> Tensor:
    return 1.0 / (x + epsilon)


def log(x: Tensor, epsilon: Float = 1e-45) -> Tensor:
    return torch.log(x + epsilon)


def clip(x: Tensor, alpha: Float, beta: Float) -> Tensor:
    return x.clamp(alpha, beta)


def gelu(x: Tensor, mode: Text = "EXACT") -> Tensor:
    """``EXACT`` by the error function, ``TANH_APPROXIMATION``, ``SIGMOID_APPROXIMATION``: x sigmoid(1.702 x)."""
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    known = {"EXACT": "none", "TANH_APPROXIMATION": "tanh"}
    if mode not in known:
        raise CannotRunError(f"gelu of mode {mode[:40]!r}")
    return F.gelu(x, approximate=known[mode])


def real_div(x: Tensor, y: Tensor) -> Tensor:
    if not x.is_floating_point():
        raise CannotRunError("real_div of integers")
    return x / y


def select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(cond, a, b)


def cast(x: Tensor, dtype: Text) -> Tensor:
    """Towards zero from floats to integers; the evaluator keeps integers as int32 and floats in its working type."""
    if dtype in ("fp16", "fp32"):
        return x  # the declared output type makes a float of it, and rounds
    if dtype == "bool":
        return x.bool()
    limits = {"int8": (8, True), "uint8": (8, False), "int16": (16, True), "uint16": (16, False), "int32": (32, True)}
    if dtype not in limits:
        raise CannotRunError(f"cast to {dtype[:40]!r}")
    bits, signed = limits[dtype]
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    whole = x.trunc().to(torch.int64) if x.is_floating_point() else x.to(torch.int64)
    if bool(((whole < low) | (whole > high)).any()):
        raise CannotRunError(f"cast to {dtype} of a value outside of it, which no runtime defines")
    return whole.to(torch.int32)


KERNELS: dict[str, Kernel] = {
    "abs": _unary(torch.abs),
    "ceil": _unary(torch.ceil),
    "cos": _unary(torch.cos),
    "erf": _unary(torch.erf),
    "exp": _unary(torch.exp),
    "exp2": _unary(torch.exp2),
    "floor": _unary(torch.floor),
    "identity": Kernel(identity, moves=True),
    "logical_not": _unary(torch.logical_not),
    "relu": _unary(torch.relu),
    "round": _unary(torch.round),
    "sigmoid": _unary(torch.sigmoid),
    "sign": _unary(torch.sign),
    "silu": _unary(F.silu),
    "sin": _unary(torch.sin),
    "softsign": _unary(F.softsign),
    "sqrt": _unary(torch.sqrt),
    "square": _unary(torch.square),
    "tan": _unary(torch.tan),
    "tanh": _unary(torch.tanh),
    "rsqrt": Kernel(rsqrt),
    "inverse": Kernel(inverse),
    "log": Kernel(log),
    "clip": Kernel(clip),
    "gelu": Kernel(gelu),
    "add": _binary(torch.add),
    "sub": _binary(torch.sub),
    "mul": _binary(torch.mul),
    "real_div": Kernel(real_div),
    "floor_div": _binary(torch.floor_divide),
    "mod": _binary(torch.remainder),
    "pow": _binary(torch.pow),
    "maximum": _binary(torch.maximum),
    "minimum": _binary(torch.minimum),
    "equal": _binary(torch.eq),
    "not_equal": _binary(torch.ne),
    "less": _binary(torch.lt),
    "less_equal": _binary(torch.le),
    "greater": _binary(torch.gt),
    "greater_equal": _binary(torch.ge),
    "logical_and": _binary(torch.logical_and),
    "logical_or": _binary(torch.logical_or),
    "logical_xor": _binary(torch.logical_xor),
    "select": Kernel(select, moves=True),
    "cast": Kernel(cast),
}
