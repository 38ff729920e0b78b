"""The noise floor: the reference against itself, disturbed in the last float bits.

Static int8 activations make a network discontinuous: a last-bit difference flips a rounding and flips multiply. How
far that carries is a property of the checkpoint, and no artifact can be asked to lie closer to the reference than the
reference lies to itself.

The embeddings are disturbed by 1e-6. The first quantization swallows most of that, while another runtime's sums differ
in every layer; so each layer's input is disturbed as well. With 1e-6 there too, about as many roundings flip (one in
100,000) as differ between transformers and the runtime on equal inputs (rung 2a).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime_tests.measures import metrics
from runtime_tests.reference.model import Floats, Ids, Reference

RELATIVE = 1e-6
DRAWS = 5


@dataclass(frozen=True)
class Floor:
    """What the disturbance did.

    Attributes:
        snr_db: over all judged logits, the worst draw.
        mean_kl: nats, the worst draw.
        top1: fraction of positions with the same best token, the worst draw.
        deviation: ``[K]`` largest absolute change of any logit at each judged position over the draws, and never
            below the median position's: few draws may leave a single position undisturbed by luck.
        typical: ``[K]`` the same, the mean of the draws instead of the worst.
    """

    snr_db: float
    mean_kl: float
    top1: float
    deviation: NDArray[np.float64]
    typical: NDArray[np.float64]


def measure(reference: Reference, ids: Ids, first: int, draws: int) -> tuple[Floats, Floor]:
    """Runs the reference as it is and disturbed, in one pass.

    Args:
        ids: tokens ``[T]``.
        first: the first position that is judged.
        draws: number of seeded disturbances.

    Returns:
        the undisturbed logits of the judged positions ``[T - first, V]``, and the floor.
    """
    ((_, logits, moved),) = reference.many([ids], [first], draws, RELATIVE)
    return logits, floor(logits, moved)


def floor(logits: Floats, moved: Sequence[Floats]) -> Floor:
    """The floor of judged positions.

    Args:
        logits: undisturbed, ``[K, V]``.
        moved: the same of each draw.
    """
    snr, divergence, agreement = [], [], []
    deviation, typical = np.zeros(len(logits)), np.zeros(len(logits))
    for found in moved:
        snr.append(metrics.snr_db(logits, found))
        divergence.append(metrics.mean_kl(logits, found))
        agreement.append(float(metrics.top1(logits, found).mean()))
        far = np.abs(logits - found).max(axis=-1).astype(np.float64)
        deviation, typical = np.maximum(deviation, far), typical + far / len(moved)
    deviation = np.maximum(deviation, np.median(deviation))
    return Floor(min(snr), max(divergence), min(agreement), deviation, typical)


def widen(floor: Floor, stored: Floats, lattice: Floats) -> Floor:
    """The floor of a checkpoint whose weights were rounded for storage: what that rounding does counts like a draw.

    Args:
        floor: of the stored weights.
        stored, lattice: logits ``[K, V]`` of the reference with the stored weights, and with those before rounding.
    """
    moved = np.abs(stored.astype(np.float64) - lattice).max(axis=-1)
    return Floor(
        min(floor.snr_db, metrics.snr_db(stored, lattice)),
        max(floor.mean_kl, metrics.mean_kl(stored, lattice)),
        min(floor.top1, float(metrics.top1(stored, lattice).mean())),
        np.maximum(floor.deviation, np.maximum(moved, np.median(moved))),
        np.maximum(floor.typical, moved),
    )
