"""Rung 2b, second part: what other runtimes make of the same bytes.

One runtime may hide an error of the file behind an error of its own. So the blocks of decode, and a short forced
decode, are also run by plain reference kernels and by another project's build, and compared with XNNPACK's results.
Blocks on given inputs are the sharp comparison: there one flipped rounding stays where it happened. Where XNNPACK's own
sums are coarse (``plain.py``), a runtime may agree with the reference instead; plain kernels at their best token.

``verify --second-opinion`` asks TensorFlow's build in an environment of its own, and says it of every block.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import CannotRunError
from runtime_tests.litert import tapes
from runtime_tests.litert.budgets import Agreement, agreement_for
from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.forced_calls import Quality, pooled
from runtime_tests.litert.rungs.plain import best_token
from runtime_tests.litert.runners.interpreter import Interpreter
from runtime_tests.litert.runners.protocol import Arrays, Player, Tape
from runtime_tests.litert.runners.second import PLAIN, SECOND, tensorflow
from runtime_tests.measures import metrics
from runtime_tests.results import Check, at_least, stated

STEPS = 16
RESIDUALS = ("/attention", "/mlp", "/output")  # boundaries where a block has been added to what it read


@dataclass(frozen=True)
class Mine:
    """What this machine's XNNPACK gave, and the tapes that it played.

    Attributes:
        tapes: some of blocks, then one of forced steps.
        kept: what each gave.
        expected: the reference's floats for the blocks' tapes, by call.
        sampled: which blocks these are; empty for all.
        without_blocks, without_steps: why one of the two is missing; empty when it is there.
    """

    tapes: tuple[Tape, ...]
    kept: tuple[list[Arrays], ...]
    expected: tuple[tuple[Arrays, ...], ...]
    sampled: str
    without_blocks: str
    without_steps: str


@dataclass(frozen=True)
class Opinions:
    """What the other runtimes said.

    Attributes:
        checks: for the rung.
        residual_db: XNNPACK against LiteRT's plain kernels where a block passes something on, dB, the worst of the
            compared layers: both ran the same bytes, so a fault of the file is no part of it. None unless the plain
            kernels ran and kept their limits.
    """

    checks: list[Check]
    residual_db: float | None


def opinions(case: LitertCase, players: Sequence[Player] = SECOND) -> Opinions:
    """Asks every runtime; one that cannot answer is written down with its reason."""
    mine, checks, residual = record(case), list[Check](), None
    for player in players:
        try:
            theirs = player.play(mine.tapes, case.threads)
        except CannotRunError as error:
            checks.append(stated(f"{player.name}: calls compared", 0, "calls", f"not run: {error}"))
            continue
        found = _compared(case, mine, player, theirs)
        if player.runtime == PLAIN.runtime and all(check.passed for check in found):
            residual = _residual_db(mine, theirs)
        checks += found
    return Opinions(checks, residual)


def climb(case: LitertCase) -> list[Check]:
    """The rung of ``--second-opinion``: what rung 2b asks of the others, of TensorFlow's build, and block by block.

    Raises:
        CannotRunError: there is no such environment here and none can be made, or it cannot answer.
    """
    player, mine = tensorflow(), record(case)
    theirs = player.play(mine.tapes, case.threads)
    checks = _compared(case, mine, player, theirs)
    if mine.without_blocks:
        return checks
    bars = agreement_for(player.runtime, case.folder.static_activations)
    played = theirs[: len(mine.tapes) - (not mine.without_steps)]
    names: dict[str, set[str]] = {}
    for calls in mine.kept[: len(played)]:
        for name in calls[0]:
            names.setdefault(_block(name), set()).add(name)
    for block in sorted(names, key=_place):
        checks += _blocks(bars, block, mine, played, pooled, names[block])
    return checks


def _block(name: str) -> str:
    """The block that a boundary belongs to."""
    match = re.match(r"layers\.(\d+)\b", name)
    return f"layer {match[1]}" if match else "embedding and head"


def _place(block: str) -> tuple[bool, int]:
    number = block.rpartition(" ")[2]
    return (False, int(number)) if number.isdecimal() else (True, 0)


def _residual_db(mine: Mine, theirs: Sequence[list[Arrays]]) -> float | None:
    found = []
    for ours, others, _ in zip(mine.kept, theirs, mine.expected, strict=False):  # the last tape may be no block's
        for name in ours[0]:
            if name.endswith(RESIDUALS):
                found.append(best_token(name, _rows(others, name), _rows(ours, name)))
    return min(found, default=None)


def _rows(calls: Sequence[Arrays], name: str) -> NDArray[Any]:
    """One row a call, which is one token."""
    return np.stack([np.ravel(call[name]) for call in calls])


def _joined(calls: Sequence[Arrays], name: str) -> NDArray[Any]:
    return np.concatenate([np.ravel(call[name]) for call in calls])


def record(case: LitertCase, count: int = STEPS) -> Mine:
    """Plays the tapes here.

    Raises:
        CannotRunError: there is nothing to play.
    """
    made: list[Tape] = []
    expected: tuple[tuple[Arrays, ...], ...] = ()
    sampled = no_blocks = no_steps = ""
    try:
        blocks, sampled = tapes.blocks(case)
        made, expected = [block.tape for block in blocks], tuple(block.expected for block in blocks)
    except CannotRunError as error:
        no_blocks = str(error)
    try:
        made.append(tapes.steps(case, count))
    except CannotRunError as error:
        if no_blocks:
            raise
        no_steps = str(error)
    kept = []
    for tape in made:
        interpreter = Interpreter(tape.model, threads=case.threads)
        kept.append(tapes.here(interpreter.run, tape))
    return Mine(tuple(made), tuple(kept), expected, sampled, no_blocks, no_steps)


def agreement(case: LitertCase, mine: Mine, player: Player) -> list[Check]:
    """Of one runtime with XNNPACK here.

    Raises:
        CannotRunError: it cannot answer.
    """
    return _compared(case, mine, player, player.play(mine.tapes, case.threads))


def _compared(case: LitertCase, mine: Mine, player: Player, theirs: Sequence[list[Arrays]]) -> list[Check]:
    label, bars = player.name, agreement_for(player.runtime, case.folder.static_activations)
    note = mine.without_blocks or mine.sampled
    checks = [stated(f"{label}: calls compared", sum(map(len, theirs)), "calls", note)]
    if not mine.without_blocks:
        blocks = slice(0, len(mine.tapes) - (not mine.without_steps))
        lopsided = player.runtime == PLAIN.runtime and not case.folder.static_activations
        checks += _blocks(bars, label, mine, theirs[blocks], best_token if lopsided else pooled)
    if mine.without_steps:
        return [*checks, stated(f"{label}: forced steps", 0, "steps", f"not run: {mine.without_steps}")]
    a, b = (np.stack([out["logits"].reshape(-1) for out in kept if out]) for kept in (mine.kept[-1], theirs[-1]))
    name, quality = f"{label}: logits of {len(a)} forced steps", metrics.snr_db(a, b)
    if bars.logits_db is None:
        checks.append(stated(name, quality, "dB"))
    else:
        bar = min(bars.logits_db, case.floor.snr_db - 20.0 * float(np.log10(case.budget.floor_factor)))
        checks.append(at_least(name, quality, bar, "dB"))
    checks.append(stated(f"{label}: top-1 agreement", float(metrics.top1(a, b).mean()), "of 1"))
    return checks


def _blocks(
    bars: Agreement,
    label: str,
    mine: Mine,
    theirs: Sequence[list[Arrays]],
    quality_of: Quality,
    only: Container[str] | None = None,
) -> list[Check]:
    codes: list[tuple[Arrays, str]] = []
    floats: list[tuple[float, str]] = []
    for ours, others, expected in zip(mine.kept[: len(theirs)], theirs, mine.expected, strict=True):
        for name in (name for name in ours[0] if only is None or name in only):
            a, b = _joined(ours, name), _joined(others, name)
            if a.dtype == np.int8:
                codes.append(({"a": a, "b": b}, name))
                continue
            quality = metrics.snr_db(a, b)
            reference = quality_of(name, _rows(expected, name), _rows(others, name))
            apart = f"{name}: {reference:.4g} dB from the reference, {quality:.4g} from XNNPACK"
            floats.append((max(quality, reference), apart if quality < bars.block_db <= reference else name))
    checks = []
    if codes:
        a, b = (np.concatenate([pair[key] for pair, _ in codes]) for key in "ab")
        equal, far = metrics.steps_off(a, b)
        note = f"{int((a != b).sum())} of {a.size} differ, at most by {far}"
        checks.append(at_least(f"{label}: int8 outputs equal", equal, bars.codes, "of 1", note))
    if not floats:
        return checks
    worst, where = min(floats)
    checks.append(at_least(f"{label}: floats of {len(floats)} boundaries, worst", worst, bars.block_db, "dB", where))
    return checks
