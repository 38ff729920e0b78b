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
MOVED = 0.1  # of a token's outputs: a flipped input moves a few per cent of them by one step


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
    far = {key: np.abs(a.astype(np.int32) - b).max(axis=1, initial=0) for key, (a, b) in codes.items()}
    out = {}
    for key, excused in _excused(far).items():
        steps = far[key]
        left = np.where(excused, np.maximum(np.minimum(steps, 1), steps - CARRIED), steps)
        out[key] = int(left.max(initial=0))
    return out


def touched(codes: Mapping[str, tuple[Codes, Codes]], spared: float) -> dict[str, float]:
    """Fraction of the tokens of each linear of which more of its outputs differ than noise makes.

    Each output may flip by float noise, so that a wide linear has some flip in many a token: ``spared`` of a token's
    outputs may, below ``1 / spared`` outputs none. Where something that feeds the linear flipped, what that moves may.

    Args:
        codes: as for :func:`farthest`.

    >>> wide = np.zeros((2, 2000), int)
    >>> for count in (2, 3):
    ...     print(touched({"q_proj": (wide, wide + (np.arange(2000) < count))}, 0.001))
    {'q_proj': 0.0}
    {'q_proj': 1.0}
    >>> touched({"q_proj": (wide[:, :9], wide[:, :9] + (np.arange(9) < 1))}, 0.001)
    {'q_proj': 1.0}
    """
    differ = {key: np.count_nonzero(a != b, axis=1) for key, (a, b) in codes.items()}
    excused = _excused(differ)
    return {
        key: float(np.mean(count > np.where(excused[key], MOVED, spared) * codes[key][0].shape[1]))
        for key, count in differ.items()
    }


def _excused(differ: Mapping[str, NDArray[np.integer]]) -> dict[str, NDArray[np.bool_]]:
    """By linear, the tokens at which a linear that feeds it has a difference, bool ``[T]``."""
    out = {}
    for key, found in differ.items():
        before = [differ[name] > 0 for name in _feeders(key) if name in differ and differ[name].shape == found.shape]
        out[key] = np.any(before, axis=0) if before else np.zeros(found.shape, np.bool_)
    return out


def _feeders(key: str) -> list[str]:
    return [key.replace(last, one) for last, some in FED_BY.items() if last in key for one in some]
