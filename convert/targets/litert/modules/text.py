"""The text decoder: its two tables, each a model of its own, and the decoder with all its signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert import costs
from convert.checkpoint.types import Checkpoint
from convert.lattice import QuantTensor, packed_width
from convert.targets.litert import packed
from convert.targets.litert.options import LitertOptions, drafts

if TYPE_CHECKING:
    from convert.targets.litert.graph import Model


def sections(checkpoint: Checkpoint, options: LitertOptions) -> dict[str, Model]:
    """See ``convert.targets.litert.modules``."""
    from convert.targets.litert.decoder import decoder
    from convert.targets.litert.embedder import embedder, per_layer_embedder
    from convert.targets.litert.signature import signatures

    config = checkpoint.text.config
    models = {"tf_lite_embedder": embedder(checkpoint)}
    if config.per_layer_width:
        models["tf_lite_per_layer_embedder"] = per_layer_embedder(checkpoint)
    guessed = drafts(checkpoint.modules)
    entries = signatures(config, options.context, options.prefill, options.cache, guessed)
    models["tf_lite_prefill_decode"] = decoder(checkpoint, entries, options)
    return models


def weight_bytes(checkpoint: Checkpoint, options: LitertOptions) -> tuple[int, int]:
    """See ``convert.targets.litert.modules``.

    A per-row scale costs 12 bytes there (float32, and an int64 zero point that must be as long), a block scale 4
    (float16, and a float16 offset for blocks of negative scale). Floats become float32, except tables of bfloat16
    rows, which keep their 16 bits; a tied head that is not quantized is stored once more as float32.
    """
    tables, others = costs.float_bytes(checkpoint, head=4)
    for key, tensor in checkpoint.text.quants.items():
        if key in checkpoint.text.tables:
            tables += _stored(tensor, per_scale=12)
        else:
            others += stored(tensor)
    return tables, others


def packed_bytes(checkpoint: Checkpoint) -> int:
    """See ``convert.targets.litert.modules``."""
    return packed.copies(checkpoint.text, checkpoint.text.tables)


def stored(tensor: QuantTensor) -> int:
    """Bytes of a matrix that something is multiplied with."""
    return _stored(tensor, per_scale=4 if tensor.groups > 1 else 12)


def _stored(tensor: QuantTensor, per_scale: int) -> int:
    return tensor.rows * (packed_width(tensor.columns, tensor.bits) + tensor.groups * per_scale)
