"""The samples' rule of drawing a token, in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def split_mix(seed: int) -> Any:
    """Numbers in [0, 1) of SplitMix64, by the paper."""
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        yield ((z ^ (z >> 31)) >> 11) * 2.0**-53


def drawn(logits: Array, top_k: int, top_p: float, temperature: float, suppressed: list[int], seed: int) -> list[int]:
    """What the sampler's doc says, in numpy."""
    numbers, out = split_mix(seed), []
    for row in logits:
        order = [i for i in np.lexsort((np.arange(len(row)), -row.astype(np.float64))) if i not in suppressed]
        kept = np.array(order[:top_k])
        weights = np.exp((row[kept].astype(np.float64) - float(row[kept[0]])) / temperature)
        sums = np.cumsum(weights)
        count = min(int(np.searchsorted(sums, top_p * sums[-1])) + 1, len(kept))
        target = 0.0 if top_k <= 1 else next(numbers) * sums[count - 1]
        out.append(int(kept[min(int(np.searchsorted(sums[:count], target, side="right")), count - 1)]))
    return out
