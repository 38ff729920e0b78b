"""How large a package and its row tables will be, estimated upwards from the checkpoint's headers."""

from __future__ import annotations

from math import prod

from convert import costs
from convert.checkpoint.modules.vision import TABLE, VisionConfig
from convert.checkpoint.types import Checkpoint
from convert.lattice import packed_width
from convert.targets.coreml.options import CoremlOptions
from convert.targets.coreml.signature import states
from convert.targets.target import Sizes

LAYER_BYTES = 150_000  # of a layer's operations in the largest function for images
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
    images = {"image": vision_bytes(checkpoint, options)} if "vision" in checkpoint.modules else {}
    whole = costs.model_bytes(tables, others) + sum(images.values())
    return Sizes(whole, tables, state_bytes(checkpoint, options), options.precision, images)


def table_rows(config: VisionConfig, options: CoremlOptions) -> int:
    """Rows of the position tables that an image can reach: one of a single row of soft tokens is the widest."""
    return min(config.positions, config.pool * options.image_rows[-1])


def vision_bytes(checkpoint: Checkpoint, options: CoremlOptions) -> int:
    """Bytes of the package for images. Position tables are cut; each function has operations of its own."""
    module = checkpoint.modules["vision"]
    floats = sum(4 * prod(tensor.shape) for name, tensor in module.floats.items() if name != TABLE)
    tables = 2 * 4 * table_rows(module.config, options) * module.config.hidden
    codes = sum(t.rows * (packed_width(t.columns, t.bits) + 4 * t.groups + 4) for t in module.quants.values())
    return floats + tables + codes + len(options.image_rows) * (module.config.layers + 1) * LAYER_BYTES


def state_bytes(checkpoint: Checkpoint, options: CoremlOptions) -> int:
    """Bytes of all states; with profile ``ane`` as if it were one part, where all owners are alike."""
    kept = states(checkpoint.text.config, options)
    return sum(prod(state.shape) * _BYTES[state.dtype] for state in kept)
