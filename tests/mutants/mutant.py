"""What a mutant is: a fault, where it is put, and what has to catch it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.patient import Patient

REFUSED = "refused"


@dataclass(frozen=True)
class Edit:
    """A finished ``.litertlm`` is changed, in place or by ``Patient.rebuild``."""

    change: Callable[[Patient], None]


@dataclass(frozen=True)
class Build:
    """The converter works with a fault in its code. ``eager``: the fault lies in what rung 1 runs as well."""

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
    """One fault.

    Attributes:
        name: unique, in words joined by ``_``.
        kind: the file of the catalogue it is in.
        bed: which checkpoint and options it is put into; see ``bed.py``.
        what: the fault in words.
        expected: the rungs that must each catch it, or ``refused`` alone: the converter or the judge must say no.
        fault: how it is made.
    """

    name: str
    kind: str
    bed: str
    what: str
    expected: tuple[str, ...]
    fault: Fault
