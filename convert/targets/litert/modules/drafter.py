"""The drafter: a model of its own, beside which the decoder verifies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.checkpoint.types import Checkpoint
from convert.targets.litert.modules.text import stored
from convert.targets.litert.options import LitertOptions

if TYPE_CHECKING:
    from convert.targets.litert.graph import Model


def sections(checkpoint: Checkpoint, options: LitertOptions) -> dict[str, Model]:
    """See ``convert.targets.litert.modules``."""
    from convert.targets.litert.drafter import drafter

    return {"tf_lite_mtp_drafter": drafter(checkpoint, checkpoint.modules["drafter"], options)}


def weight_bytes(checkpoint: Checkpoint, options: LitertOptions) -> tuple[int, int]:
    """See ``convert.targets.litert.modules``. Floats become float32, whatever they were."""
    from math import prod

    module = checkpoint.modules["drafter"]
    floats = sum(4 * prod(tensor.shape) for tensor in module.floats.values())
    return 0, floats + sum(stored(tensor) for tensor in module.quants.values())
