"""Distances between what the reference says and what the artifact says. numpy, float64 inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CAP_DB = 200.0  # equal arrays: the ratio has no finite logarithm, and JSON has no infinity


def snr_db(reference: NDArray[np.floating], found: NDArray[np.floating]) -> float:
    """Signal-to-noise ratio, ``10 log10(sum(r**2) / sum((r-f)**2))``, in dB, at most ``CAP_DB``.

    >>> snr_db(np.array([1.0, 1.0]), np.array([1.1, 0.9]))
    20.0
    >>> snr_db(np.array([1.0]), np.array([1.0]))
    200.0
    """
    wide = reference.astype(np.float64)
    signal, error = float(np.sum(wide**2)), float(np.sum((wide - found.astype(np.float64)) ** 2))
    if not np.isfinite(error):
        return -CAP_DB
    if error == 0.0:
        return CAP_DB
    if signal == 0.0:
        return -CAP_DB
    return round(min(CAP_DB, 10.0 * float(np.log10(signal / error))), 10)


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """``x - log(sum(exp(x)))`` along the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    out: NDArray[np.float64] = shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))
    return out


def kl(reference: NDArray[np.floating], found: NDArray[np.floating]) -> NDArray[np.float64]:
    """Kullback-Leibler divergence of each position, ``sum(p (log p - log q))`` in nats, p from the reference.

    Args:
        reference, found: logits ``[T, V]``.

    Returns:
        float64 ``[T]``.

    >>> kl(np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])).round(6).tolist()
    [0.143841]
    """
    p, q = log_softmax(reference), log_softmax(found)
    out: NDArray[np.float64] = np.sum(np.exp(p) * (p - q), axis=-1)
    return out


def mean_kl(reference: NDArray[np.floating], found: NDArray[np.floating]) -> float:
    """Mean of :func:`kl` over the positions, never below 0; infinite when a logit is not a number."""
    value = float(kl(reference, found).mean())
    return max(0.0, value) if np.isfinite(value) else float("inf")


def top1(reference: NDArray[np.floating], found: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether both prefer the same token, bool ``[T]``.

    >>> top1(np.array([[1.0, 2.0], [3.0, 1.0]]), np.array([[1.0, 2.0], [1.0, 3.0]])).tolist()
    [True, False]
    """
    out: NDArray[np.bool_] = reference.argmax(axis=-1) == found.argmax(axis=-1)
    return out


def margins(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """How far the best token lies before the second, float64 ``[T]``.

    >>> margins(np.array([[1.0, 5.0, 3.0]])).tolist()
    [2.0]
    """
    best = np.partition(logits.astype(np.float64), -2, axis=-1)[..., -2:]
    out: NDArray[np.float64] = best[..., 1] - best[..., 0]
    return out


def near_ties(reference: NDArray[np.floating], deviation: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Positions where the reference itself cannot say which token wins; the artifact is not looked at.

    A position is a near-tie when its margin is at most twice the noise floor's deviation there: the best logit may
    fall and the second may rise by that much.

    Args:
        reference: logits ``[T, V]``.
        deviation: largest absolute change of a logit at each position under the floor's perturbations, ``[T]``.

    >>> near_ties(np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([0.4, 0.6])).tolist()
    [False, True]
    """
    out: NDArray[np.bool_] = margins(reference) <= 2.0 * deviation
    return out


def steps_off(expected: NDArray[np.integer], found: NDArray[np.integer]) -> tuple[float, int]:
    """Fraction of equal codes, and the largest difference in steps.

    >>> steps_off(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 6]))
    (0.75, 2)
    """
    difference = np.abs(expected.astype(np.int64) - found.astype(np.int64))
    return float(np.mean(difference == 0)), int(difference.max(initial=0))
