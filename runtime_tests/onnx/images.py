"""The model that reads images, called as a runtime calls it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import InputError
from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.runner import Arrays, Runner
from runtime_tests.readers.onnx.model import OnnxModel
from runtime_tests.reference.vision.patches import Patches

PIXELS, POSITIONS, ROWS = "pixel_values", "pixel_position_ids", "image_features"
BUDGET = "gemma_bridge.image_tokens"
LARGEST = 1 << 13  # rows; an image of Gemma 4 becomes 1,120 at most


def model(case: OnnxCase) -> OnnxModel:
    """The model that reads images.

    Raises:
        InputError: there is none.
    """
    if case.artifact.images is None:
        raise InputError("no model that reads images")
    return case.artifact.images


def budget(case: OnnxCase) -> int:
    """Rows that an image becomes, at most, as the model's metadata says it.

    Raises:
        InputError: it says no number, or one that no image of Gemma 4 reaches.
    """
    said = model(case).metadata.get(BUDGET, "")
    if not said.isdecimal() or not 0 < int(said) <= LARGEST:
        raise InputError(f"{model(case).path.name}: its metadata says {BUDGET} {said[:20]!r}")
    return int(said)


def given(patches: Patches, count: int | None = None) -> Arrays:
    """An image as inputs; ``count``: so many of its patches, by default with all of its padding."""
    pixels, positions = patches.pixels[:count], patches.positions[:count].astype(np.int64)
    return {PIXELS: pixels[None], POSITIONS: positions[None]}


def encode(runner: Runner, patches: Patches, count: int | None = None) -> NDArray[np.float32]:
    """The rows of an image, ``[m, H]``; ``count`` as of :func:`given`."""
    return np.asarray(runner.run(given(patches, count))[ROWS], np.float32)
