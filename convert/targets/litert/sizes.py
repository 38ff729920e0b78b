"""How large a ``.litertlm`` will be, estimated upwards from the checkpoint's headers."""

from __future__ import annotations

import math

from convert import costs
from convert.checkpoint.module import kinds
from convert.checkpoint.types import Checkpoint
from convert.model.signature import cache_tensors
from convert.targets.litert import packed
from convert.targets.litert.cache_rows import ring_rows
from convert.targets.litert.modules import lowered
from convert.targets.litert.options import LitertOptions, drafts
from convert.targets.litert.seen import working
from convert.targets.target import Sizes

_CACHE_BYTES = {"float32": 4, "int8": 1}


def sizes(checkpoint: Checkpoint, options: LitertOptions) -> Sizes:
    """See ``Target.sizes``."""
    there = {name: each for name, each in lowered().items() if name in checkpoint.modules}
    found = {name: each.weight_bytes(checkpoint, options) for name, each in there.items()}
    tables, others = (sum(part) for part in zip(*found.values(), strict=True))
    modalities = {kinds()[name].modality: sum(found[name]) for name in found if kinds()[name].modality}
    whole, cache = costs.model_bytes(tables, others), cache_bytes(checkpoint, options)
    taken = {}
    if "vision" in checkpoint.modules:
        taken["image"] = working(checkpoint.modules["vision"].config, options.image_rows[-1])
    return Sizes(whole, tables, cache, options.cache, modalities, taken)


def packed_bytes(checkpoint: Checkpoint) -> int:
    """See ``Target.packs``: a file for the decoder, and one for a drafter."""
    found = [each.packed_bytes(checkpoint) for name, each in lowered().items() if name in checkpoint.modules]
    return sum(found) + len(found) * packed.HEADER


def cache_bytes(checkpoint: Checkpoint, options: LitertOptions) -> int:
    """Bytes of keys and values of all owning layers at full context."""
    config, width, guessed = checkpoint.text.config, _CACHE_BYTES[options.cache], drafts(checkpoint.modules)
    tensors = cache_tensors(config, options.context, options.cache, ring_rows(config, options.context, guessed))
    return sum(math.prod(tensor.shape) for tensor in tensors) * width
