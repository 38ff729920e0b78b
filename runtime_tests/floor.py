"""The noise floor: the reference against itself, disturbed in the last float bits.

Static int8 activations make a network discontinuous: a last-bit difference flips a rounding and flips multiply. How
far that carries is a property of the checkpoint, and no artifact can be asked to lie closer to the reference than the
reference lies to itself.

The embeddings are disturbed by 1e-6. The first quantization swallows most of that, while another runtime's sums differ
in every layer; so each layer's input is disturbed as well. With 1e-6 there too, about as many roundings flip (one in
100,000) as differ between transformers and the runtime on equal inputs (rung 2a).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime_tests import metrics
from runtime_tests.reference import Ids, Reference

RELATIVE = 1e-6
DRAWS = 5


@dataclass(frozen=True)
class Floor:
    """What the disturbance did.

    Attributes:
        snr_db: over all judged logits, the worst draw.
        mean_kl: nats, the worst draw.
        top1: fraction of positions with the same best token, the worst draw.
        deviation: ``[T]`` largest absolute change of any logit at each position over the draws, and never below the
            median position's: few draws may leave a single position undisturbed by luck.
        typical: ``[T]`` the same, the mean of the draws instead of the worst.
    """

    snr_db: float
    mean_kl: float
    top1: float
    deviation: NDArray[np.float64]
    typical: NDArray[np.float64]


def measure(reference: Reference, ids: Ids, logits: NDArray[np.float32], first: int, draws: int = DRAWS) -> Floor:
    """Runs the disturbed reference.

    Args:
        ids: tokens ``[T]``.
        logits: the undisturbed logits ``[T, V]``.
        first: the figures are taken over positions from here on.
        draws: number of seeded disturbances.
    """
    snr, divergence, agreement = [], [], []
    deviation, typical = np.zeros(len(ids)), np.zeros(len(ids))
    for found in reference.disturbed(ids, draws, RELATIVE):
        snr.append(metrics.snr_db(logits[first:], found[first:]))
        divergence.append(metrics.mean_kl(logits[first:], found[first:]))
        agreement.append(float(metrics.top1(logits[first:], found[first:]).mean()))
        moved = np.abs(logits.astype(np.float64) - found).max(axis=-1)
        deviation, typical = np.maximum(deviation, moved), typical + moved / draws
    deviation = np.maximum(deviation, np.median(deviation))
    return Floor(min(snr), max(divergence), min(agreement), deviation, typical)


def widen(floor: Floor, stored: NDArray[np.float32], lattice: NDArray[np.float32], first: int) -> Floor:
    """The floor of a checkpoint whose weights were rounded for storage: what that rounding does counts like a draw.

    Args:
        floor: of the stored weights.
        stored, lattice: logits ``[T, V]`` of the reference with the stored weights, and with those before rounding.
        first: the figures are taken over positions from here on.
    """
    moved = np.abs(stored.astype(np.float64) - lattice).max(axis=-1)
    return Floor(
        min(floor.snr_db, metrics.snr_db(stored[first:], lattice[first:])),
        max(floor.mean_kl, metrics.mean_kl(stored[first:], lattice[first:])),
        min(floor.top1, float(metrics.top1(stored[first:], lattice[first:]).mean())),
        np.maximum(floor.deviation, np.maximum(moved, np.median(moved))),
        np.maximum(floor.typical, moved),
    )
