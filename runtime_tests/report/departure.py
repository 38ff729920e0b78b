"""The localization as a part of parity.json."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from runtime_tests.case import Case
from runtime_tests.errors import CannotRunError
from runtime_tests.ladder import find
from runtime_tests.report.strict import Strict, short
from runtime_tests.results import Rung
from runtime_tests.rungs.located import Block, Located, Place

TRIGGERS = ("2a", "2b")
MOST = 12  # further departures that are listed


class Departure(Strict):
    """A place where the artifact departs from the reference although everything before it is the reference's."""

    layer: int | None = Field(description="null before and after the layers")
    block: Block
    stage: str = Field(description="the tensor that departs: a boundary, or the path of a linear or norm")
    fault: str = Field(description="what computes it, in words")
    signature: str = Field(description="where it is worst")
    db_before: float = Field(description="SNR of the place before it in the same block; 200: given exactly")
    db_after: float


class Localization(Strict):
    """Which block is wrong by itself, and how far that is carried."""

    why: str = Field(description="why it could not run; empty otherwise")
    first: Departure | None = Field(description="null when no block is wrong by itself")
    others: list[Departure] = Field(description="further blocks that are wrong by themselves, at most 12")
    compared: int = Field(description="tensors that were compared")
    forced_db: dict[str, list[float | None]] = Field(
        description="SNR in dB by kind of block and layer, every block on the reference's inputs"
    )
    free_db: dict[str, list[float | None]] = Field(description="the same when the artifact runs by itself")


def wanted(rungs: list[Rung]) -> bool:
    """Whether a rung failed that a localization explains, or could not run on what failed below it."""
    failed = any(item.status == "fail" for item in rungs)
    return any(item.name in TRIGGERS and item.status != "pass" for item in rungs) and failed


def localization(case: Case) -> Localization:
    """Runs it; what cannot run says why."""
    try:
        found: Located = find(case.target, "locate").locate(case)
    except CannotRunError as error:
        return Localization(why=str(error), first=None, others=[], compared=0, forced_db={}, free_db={})
    layers = case.dims.layers
    places = [_departure(place) for place in found.places]
    return Localization(
        why="",
        first=places[0] if places else None,
        others=places[1 : 1 + MOST],
        compared=len(found.compared),
        forced_db=by_layer(found.forced_db, layers),
        free_db=by_layer(found.free_db, layers),
    )


def by_layer(table: Mapping[str, Mapping[int, float]], layers: int) -> dict[str, list[float | None]]:
    """One entry a layer; None where a layer has no such block."""
    return {
        kind: [None if i not in found else short(found[i]) for i in range(layers)]
        for kind, found in sorted(table.items())
    }


def line(found: Localization) -> str:
    """One line for the terminal."""
    if found.why:
        return f"localization not run: {found.why}"
    if found.first is None:
        return f"localization: no block is wrong by itself ({found.compared} tensors compared)"
    first = found.first
    where = first.block if first.layer is None else f"layer {first.layer}, {first.block}"
    more = f"; {len(found.others)} more" if found.others else ""
    return (
        f"first departure: {where}: {first.stage} ({first.fault}) in {first.signature}, "
        f"{first.db_before:g} dB before, {first.db_after:g} dB after{more}"
    )


def _departure(place: Place) -> Departure:
    return Departure(
        layer=place.layer,
        block=place.block,
        stage=place.stage,
        fault=place.fault,
        signature=place.signature,
        db_before=short(place.before_db),
        db_after=short(place.after_db),
    )
