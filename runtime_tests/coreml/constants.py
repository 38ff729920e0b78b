"""The reference with the constants of profile ``ane``, which has nothing wider than float16.

Such a program holds the checkpoint's numbers rounded to float16 once, and is judged by what it makes of those: its
reference is transformers with the same constants put in. They are rounded here from the checkpoint's, never read from
the artifact, so that a wrong constant in the artifact is not followed. What the rounding costs is the distance between
this reference and the checkpoint's own.

One constant is not the checkpoint's. Squares leave float16's range, so a norm divides a row by its largest magnitude
first, and its ``rsqrt`` adds 2^-24, for MIL has none without an epsilon and float16 none smaller. On rows with a peak
that is many times the others that is more than the last bits, so it is put in too.

Inputs of the program are no constants: embedding rows, rotary rows and masks stay as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.reference.model import Reference

LOWEST, HIGHEST = -14, 7  # exponents of the powers of two
SMALLEST, LEAST_SIZE = 2.0**-24, 2.0**-14
ACTIVATIONS = ("input_activation_scale", "output_activation_scale")


def round_constants(reference: Reference) -> None:
    """Puts the constants that a program of profile ``ane`` holds in place of the reference's, for good.

    Weight scales, activation scales, float weights, norms and their epsilons, layer scalars, the factors of the
    per-layer inputs and the softcap.
    """
    import torch

    for module in reference.model.modules():
        if hasattr(module, "weight_scale"):
            _put(module, "weight_scale", _with_gain(module.weight_scale.data))
            for name in ACTIVATIONS:
                _put(module, name, _half(getattr(module, name).data))
        elif isinstance(module, torch.nn.Linear):
            _put(module, "weight", _half(module.weight.data))
        elif hasattr(module, "eps"):
            _put_epsilon(module)
            if getattr(module, "weight", None) is not None:
                _put(module, "weight", _half(module.weight.data))
        if hasattr(module, "layer_scalar"):
            _put(module, "layer_scalar", _half(module.layer_scalar.data))
    decoder, config = reference.decoder, reference.model.config
    for name in ("per_layer_input_scale", "per_layer_model_projection_scale"):
        if hasattr(decoder, name):
            setattr(decoder, name, _number(getattr(decoder, name)))
    if config.final_logit_softcapping is not None:
        config.final_logit_softcapping = _number(config.final_logit_softcapping)


def power_and_gain(scales: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight scales of rows, of any shape, as such a program holds them: a power of two and a gain in float16.

    The power is the largest that is not above the scale, within 2^-14..2^7, so that its product with a code is exact in
    float16; the gain, else from 1 to 2, takes what is left.

    >>> [part.tolist() for part in power_and_gain(np.array([3.001, 2**-20], np.float32))]
    [[2.0, 6.103515625e-05], [1.5009765625, 0.015625]]
    """
    power = np.ldexp(np.float32(1), np.clip(np.frexp(scales)[1] - 1, LOWEST, HIGHEST)).astype(np.float32)
    return power, (scales / power).astype(np.float16).astype(np.float32)


def _with_gain(scales: Any) -> Any:
    import torch

    power, gain = power_and_gain(scales.numpy())
    return torch.from_numpy(power * gain)


def _put_epsilon(norm: Any) -> None:
    """The epsilon of ``mean(x^2) + eps``: the root of the checkpoint's is what the program holds; row by row."""
    root = _number(norm.eps**0.5)

    def entering(module: Any, args: Any) -> None:
        size = args[0].float().abs().amax(-1, keepdim=True).clamp(min=LEAST_SIZE)
        module.eps = root**2 + SMALLEST * size**2

    norm.register_forward_pre_hook(entering)


def _half(values: Any) -> Any:
    return values.half().float()


def _number(value: float) -> float:
    return float(np.float16(value))


def _put(module: Any, name: str, value: Any) -> None:
    """In a tensor of its own: the old one may be the checkpoint's mapped pages, or shared with a table."""
    import torch

    kept = getattr(module, name)
    if not torch.equal(kept, value):
        parameter = isinstance(kept, torch.nn.Parameter)
        setattr(module, name, torch.nn.Parameter(value, requires_grad=False) if parameter else value)
