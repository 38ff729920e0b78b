"""Image input: the tower, its projection and the token behind an image, each a model of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.checkpoint.types import Checkpoint
from convert.targets.litert.modules.text import stored
from convert.targets.litert.options import LitertOptions

if TYPE_CHECKING:
    from convert.targets.litert.graph import Model


def sections(checkpoint: Checkpoint, options: LitertOptions) -> dict[str, Model]:
    """See ``convert.targets.litert.modules``."""
    from convert.targets.litert.vision import adapter, encoder, end

    module = checkpoint.modules["vision"]
    return {
        "tf_lite_vision_encoder": encoder(module, options),
        "tf_lite_vision_adapter": adapter(module, options),
        "tf_lite_end_of_vision": end(checkpoint, checkpoint.settings.placeholders["image_end"]),
    }


def weight_bytes(checkpoint: Checkpoint) -> tuple[int, int]:
    """See ``convert.targets.litert.modules``. Floats become float32; of the position tables as much as is there."""
    from math import prod

    module = checkpoint.modules["vision"]
    floats = sum(4 * prod(tensor.shape) for tensor in module.floats.values())
    return 0, floats + sum(stored(tensor) for tensor in module.quants.values())
