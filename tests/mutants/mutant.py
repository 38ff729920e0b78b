"""What a mutant is: a fault, where it is put, and what has to catch it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.mutants.beds import adapters

REFUSED = "refused"
FIRST = "litert"  # the target that rung 1 is climbed with: it judges the decoder, which is the same for all of them
OTHERS = tuple(name for name in adapters() if name != FIRST)


@dataclass(frozen=True)
class Edit:
    """A finished model is changed. ``change`` gets a copy of it, as the target's bed opens one: a ``Patient``."""

    change: Callable[[Any], None]


@dataclass(frozen=True)
class Build:
    """The converter works with a wrapped operation (``wrap.py``). Rung 1 runs the decoder with the same fault."""

    fault: Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Tamper:
    """A copy of the checkpoint is changed and converted, and judged against the unchanged one."""

    change: Callable[[Path], None]


@dataclass(frozen=True)
class Repack:
    """A copy of a finished bundle folder is changed."""

    change: Callable[[Path], None]


Fault = Edit | Build | Tamper | Repack


@dataclass(frozen=True)
class Mutant:
    """One fault in one target's model.

    Attributes:
        name: in words joined by ``_``; one fault has one name, whichever target it is put into.
        kind: the file of the catalogue it is in.
        bed: which checkpoint and options it is put into; see ``beds/``.
        what: the fault in words.
        expected: the rungs that must each catch it, or ``refused`` alone: the converter or the judge must say no.
        fault: how it is made.
        target: whose model it is put into.
    """

    name: str
    kind: str
    bed: str
    what: str
    expected: tuple[str, ...]
    fault: Fault = field(compare=False)
    target: str = FIRST

    @property
    def path(self) -> str:
        """``target/name``: of this mutant alone."""
        return f"{self.target}/{self.name}"


def everywhere(
    name: str,
    kind: str,
    bed: str,
    what: str,
    expected: tuple[str, ...],
    fault: Fault,
    but: Mapping[str, tuple[str, ...]] | None = None,
) -> Iterator[Mutant]:
    """A fault that every target's model can have, once for each.

    Args:
        bed: targets that do not have it do not get the fault.
        expected: by which rungs of the first target. All others have to catch it by the same, rung 1 aside.
        but: the rungs of a target where that is not so; none at all means that this target cannot have the fault.
    """
    yield Mutant(name, kind, bed, what, expected, fault)
    for target in OTHERS:
        usual = (but or {}).get(target, tuple(rung for rung in expected if rung != "1"))
        rungs = getattr(adapters()[target], "OTHERWISE", {}).get(name, usual)
        if rungs and bed in adapters()[target].BEDS:
            yield Mutant(name, kind, bed, what, rungs, fault, target)
