"""Small checkpoints with a vision tower of two layers beside a text decoder of few, thin ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from convert.checkpoint.modules.vision import VisionConfig
from convert.checkpoint.tensors import widen
from convert.demo.writing import bfloat16
from convert.demo.writing.stored import Matrix
from tests.hostile.test_bad_input import Tensors, rewrite
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
            narrow = widen(np.frombuffer(content, np.uint16)) * np.float32(0.125 if ".input_" in name else 0.0625)
            tensors[name] = dtype, shape, bfloat16.to_bits(narrow).tobytes()


def onto_lattice(tensors: Tensors) -> None:
    """Of ``q4_0``: puts the linears of the tower's layers on the lattice too."""
    for name, (dtype, shape, _) in tensors.items():
        if name.startswith("model.vision_tower.encoder") and name.endswith("linear.weight"):
            matrix = Matrix(name, *shape, 4)
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
