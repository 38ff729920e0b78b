"""What a flipped rounding is allowed to carry along within a block.

A float that differs in the last bit may round to the next step: one code differs by one. Blocks are compared on the
reference's inputs, so what flips in one does not reach the next. Within a block it does: the outputs of gate_proj and
up_proj are the inputs of down_proj, and a token at which some of these flipped may leave down_proj two steps off. The
more layers a model has, the surer that happens somewhere, so a bar on the largest difference would ask for the depth.
So one step is the bar wherever nothing that feeds a linear differs at that token, and what feeds it excuses two more.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.integer]

FED_BY = {
    "down_proj": ("gate_proj", "up_proj"),
    "o_proj": ("q_proj", "k_proj", "v_proj"),
    "per_layer_projection": ("per_layer_input_gate",),
}
CARRIED = 2  # steps


def farthest(codes: Mapping[str, tuple[Codes, Codes]]) -> dict[str, int]:
    """The largest difference of each linear's int8 outputs, in steps, less what flips before it in its block excuse.

    Args:
        codes: by linear, under any name with its module's name in it: expected and found, ``[T, out]``, the same
            tokens for all linears of a block.

    >>> same, off = np.array([[5, 5]]), np.array([[5, 7]])
    >>> farthest({"layers.0.mlp.gate_proj": (same, same), "layers.0.mlp.down_proj": (same, off)})
    {'layers.0.mlp.gate_proj': 0, 'layers.0.mlp.down_proj': 2}
    >>> farthest({"layers.0.mlp.gate_proj": (same, same + 1), "layers.0.mlp.down_proj": (same, off)})
    {'layers.0.mlp.gate_proj': 1, 'layers.0.mlp.down_proj': 1}
    """
    far = {key: np.abs(np.subtract(a, b, dtype=np.int32)).max(axis=1, initial=0) for key, (a, b) in codes.items()}
    out = {}
    for key, steps in far.items():
        before = [far[name] > 0 for name in _feeders(key) if name in far and far[name].shape == steps.shape]
        excused = np.any(before, axis=0) if before else np.zeros(steps.shape, np.bool_)
        left = np.where(excused, np.maximum(np.minimum(steps, 1), steps - CARRIED), steps)
        out[key] = int(left.max(initial=0))
    return out


def _feeders(key: str) -> list[str]:
    return [key.replace(last, one) for last, some in FED_BY.items() if last in key for one in some]
