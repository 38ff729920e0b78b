"""Which mutants the tests run: always the same, drawn so that every target and every kind of fault is among them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from tests.mutants.mutant import Mutant

SIZE = 45
BED = "mobile"  # another bed costs a control of its own; those of other beds run with the whole catalogue


def sample(mutants: Iterable[Mutant], size: int = SIZE) -> list[Mutant]:
    """Of each target the same number, kind after kind in turn.

    Of a kind come those first whose paths have the smallest digests. A new mutant takes the place of one at most.
    """
    able = [mutant for mutant in mutants if mutant.bed == BED]
    targets = sorted({mutant.target for mutant in able})
    out: list[Mutant] = []
    for number, target in enumerate(targets):
        kinds: dict[str, list[Mutant]] = {}
        for mutant in sorted((m for m in able if m.target == target), key=_digest):
            kinds.setdefault(mutant.kind, []).append(mutant)
        turns = [found[turn] for turn in range(len(able)) for _, found in sorted(kinds.items()) if turn < len(found)]
        out += turns[: size * (number + 1) // len(targets) - size * number // len(targets)]
    drawn = {mutant.path for mutant in out}
    return [mutant for mutant in able if mutant.path in drawn]


def _digest(mutant: Mutant) -> str:
    return hashlib.sha256(mutant.path.encode()).hexdigest()
