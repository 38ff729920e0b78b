"""Cuts an image as a bundle's manifest says (``feeding.images``), by its words alone; recipe: ``MANIFEST.md``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import CannotRunError
from runtime_tests.readers.manifest.images import Images

LARGEST = 1 << 24  # pixels; of 1,120 tokens there are 2.6 million
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Cut:
    """An image's own patches.

    Attributes:
        pixels: float32 ``[n, 3 * side * side]``.
        positions: int32 ``[n, 2]``.
        tokens: that the image becomes.
    """

    pixels: Floats
    positions: NDArray[np.int32]
    tokens: int

    def padded(self, said: Images, length: int | None) -> tuple[Floats, NDArray[np.int32]]:
        """Pixels and positions for a call that takes so many patches; None: as many as there are.

        Raises:
            CannotRunError: the image has more.
        """
        padding, more = said.patches.padding, (length or len(self.pixels)) - len(self.pixels)
        if more < 0:
            raise CannotRunError(f"an image has {len(self.pixels)} patches, a call takes {length}")
        if padding is None or not more:
            return self.pixels, self.positions
        pixels = np.concatenate([self.pixels, np.zeros((more, self.pixels.shape[1]), np.float32)])
        positions = np.concatenate([self.positions, np.full((more, 2), padding.position, np.int32)])
        return pixels, positions


def cut(picture: Any, said: Images) -> Cut:
    """The patches of a PIL image.

    Raises:
        CannotRunError: its size is no multiple of a patch's, or larger than any image of Gemma 4.
    """
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture, size = picture.convert("RGB"), _size(picture.width, picture.height, said)
    side = said.patches.side
    if size[0] * size[1] > LARGEST or size[0] % side or size[1] % side:
        raise CannotRunError(f"an image becomes {size[0]} x {size[1]} pixels, in patches of {side}")
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    numbers = (np.asarray(picture, np.float64) * said.pixels.scale).astype(np.float32)
    high, wide = (length // side for length in numbers.shape[:2])
    squares = numbers.reshape(high, side, wide, side, 3).transpose(0, 2, 1, 3, 4)
    rows, columns = np.indices((high, wide))
    positions = np.stack([columns.reshape(-1), rows.reshape(-1)], axis=1).astype(np.int32)
    return Cut(squares.reshape(high * wide, -1), positions, high * wide // said.patches.pool**2)


def _size(width: int, height: int, said: Images) -> tuple[int, int]:
    """Width and height by the rule ``largest_within``."""
    most, multiple = said.tokens, said.resize.multiple
    factor = math.sqrt(most * multiple * multiple / (width * height))
    wide, high = math.floor(factor * width / multiple), math.floor(factor * height / multiple)
    if high == 0:
        wide, high = min(width // height, most), 1
    elif wide == 0:
        wide, high = 1, min(height // width, most)
    return wide * multiple, high * multiple
