"""Post-training quantization as anyone would do it in an afternoon: a float model's matrices rounded, nothing trained.

It stands beside QAT in rung 4 to show what training on the grid is for. Activations stay in float, which favours it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import InputError
from runtime_tests.readers.checkpoint import Folder
from runtime_tests.reference.model import Reference

Floats = NDArray[np.float32]
RECIPES = {
    "absmax": "one scale a row (or group): the largest magnitude over the largest code",
    "least squares": "one scale a row (or group): of 24 fractions of that of absmax, the one of least squared error",
}
_FRACTIONS = np.linspace(1.0, 0.08, 24)
_Q4_0_BLOCK = 32


def rounded(weight: Floats, bits: int, groups: int, recipe: str) -> Floats:
    """Symmetric rounding of ``[rows, columns]`` to ``bits``, with ``groups`` scales a row.

    Codes are ``-2**(bits-1) ... 2**(bits-1) - 1``, as in the mobile format. ``recipe`` is a key of ``RECIPES``.

    >>> rounded(np.array([[1.0, -0.4, 0.2, 0.6]], np.float32), 2, 1, "absmax").tolist()
    [[1.0, -0.0, 0.0, 1.0]]
    """
    parts = weight.reshape(-1, weight.shape[1] // groups).astype(np.float32)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    largest = np.maximum(np.abs(parts).max(axis=1, keepdims=True), np.float32(1e-12))
    best, least = parts, np.full((len(parts), 1), np.inf)
    for fraction in _FRACTIONS if recipe == "least squares" else _FRACTIONS[:1]:
        scale = (largest * np.float32(fraction) / np.float32(high)).astype(np.float32)
        found = np.clip(np.rint(parts / scale), low, high) * scale
        error = np.square(found - parts, dtype=np.float64).sum(axis=1, keepdims=True)
        best, least = np.where(error < least, found, best), np.minimum(error, least)
    return np.ascontiguousarray(best, np.float32).reshape(weight.shape)


def scheme(folder: Folder) -> Iterator[tuple[str, int, int]]:
    """What the checkpoint quantizes: module path below the text decoder, bits, scales a row.

    Where integers are stored as the config says; else the linears of the layers, in blocks of 32.
    """
    if folder.storage == "integers":
        for key, packed in sorted(folder.packed.items()):
            yield key, packed.bits, packed.groups
        return
    for key in folder.floats:
        if key.startswith("layers.") and key.endswith(("_proj.weight", "_gate.weight", "_projection.weight")):
            yield key.removesuffix(".weight"), 4, folder.shape(key)[1] // _Q4_0_BLOCK


def requantize(reference: Reference, folder: Folder, recipe: str) -> None:
    """Rounds a float model in place by the checkpoint's scheme.

    Raises:
        InputError: the model lacks a matrix of the checkpoint, or it has another shape.
    """
    import torch

    for key, bits, groups in scheme(folder):
        module = _module(reference, key)
        weight = module.weight.detach().float().numpy()
        if weight.ndim != 2 or weight.shape[1] % groups or not np.isfinite(weight).all():
            raise InputError(
                f"the float model's {key} is {list(weight.shape)}; it cannot be rounded in {groups} groups"
            )
        out = np.empty_like(weight)
        for start, stop in folder.blocks(*weight.shape):
            out[start:stop] = rounded(weight[start:stop], bits, groups, recipe)
        # A new parameter: a head that is tied to the embedding must not be rounded twice.
        module.weight = torch.nn.Parameter(torch.from_numpy(out), requires_grad=False)


def _module(reference: Reference, key: str) -> Any:
    parent = reference.model if key == "lm_head" else reference.decoder
    try:
        module = parent.get_submodule(key)
    except AttributeError as error:
        raise InputError(f"the float model has no {key}, which the checkpoint quantizes") from error
    if not hasattr(module, "weight") or hasattr(module, "weight_scale"):
        raise InputError(f"the float model's {key} is not a float matrix; --float wants the model before quantization")
    return module
