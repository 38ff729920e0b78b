"""How large a ``.litertlm`` will be, estimated upwards from the checkpoint's headers."""

from __future__ import annotations

from convert import costs
from convert.checkpoint.types import Checkpoint
from convert.targets.litert.modules import lowered
from convert.targets.litert.options import LitertOptions
from convert.targets.target import Sizes

_CACHE_BYTES = {"float32": 4, "int8": 1}


def sizes(checkpoint: Checkpoint, options: LitertOptions) -> Sizes:
    """See ``Target.sizes``."""
    found = [each.weight_bytes(checkpoint) for name, each in lowered().items() if name in checkpoint.modules]
    tables, others = (sum(part) for part in zip(*found, strict=True))
    return Sizes(costs.model_bytes(tables, others), tables, cache_bytes(checkpoint, options), options.cache)


def cache_bytes(checkpoint: Checkpoint, options: LitertOptions) -> int:
    """Bytes of keys and values of all owning layers at full context."""
    width = _CACHE_BYTES[options.cache]
    return sum(2 * layer.kv_heads * layer.head_dim * options.context * width for layer in checkpoint.text.config.owners)
