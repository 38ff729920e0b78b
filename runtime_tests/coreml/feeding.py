"""Feeds a package by what its bundle says, and nothing else: the recipe of ``mobile_samples/MANIFEST.md``."""

from __future__ import annotations

import numpy as np

from runtime_tests.coreml.session import Feed, Floats
from runtime_tests.errors import CannotRunError
from runtime_tests.readers.dimensions import SLIDING
from runtime_tests.readers.feeding import Calls, Feeding, Rotary


def calls_of(feeding: Feeding) -> Calls:
    """What a call takes.

    Raises:
        CannotRunError: it is not said.
    """
    if feeding.calls is None:
        raise CannotRunError("feeding.calls is null: it is not said how this package is fed")
    return feeding.calls


def feed_by(calls: Calls, context: int) -> Feed:
    """Inputs of positions below ``context``, the rows of the cache."""
    positions = np.arange(context)
    types, sliding = calls.layer_types, calls.layer_types.get(SLIDING)
    ring = None if sliding is None or sliding.ring is None else sliding.ring.rows
    return Feed(
        context if sliding is None or sliding.window is None else sliding.window,
        {kind: rotary_rows(type.rotary, positions) for kind, type in sorted(types.items())},
        (np.float32(calls.mask.visible), np.float32(calls.mask.hidden)),
        {one.name: (one.source, one.table or one.layer_type or "") for one in calls.inputs},
        lambda function: ring,
    )


def rotary_rows(rotary: Rotary, positions: np.ndarray) -> tuple[Floats, Floats]:
    """Cosines and sines, float32 ``[n, head_dim]``, of positions ``[n]``, rounded step by step as the recipe says."""
    half = rotary.head_dim // 2
    frequencies = np.zeros(half, np.float32)
    turning = min(rotary.turning, half)
    exponents = np.arange(0, 2 * turning, 2).astype(np.float32) / np.float32(rotary.head_dim)
    powers = np.power(np.float64(rotary.theta), exponents.astype(np.float64)).astype(np.float32)
    frequencies[:turning] = np.float32(1) / powers
    angles = (positions.astype(np.float32)[:, None] * frequencies).astype(np.float64)
    cosines, sines = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    return np.tile(cosines, 2), np.tile(sines, 2)
