"""Accuracy with its uncertainty: Wilson's interval, and the exact McNemar test of two systems on the same questions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Outcomes = NDArray[np.bool_]
CONFIDENCE = 0.95


def wilson(correct: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion (E. B. Wilson, 1927), ``(low, high)`` within 0 and 1.

    >>> [round(bound, 4) for bound in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    from scipy.stats import binomtest

    found = binomtest(correct, total).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


@dataclass(frozen=True)
class Paired:
    """One system against the reference, question by question.

    Attributes:
        points: accuracy of the system minus that of the reference, in percentage points.
        lost: questions that only the reference answers.
        gained: questions that only the system answers.
        p: of the exact two-sided McNemar test (Q. McNemar, 1947): how likely such an imbalance is by chance.
    """

    points: float
    lost: int
    gained: int
    p: float


def paired(reference: Outcomes, system: Outcomes) -> Paired:
    """Compares outcomes ``[N]`` of the same questions in the same order.

    >>> paired(np.array([True, True, True, False]), np.array([True, False, False, True]))
    Paired(points=-25.0, lost=2, gained=1, p=1.0)
    """
    from scipy.stats import binomtest

    if reference.shape != system.shape:
        raise ValueError(f"{len(reference)} outcomes of the reference, {len(system)} of the system")
    lost, gained = int(np.sum(reference & ~system)), int(np.sum(~reference & system))
    # Under the null hypothesis a discordant question falls to either side like a coin.
    p = float(binomtest(min(lost, gained), lost + gained).pvalue) if lost + gained else 1.0
    return Paired(100.0 * (gained - lost) / len(reference), lost, gained, p)
