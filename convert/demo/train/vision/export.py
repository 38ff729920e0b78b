"""Writes a checkpoint that sees: a text decoder's folder, byte for byte, with the trained tower beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.demo.train.export import positive
from convert.demo.train.fake_quant import codes
from convert.demo.train.vision.tower import Tower
from convert.demo.writing import bfloat16, companions, layout, safetensors, tower
from convert.demo.writing.shape import TextShape
from convert.demo.writing.stored import Tensor
from convert.demo.writing.tokenizer import Pieces, with_picture_tokens

TOWER = (f"{tower.PREFIX}vision_tower.", f"{tower.PREFIX}embed_vision.")


def write(folder: Path, text: Path, shape: TextShape, pieces: Pieces, trained: Tower) -> None:
    """Writes weights, configuration, tokenizer and chat template in the mobile format.

    Args:
        text: folder of the decoder in the mobile format; a tower that it has is replaced.
        pieces: the decoder's vocabulary.
    """
    from safetensors import safe_open

    wanted = layout.tensors(shape, "mobile")
    beside = tower.tensors(trained.shape, shape.hidden)
    modules, state = trained.mobile_linears(), trained.state_dict()
    with safe_open(text / "model.safetensors", "pt") as decoder:

        def fill(tensor: Tensor) -> Iterable[bytes]:
            if not tensor.name.startswith(TOWER):
                return [_bytes(decoder.get_tensor(tensor.name))]
            if tensor.part == "dense":
                return [bfloat16.to_bits(_numpy(state[tensor.key])).tobytes()]
            module = modules[tensor.key]
            if tensor.part in ("input", "output"):
                return [np.float32({"input": module.entering, "output": module.leaving}[tensor.part].value).tobytes()]
            found, steps = positive(_numpy(codes(module.weight, module.step, 8)), _numpy(module.step), 8)
            return [(steps if tensor.part == "scales" else found).tobytes()]

        folder.mkdir(parents=True, exist_ok=True)
        companions.write(folder, shape, "mobile", with_picture_tokens(pieces), trained.shape)
        safetensors.write(folder, sorted([*wanted, *beside], key=lambda tensor: tensor.name), fill)


def text_digest(folder: Path) -> str:
    """SHA-256 of a folder's text decoder: names and bytes of its tensors, those of a tower left out."""
    from safetensors import safe_open

    digest = hashlib.sha256()
    with safe_open(folder / "model.safetensors", "pt") as stored:
        for name in sorted(name for name in stored.keys() if not name.startswith(TOWER)):  # noqa: SIM118
            digest.update(name.encode() + b"\0" + _bytes(stored.get_tensor(name)))
    return digest.hexdigest()


def _bytes(tensor: Any) -> bytes:
    import torch

    return bytes(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())


def _numpy(tensor: Any) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().float().numpy())
