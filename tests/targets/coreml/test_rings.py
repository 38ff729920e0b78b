"""Sliding layers of a package keep the window alone: what that computes to the end of the context, and saves."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest

from convert.checkpoint import open_checkpoint
from convert.checkpoint.config import read_config
from convert.checkpoint.types import Checkpoint
from convert.model import eager
from convert.progress import Silent
from convert.targets.coreml import CoremlOptions, convert
from convert.targets.coreml.inspect import inspect_package
from convert.targets.coreml.rings import ring_length
from convert.targets.coreml.sizes import sizes
from tests.support.checkpoints.modules import with_text
from tests.support.coreml.tools import Package, feed, states
from tests.support.litert.tools import decibels

WINDOW, RING, CONTEXT = 24, 32, 160
# Start, real tokens and function: whole, padded and single ones; the last padded one ends where the context does.
SPANS = ((0, 13, 16), (13, 16, 16), (29, 7, 16), (36, 31, 48), (67, 41, 48), (108, 5, 48), (113, 1, 1), (114, 7, 16))


def spans() -> list[tuple[int, int, int]]:
    return [*SPANS, *((at, 1, 1) for at in range(121, 144)), (144, 3, 16), *((at, 1, 1) for at in range(147, CONTEXT))]


def logits(package: Package, checkpoint: Checkpoint, ids: np.ndarray) -> dict[int, np.ndarray]:
    """Of the tokens that decode takes; states are carried from call to call, padding and all."""
    kept, out = states(package), {}
    padded = np.concatenate([ids, np.full(64, 7, np.int32)])
    for start, real, length in spans():
        function = "decode" if length == 1 else f"prefill_{length}"
        found = package.run(function, feed(package, checkpoint, padded, start, length, real), kept, {})
        if length == 1:
            out[start] = found.reshape(-1)
    return out


def test_rings_give_what_whole_caches_give_over_four_wraps_to_the_end(q4_0_e2b: Path, tmp_path: Path) -> None:
    checkpoint = with_text(open_checkpoint(q4_0_e2b), stored="integers")
    convert(checkpoint, CoremlOptions(CONTEXT, (16, 48), "float32"), tmp_path / "Model.mlpackage", Silent())
    ids = np.random.default_rng(3).integers(110, 1000, CONTEXT).astype(np.int32)
    assert CONTEXT / RING > 4
    package = Package(tmp_path / "Model.mlpackage")
    expected, found = eager.run(checkpoint.text, ids, 16, CONTEXT), logits(package, checkpoint, ids)
    assert len(found) == 37
    assert decibels(expected[[*found]], np.stack([*found.values()])) >= 100


@pytest.mark.parametrize(
    ("profile", "context", "expected"), [("gpu", 160, RING), ("ane", 160, None), ("gpu", 32, None)]
)
def test_there_are_rings_where_they_are_shorter_and_a_part_may_have_them(
    mobile_e4b: Path, profile: str, context: int, expected: int | None
) -> None:
    config = read_config(mobile_e4b)
    options = CoremlOptions(context, (16,), profile=profile)
    assert config.window == WINDOW
    assert ring_length(config, options) == expected
    alike = replace(config, layers=tuple(replace(layer, kind=config.layers[0].kind) for layer in config.layers))
    assert ring_length(alike, options) is None  # nothing says how long the context is


def test_what_the_cache_takes_is_the_states_bytes_wherever_it_is_said(mobile_e4b: Path, tmp_path: Path) -> None:
    checkpoint, options = open_checkpoint(mobile_e4b), CoremlOptions(CONTEXT, (16,))
    convert(checkpoint, options, tmp_path / "Model.mlpackage", Silent())
    cache = inspect_package(tmp_path / "Model.mlpackage").cache
    assert cache is not None
    assert (cache.context, cache.ring, cache.pairs) == (CONTEXT, RING, len(checkpoint.text.config.owners))
    held = [tuple(state.shape) for state in states(Package(tmp_path / "Model.mlpackage")).values()]
    assert cache.bytes == sizes(checkpoint, options).cache == 2 * sum(map(prod, held))
    whole = sizes(checkpoint, replace(options, profile="ane")).cache
    assert cache.bytes < whole / 2
