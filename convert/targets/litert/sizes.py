"""How large a ``.litertlm`` will be, estimated upwards from the checkpoint's headers."""

from __future__ import annotations

from convert import costs
from convert.checkpoint.types import Checkpoint
from convert.lattice import QuantTensor, packed_width
from convert.targets.litert.options import LitertOptions
from convert.targets.target import Sizes

_CACHE_BYTES = {"float32": 4, "int8": 1}


def sizes(checkpoint: Checkpoint, options: LitertOptions) -> Sizes:
    """See ``Target.sizes``.

    A per-row scale costs 12 bytes there (float32, and an int64 zero point that must be as long), a block scale 4
    (float16, and a float16 offset for blocks of negative scale). Floats become float32, except tables of bfloat16
    rows, which keep their 16 bits; a tied head that is not quantized is stored once more as float32.
    """
    tables, others = costs.float_bytes(checkpoint, head=4)
    for key, tensor in checkpoint.text.quants.items():
        if key in checkpoint.text.tables:
            tables += _stored(tensor, per_scale=12)
        else:
            others += _stored(tensor, per_scale=4 if tensor.groups > 1 else 12)
    return Sizes(costs.model_bytes(tables, others), tables, cache_bytes(checkpoint, options), options.cache)


def _stored(tensor: QuantTensor, per_scale: int) -> int:
    return tensor.rows * (packed_width(tensor.columns, tensor.bits) + tensor.groups * per_scale)


def cache_bytes(checkpoint: Checkpoint, options: LitertOptions) -> int:
    """Bytes of keys and values of all owning layers at full context."""
    width = _CACHE_BYTES[options.cache]
    return sum(2 * layer.kv_heads * layer.head_dim * options.context * width for layer in checkpoint.text.config.owners)
