"""Small checkpoints with a vision tower of two layers beside a text decoder of few, thin ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from convert.checkpoint.modules.vision import BOUNDS, VisionConfig
from convert.checkpoint.tensors import widen
from convert.demo.writing import bfloat16
from convert.demo.writing.stored import Matrix
from tests.support.changed.rewritten import Tensors, rewrite
from tests.support.checkpoints import values
from tests.support.checkpoints.published.tower_shapes import Audio, Towers, Vision
from tests.support.checkpoints.shapes import PUBLISHED_E2B
from tests.support.checkpoints.write import write_checkpoint

VISION = Vision(layers=2, hidden=96, intermediate=160, heads=6, positions=96)
SHAPE = replace(
    PUBLISHED_E2B,
    layers=4,
    sliding_run=1,
    kv_shared=2,
    towers=Towers(VISION, Audio(layers=1, hidden=64, heads=8, output=96)),
)
SEED = 11


def write(folder: Path, format: str) -> Path:
    """Writes one as Google publishes them, in ``mobile`` or ``q4_0``."""
    write_checkpoint(folder, SHAPE, format, SEED)
    if format == "q4_0":
        rewrite(folder / "model.safetensors", _tighter)
    return folder


def _tighter(tensors: Tensors) -> None:
    """Bounds that clip something of each tensor."""
    for name, (dtype, shape, content) in tensors.items():
        if name.startswith("model.vision_tower.") and name.endswith(("_min", "_max")):
            tensors[name] = dtype, shape, _narrow(name, np.frombuffer(content, np.uint16))


def clipped(folder: Path) -> None:
    """Gives a checkpoint's tower of integers linears that clip, as none of Google's has."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["vision_config"]["use_clipped_linears"] = True
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    rewrite(folder / "model.safetensors", _bounded)


def _bounded(tensors: Tensors) -> None:
    linears = [name for name in tensors if "vision_tower" in name and name.endswith(".linear.weight")]
    for at in (name.removesuffix(".linear.weight") for name in linears):
        for bound in BOUNDS:
            tensors[f"{at}.{bound}"] = "BF16", [], _narrow(f"{at}.{bound}", values.bound(f"{at}.{bound}", SEED))


def _narrow(name: str, bits: NDArray[np.uint16]) -> bytes:
    """A bound that is reached: inputs of a linear are larger than outputs."""
    return bfloat16.to_bits(widen(bits) * np.float32(0.125 if ".input_" in name else 0.0625)).tobytes()


def onto_lattice(tensors: Tensors) -> None:
    """Of ``q4_0``: puts the linears of the tower's layers on the lattice too."""
    for name, (dtype, shape, _) in tensors.items():
        if name.startswith("model.vision_tower.encoder") and name.endswith("linear.weight"):
            matrix = Matrix(name, shape[0], shape[1], 4)
            tensors[name] = dtype, shape, values.q4_0(matrix, SEED).tobytes()


def image(rows: int, width: int, height: int, config: VisionConfig, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches and positions of noise, padded: ``float32 [1, P, pixels]`` and ``int32 [1, P, 2]``.

    Args:
        rows: that an image may become, at most.
        width, height: in rows.
    """
    count, across, down = rows * config.pool**2, width * config.pool, height * config.pool
    patches = torch.zeros(1, count, config.pixels)
    positions = torch.full((1, count, 2), -1, dtype=torch.int32)
    random = torch.Generator().manual_seed(seed)
    patches[0, : across * down] = torch.rand(across * down, config.pixels, generator=random)
    x, y = np.meshgrid(np.arange(across), np.arange(down))
    positions[0, : across * down] = torch.from_numpy(np.stack([x, y], axis=-1).reshape(-1, 2))
    return patches, positions
