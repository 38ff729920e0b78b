"""Images as patches, made once by transformers' image processor and given to both sides.

How an engine resizes an image is its own affair and differs in the last bits; a tower is judged on equal patches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import CannotRunError

Floats = NDArray[np.float32]
PADDING = -1  # both positions of a patch that is none


@dataclass(frozen=True)
class Sizes:
    """What of ``vision_config`` shapes the patches.

    Attributes:
        patch: pixels of a patch's side.
        kernel: patches of the side of a square that becomes one row.
        positions: rows of each of the two tables of positions.
    """

    patch: int
    kernel: int
    positions: int


@dataclass(frozen=True)
class Patches:
    """An image as a tower is given it.

    Attributes:
        name: of the image.
        pixels: float32 ``[P, 3 * patch * patch]``, from 0 to 1: row by row of a patch, three colours a pixel; 0 behind
            the image's own patches.
        positions: int32 ``[P, 2]``, x and y of each patch; ``PADDING`` behind the image's own.
        rows: how many rows of the text decoder it becomes.
    """

    name: str
    pixels: Floats
    positions: NDArray[np.int32]
    rows: int

    @property
    def count(self) -> int:
        """Patches of the image's own."""
        return int(np.count_nonzero(self.positions[:, 0] != PADDING))

    def padded(self, length: int) -> Patches:
        """The same with other padding, to ``length`` patches in all."""
        pixels = np.zeros((length, self.pixels.shape[1]), np.float32)
        positions = np.full((length, 2), PADDING, np.int32)
        pixels[: self.count], positions[: self.count] = self.pixels[: self.count], self.positions[: self.count]
        return replace(self, pixels=pixels, positions=positions)


def sizes_of(config: Any) -> Sizes:
    """Of transformers' ``Gemma4VisionConfig``."""
    return Sizes(config.patch_size, config.pooling_kernel_size, config.position_embedding_size)


def widest(tokens: int, sizes: Sizes) -> int:
    """How many times as wide as high an image of few pixels may be so that its patches reach far along a table.

    From ``tokens`` times on an image becomes one row of ``tokens`` squares of pooled patches. Where the tables are too
    short for that, its width of ``sqrt(tokens * ratio)`` squares has to keep within them.
    """
    longest = sizes.positions // sizes.kernel
    return 2 * tokens if longest >= tokens else max(1, longest**2 // tokens)


def make(name: str, picture: Any, tokens: int, sizes: Sizes) -> Patches:
    """Patches of a PIL image for a budget of rows.

    Args:
        tokens: the budget; the processor's own list of budgets does not bind the functions behind it.

    Raises:
        CannotRunError: the image has more patches in a row than the tables have positions.
    """
    from transformers.models.gemma4 import image_processing_pil_gemma4 as processing

    processor, most = processing.Gemma4ImageProcessorPil(), tokens * sizes.kernel**2
    planes = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
    resized = processor.aspect_ratio_preserving_resize(
        image=planes,
        patch_size=sizes.patch,
        max_patches=most,
        pooling_kernel_size=sizes.kernel,
        resample=processor.resample,
    )
    scaled = processor.rescale(image=resized, scale=processor.rescale_factor)
    high, wide = (side // sizes.patch for side in scaled.shape[1:])
    if max(high, wide) > sizes.positions:
        raise CannotRunError(f"image {name}: {wide} x {high} patches, the tables have {sizes.positions} positions")
    pixels = processing.convert_image_to_patches(scaled, sizes.patch).astype(np.float32)
    x, y = np.meshgrid(np.arange(wide), np.arange(high), indexing="xy")
    positions = np.stack([x.reshape(-1), y.reshape(-1)], axis=1).astype(np.int32)
    return Patches(name, pixels, positions, len(pixels) // sizes.kernel**2).padded(most)
