"""Faults of the vision tower's mathematics and of its projection, for every target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convert.model.symbol import concatenate
from tests.mutants.beds import adapters
from tests.mutants.mutant import Build, Mutant, everywhere
from tests.mutants.wrap import Inject, together, wrapped

KIND = BED = "images"
MODEL = "convert.model.vision.Vision"
PROJECTION = "embed_vision.embedding_projection"


def _called(change: Callable[..., tuple[Any, Any]]) -> Inject:
    """``change`` gets the patches and their positions, and gives others."""
    return wrapped(f"{MODEL}.__call__", lambda sound, itself, *given: sound(itself, *change(*given)))


def _attention(change: Callable[[Any, Any], tuple[Any, Any]]) -> Inject:
    """``change`` gets what queries and keys are turned by and what is hidden, and gives others."""
    return wrapped(
        f"{MODEL}._attention",
        lambda sound, itself, x, at, turn, hidden: sound(itself, x, at, *change(turn, hidden)),
    )


def _late(sound: Any, ops: Any, key: str, axis: int, ids: Any) -> Any:
    return sound(ops, key, axis, ids + 1)


def _unclipped(side: str) -> Inject:
    """Bounds in front of linears, or behind them."""
    return wrapped(
        f"{MODEL}._clip",
        lambda sound, itself, x, bounds: x if bounds.endswith(side) else sound(itself, x, bounds),
    )


def _exchanged(patches: Any, at: Any) -> tuple[Any, Any]:
    return patches, concatenate([at.narrow(2, 1, 1), at.narrow(2, 0, 1)], dim=2)


def _blue_first(patches: Any, at: Any) -> tuple[Any, Any]:
    pixels = patches.reshape(patches.shape[1], -1, 3)
    return concatenate([pixels.narrow(2, each, 1) for each in (2, 1, 0)], dim=2).reshape(*patches.shape), at


def _each(name: str, what: str, fault: Inject, *expected: str) -> Any:
    return everywhere(f"image_{name}", KIND, BED, what, expected or ("2a",), Build(fault))


MUTANTS: tuple[Mutant, ...] = (
    *_each("x_and_y_exchanged", "a patch's row is taken for its column", _called(_exchanged)),
    *_each("colours_backwards", "blue is taken for red", _called(_blue_first)),
    *_each(
        "patches_between_0_and_1",
        "patches are not spread from -1 to 1",
        _called(lambda patches, at: ((patches + 1.0) * 0.5, at)),
    ),
    *_each(
        "turned_by_y_first",
        "queries and keys are turned by y in their first half",
        _attention(lambda turn, hidden: (turn[::-1], hidden)),
    ),
    *_each("padding_seen", "patches attend to the padding", _attention(lambda turn, hidden: (turn, hidden * 0.0))),
    *_each(
        "pooled_across",
        "columns are taken for rows where patches become soft tokens",
        wrapped(f"{MODEL}._pool", lambda sound, itself, x, column, row, real: sound(itself, x, row, column, real)),
        "2a",
        "2b",
    ),
    *_each("inputs_not_clipped", "bounds in front of linears are left out", _unclipped("input"), "0"),
    *_each("outputs_not_clipped", "bounds behind linears are left out", _unclipped("output"), "0"),
    *_each(
        "positions_one_late",
        "position tables are read one row on",
        together(*(wrapped(f"convert.targets.{target}.vision.TowerOps.rows", _late) for target in adapters())),
    ),
    *_each(
        "rows_not_normed",
        "soft tokens are projected as they are",
        wrapped(f"{MODEL}.project", lambda _sound, itself, x: itself._ops.linear(x, PROJECTION)),
        "2b",
    ),
)
