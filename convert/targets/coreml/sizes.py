"""How large a package and its row tables will be, estimated upwards from the checkpoint's headers."""

from __future__ import annotations

from convert import costs
from convert.checkpoint.types import Checkpoint
from convert.lattice import packed_width
from convert.targets.coreml.options import CoremlOptions, aligned
from convert.targets.target import Sizes

_BYTES = {"float32": 4, "float16": 2}


def sizes(checkpoint: Checkpoint, options: CoremlOptions) -> Sizes:
    """See ``Target.sizes``.

    In the program a scale takes four bytes and a gain as many; a matrix of two bits has four numbers in the place of a
    scale. Row tables keep their bits and have float32 scales. A tied head is in the program once more.
    """
    tables, others = costs.float_bytes(checkpoint, head=_BYTES[options.precision])
    for key, tensor in checkpoint.text.quants.items():
        codes = tensor.rows * packed_width(tensor.columns, tensor.bits)
        if key in checkpoint.text.tables:
            tables += codes + 4 * tensor.rows * tensor.groups
        else:
            others += codes + tensor.rows * (4 * tensor.groups * (4 if tensor.bits == 2 else 1) + 4)
    return Sizes(costs.model_bytes(tables, others), tables, state_bytes(checkpoint, options), options.precision)


def state_bytes(checkpoint: Checkpoint, options: CoremlOptions) -> int:
    """Bytes of the two states: all owners alike, positions and head size rounded up to multiples of 32."""
    owners = checkpoint.text.config.owners
    heads, size = max(layer.kv_heads for layer in owners), max(layer.head_dim for layer in owners)
    return 2 * len(owners) * heads * options.positions * aligned(size) * _BYTES[options.precision]
