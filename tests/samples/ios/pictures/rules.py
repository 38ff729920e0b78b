"""What a manifest says of cutting a picture, and pictures as the tests' ``Driver`` reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

Pixels = np.ndarray[Any, Any]


def rules(tokens: int = 280, lengths: tuple[int, ...] = (70, 140, 280)) -> dict[str, Any]:
    """The part ``feeding.images`` of a Core ML bundle."""

    def token(id: int) -> dict[str, Any]:
        return {"id": id, "text": None}

    def call(tokens: int) -> dict[str, Any]:
        inputs = [("images", "patches"), ("positions_xy", "positions")]
        return {
            "model": "Vision.mlpackage",
            "section": "vision",
            "function": f"vision_{tokens}",
            "inputs": [{"name": name, "source": source, "output": None} for name, source in inputs],
            "outputs": [{"name": "rows", "meaning": "rows"}],
        }

    return {
        "tokens": tokens,
        "resize": {"rule": "largest_within", "multiple": 48, "filter": "bicubic"},
        "pixels": {
            "orientation": "exif_first",
            "alpha": "over_white",
            "channels": "rgb",
            "scale": 1 / 255,
            "order": "rows_of_pixels",
        },
        "patches": {
            "side": 16,
            "pool": 3,
            "order": "row_by_row",
            "positions": "x_y",
            "padding": {"patches": "zeros", "position": -1},
        },
        "lengths": [{"tokens": each, "patches": 9 * each, "calls": [call(each)]} for each in lengths],
        "around": {"begin": token(102), "each": token(103), "end": token(104)},
        "per_layer": token(0),
        "cut_by": None,
    }


def write(path: Path, pixels: Pixels) -> Path:
    """A picture, ``uint8 [height, width, 3]``, as a file of the ``Driver``."""
    path.write_bytes(f"{pixels.shape[1]} {pixels.shape[0]}\n".encode() + np.ascontiguousarray(pixels).tobytes())
    return path
