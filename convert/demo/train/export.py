"""Writes a trained network as a Hugging Face folder in the mobile format, on the q4_0 lattice, or as plain floats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.demo.train.fake_quant import bounds, codes, q4_0
from convert.demo.writing import bfloat16, companions, safetensors
from convert.demo.writing.layout import tensors
from convert.demo.writing.shape import TextShape
from convert.demo.writing.stored import Tensor
from convert.demo.writing.tokenizer import Pieces
from convert.lattice import flip_offset, pack

Caches = Mapping[str, tuple[float, float]]


def mobile(folder: Path, model: Any, shape: TextShape, pieces: Pieces, caches: Caches) -> None:
    """The packed integers, steps and activation steps that the network was trained with.

    Args:
        caches: key and value step of the int8 cache by attention module, of owners and those that share with them.
    """
    decoder = model.model.language_model

    def fill(tensor: Tensor) -> Iterable[bytes]:
        # The published head is the embedding's twin, byte for byte.
        module = decoder.get_submodule(
            "embed_tokens" if tensor.key == "lm_head" else tensor.key.removesuffix(".weight")
        )
        if tensor.part in ("codes", "scales"):
            assert tensor.matrix is not None
            bits = tensor.matrix.bits
            found, steps = positive(_numpy(codes(module.weight, module.step, bits)), _numpy(module.step), bits)
            yield (steps if tensor.part == "scales" else flip_offset(pack(found, bits), bits)).tobytes()
        elif tensor.part in ("key_cache", "value_cache"):
            yield np.float32(caches[tensor.key][tensor.part == "value_cache"]).tobytes()
        else:
            grid = {"input": "entering", "output": "leaving"}[tensor.part]
            yield np.float32(getattr(getattr(module, grid, None), "value", 0.0)).tobytes()  # the head has no grid

    _write(folder, model, shape, "mobile", pieces, fill, tensors(shape, "mobile"))


def positive(
    found: NDArray[np.float32], steps: NDArray[np.float32], bits: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Codes ``[rows, columns]`` and steps ``[rows, groups]`` of the same values, every step positive.

    A learned step may pass zero: its values are then those of the mirrored codes. 8 bits have a mirror for each code.

    Raises:
        ValueError: a mirrored code does not fit the bits.
    """
    signs = np.where(steps < 0, np.float32(-1), np.float32(1))
    mirrored = (found.reshape(*steps.shape, -1) * signs[:, :, None]).reshape(found.shape)
    if mirrored.max() > bounds(bits)[1]:
        raise ValueError(f"a step of {bits} bits became negative and its codes have no mirror; train anew")
    return mirrored.astype(np.int8), steps * signs


def lattice(folder: Path, model: Any, shape: TextShape, pieces: Pieces) -> None:
    """bfloat16 weights on the q4_0 lattice."""
    decoder = model.model.language_model

    def fill(tensor: Tensor) -> Iterable[bytes]:
        weight = decoder.get_submodule(tensor.key).weight
        yield bfloat16.to_bits(_numpy(q4_0(weight.detach()))).tobytes()

    _write(folder, model, shape, "q4_0", pieces, fill, tensors(shape, "q4_0"))


def floats(folder: Path, model: Any, shape: TextShape, pieces: Pieces) -> None:
    """float32 weights, for comparison; a format of ours alone, which transformers loads as any other."""
    decoder = model.model.language_model
    names = [replace(tensor, dtype="F32") for tensor in tensors(shape, "q4_0")]

    def fill(tensor: Tensor) -> Iterable[bytes]:
        yield _numpy(decoder.get_submodule(tensor.key).weight).tobytes()

    _write(folder, model, shape, "q4_0", pieces, fill, names)


def _write(
    folder: Path, model: Any, shape: TextShape, format: str, pieces: Pieces, fill: Any, names: list[Tensor]
) -> None:
    state = {
        name: value for name, value in model.model.language_model.state_dict().items() if value.is_floating_point()
    }

    def any_tensor(tensor: Tensor) -> Iterable[bytes]:
        if tensor.part in ("dense", "norm", "scalar"):
            values = _numpy(state[tensor.key])
            return [values.tobytes() if tensor.dtype == "F32" else bfloat16.to_bits(values).tobytes()]
        filled: Iterable[bytes] = fill(tensor)
        return filled

    folder.mkdir(parents=True, exist_ok=True)
    companions.write(folder, shape, format, pieces)
    safetensors.write(folder, names, any_tensor)


def _numpy(tensor: Any) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().float().numpy())
