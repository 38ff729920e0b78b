"""How large the two models will be, estimated upwards from the checkpoint's headers."""

from __future__ import annotations

from math import prod

from convert import costs
from convert.checkpoint.config import SLIDING
from convert.checkpoint.module import kinds
from convert.checkpoint.modules.text import TABLES
from convert.checkpoint.modules.vision import TABLE, VisionConfig
from convert.checkpoint.types import Checkpoint, Module
from convert.lattice import packed_width
from convert.targets.onnx.options import OnnxOptions
from convert.targets.onnx.weights import block_of, stored_bits
from convert.targets.target import Sizes

LAYER_BYTES = 120_000  # of a tower's layer: operators, and what aligns its weights


def table_rows(config: VisionConfig, rows: int) -> int:
    """Rows of the position tables that an image can reach: one of a single row of soft tokens is the widest."""
    return min(config.positions, config.pool * rows)


def sizes(checkpoint: Checkpoint, options: OnnxOptions) -> Sizes:
    """See ``Target.sizes``.

    A matrix with a scale a row has a one for each of its blocks besides; matrices of one shape share these. Floats
    become float32, but for tables of bfloat16.
    """
    tables = others = 0
    ones: dict[tuple[int, int], int] = {}
    for key, tensor in checkpoint.text.quants.items():
        bits = tensor.bits if key in TABLES else stored_bits(tensor)
        size = tensor.rows * (packed_width(tensor.columns, bits) + 4 * tensor.groups)
        if key in TABLES:
            tables += size
            continue
        others += size
        if tensor.groups == 1:
            blocks = tensor.columns // block_of(tensor)
            ones[tensor.rows, blocks] = 4 * tensor.rows * blocks
    floats = costs.float_bytes(checkpoint, head=4)
    images = _image_bytes(checkpoint.modules["vision"], options) if "vision" in checkpoint.modules else 0
    tables, others = tables + floats[0], others + floats[1] + sum(ones.values()) + images
    found = {kinds()["vision"].modality: images} if images else {}
    return Sizes(costs.model_bytes(tables, others), tables, cache_bytes(checkpoint, options), "float32", found)


def _image_bytes(module: Module[VisionConfig], options: OnnxOptions) -> int:
    """Of the tower: floats become float32, but for the tables of positions, which are cut and stay in their type."""
    floats = sum(4 * prod(tensor.shape) for name, tensor in module.floats.items() if name != TABLE)
    quants = sum(t.rows * (packed_width(t.columns, stored_bits(t)) + 8 * t.groups) for t in module.quants.values())
    tables = 4 * 2 * table_rows(module.config, int(options.image_tokens)) * module.config.hidden
    return floats + quants + tables + (module.config.layers + 1) * LAYER_BYTES


def cache_bytes(checkpoint: Checkpoint, options: OnnxOptions) -> int:
    """Of keys and values of all owners at full context, float32; a sliding layer keeps what the next token looks at."""
    config = checkpoint.text.config
    rows = {layer.kind: options.context for layer in config.owners}
    if SLIDING in rows:
        rows[SLIDING] = min(options.context, config.window - 1)
    return sum(8 * layer.kv_heads * layer.head_dim * rows[layer.kind] for layer in config.owners)
