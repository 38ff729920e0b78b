"""A model that sees, and pictures to show it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from convert.checkpoint import open_folder, resolve, with_digests
from convert.progress import Silent
from convert.targets.litert import LitertOptions, convert
from tests.support.vision.png import write_png


def seeing_model(tower: Path, folder: Path) -> Path:
    """Converts a checkpoint with its vision tower, and puts ``one.png``, ``other.png`` and ``broken.png``, which is
    none, beside the model."""
    model = folder / "seeing.litertlm"
    options = LitertOptions(context=512, prefill=(128,), image_tokens="70")
    convert(with_digests(open_folder(resolve(tower), ("image",))), options, model, Silent())
    random = np.random.default_rng(3)
    for name in ("one", "other"):
        write_png(folder / f"{name}.png", random.integers(0, 256, (96, 96, 3), np.uint8))
    (folder / "broken.png").write_text("this is no picture", "utf-8")
    return model
