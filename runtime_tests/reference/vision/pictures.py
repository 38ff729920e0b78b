"""Images to judge a tower on: seeded, of odd shapes and kinds, and none that equals its own mirror image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

SEED = 20260601
FEW = ("photo", "row", "column")


def pictures(ratio: int) -> dict[str, Callable[[], Any]]:
    """By name what makes the PIL image.

    Args:
        ratio: how many times as wide as high ``row`` is, and as high as wide ``column``: see ``patches.widest``.
    """
    return {
        "photo": lambda: drawn(1, 397, 263),
        "tall": lambda: drawn(2, 90, 331),
        "row": lambda: drawn(3, ratio, 1),
        "column": lambda: drawn(4, 1, ratio),
        "tiny": lambda: drawn(5, 3, 2),
        "huge": lambda: drawn(6, 2611, 1799),
        "grey": lambda: drawn(7, 150, 151).convert("L"),
        "alpha": _see_through,
    }


def drawn(seed: int, wide: int, high: int) -> Any:
    """A PIL image: large coloured patches with fine noise on them."""
    from PIL import Image

    drawn = np.random.default_rng(SEED + seed)
    coarse = drawn.integers(0, 256, (min(high, 7), min(wide, 9), 3), np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((wide, high), Image.Resampling.BICUBIC), np.int16)
    noisy = smooth + drawn.integers(-30, 31, smooth.shape, np.int16)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _see_through() -> Any:
    """With alpha; what lies behind it counts, for transformers drops it."""
    picture = drawn(8, 211, 120)
    picture.putalpha(drawn(9, 211, 120).convert("L"))
    return picture
