"""Image input: the tower, its projection and the token behind an image, each a model of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.checkpoint.modules.vision import TABLE
from convert.checkpoint.types import Checkpoint
from convert.targets.litert import packed
from convert.targets.litert.modules.text import stored
from convert.targets.litert.options import LitertOptions

if TYPE_CHECKING:
    from convert.targets.litert.graph import Model

LAYER_BYTES = 120_000  # of a layer's operators and tensors, in the largest signatures


def sections(checkpoint: Checkpoint, options: LitertOptions) -> dict[str, Model]:
    """See ``convert.targets.litert.modules``."""
    from convert.targets.litert.vision import adapter, encoder, end

    module = checkpoint.modules["vision"]
    return {
        "tf_lite_vision_encoder": encoder(module, options),
        "tf_lite_vision_adapter": adapter(module, options),
        "tf_lite_end_of_vision": end(checkpoint, checkpoint.settings.placeholders["image_end"]),
    }


def weight_bytes(checkpoint: Checkpoint, options: LitertOptions) -> tuple[int, int]:
    """See ``convert.targets.litert.modules``. Floats become float32; the position tables are cut.

    Beside its weights, an operator and its tensors take some hundred bytes, and each signature has its own.
    """
    from math import prod

    module = checkpoint.modules["vision"]
    config = module.config
    floats = sum(4 * prod(tensor.shape) for name, tensor in module.floats.items() if name != TABLE)
    tables = 4 * 2 * min(config.positions, config.pool * options.image_rows[-1]) * config.hidden
    graphs = len(options.image_rows) * (config.layers + 1) * LAYER_BYTES
    return 0, floats + tables + graphs + sum(stored(tensor) for tensor in module.quants.values())


def packed_bytes(checkpoint: Checkpoint) -> int:
    """See ``convert.targets.litert.modules``. Rows of the position tables are looked up."""
    return packed.copies(checkpoint.modules["vision"], ())
