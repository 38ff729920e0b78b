"""Where sliding layers keep keys and values: in rings of the window's size, or in a row for each position.

Position p lies in row p modulo the ring's length. A call looks at the ring as it was before it, and at its own n rows
behind the ring's: the first of its tokens may still look at rows that the last of them overwrite. Then each row of the
ring becomes the row that the input ``ring_rows`` names, of the ring (from 0 on) or of the new ones (from the ring's
length on). So rows of padding, which nobody names, are written nowhere.
"""

from __future__ import annotations

from collections.abc import Collection

from convert.checkpoint.config import FULL, SLIDING, TextConfig
from convert.targets.coreml.options import CoremlOptions, aligned

KEYS, VALUES = "keys", "values"


def ring_length(config: TextConfig, options: CoremlOptions) -> int | None:
    """Rows of a sliding layer's state; None where it has one for each position.

    A part for the Neural Engine may have two states, and rings are two more than the others. Where the window is as
    long as the context, or no layer sees all of it, there is nothing to gain, or nothing to tell the context by.
    """
    length, kinds = aligned(config.window), {layer.kind for layer in config.owners}
    if options.profile == "ane" or kinds != {SLIDING, FULL} or length >= options.positions:
        return None
    return length


def owners_by_state(
    config: TextConfig, options: CoremlOptions, layers: Collection[int] | None = None
) -> list[tuple[str, int, list[int]]]:
    """Suffix of a pair of states, rows of each, and the layers that lie in it; of all owners, or of some of them."""
    owners = [layer for layer in config.owners if layers is None or layer.index in layers]
    ring = ring_length(config, options)
    if ring is None:
        return [("", options.positions, [layer.index for layer in owners])] if owners else []
    sizes = {SLIDING: ("_sliding", ring), FULL: ("_full", options.positions)}
    return [(*size, [layer.index for layer in owners if layer.kind == kind]) for kind, size in sizes.items()]
