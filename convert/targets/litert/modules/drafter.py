"""The drafter: a model of its own, beside which the decoder verifies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.checkpoint.modules.drafter import DrafterConfig
from convert.checkpoint.types import Checkpoint, Module
from convert.targets.litert import packed
from convert.targets.litert.modules.text import stored
from convert.targets.litert.options import LitertOptions

if TYPE_CHECKING:
    from convert.targets.litert.graph import Model

HEAD = "lm_head"


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


def packed_bytes(checkpoint: Checkpoint) -> int:
    """See ``convert.targets.litert.modules``."""
    module = checkpoint.modules["drafter"]
    return packed.copies(module, module.tables | ({HEAD} if by_groups(module) else frozenset()))


def by_groups(module: Module[DrafterConfig]) -> bool:
    """Whether only the likeliest groups of tokens are scored, whose rows of the head are looked up.

    A head on the lattice has four bits a weight and is read as a whole.
    """
    return module.config.groups is not None and HEAD not in module.quants
