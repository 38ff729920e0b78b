"""Which kind of artifact a path holds, opened as a case for the ladder.

Every target has a folder here with a ``room.py``, which says what is its own: see :class:`Room`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Protocol, cast

import runtime_tests
from runtime_tests.case import Case
from runtime_tests.errors import InputError
from runtime_tests.readers.bundle import MANIFEST, check
from runtime_tests.readers.feeding import Feeding, feeding_of, read_feeding
from runtime_tests.readers.modules.drafter import DrafterFolder


class Room(Protocol):
    """A target's ``room.py``.

    Attributes:
        PACKAGES: whose versions stand in its reports, besides those that the reference is made with.
    """

    PACKAGES: tuple[str, ...]

    def find(self, path: Path) -> Path | None:
        """Its model at a path, or in a bundle folder, whose files are held to its manifest; None: no such.

        Raises:
            InputError: it is there, and is not what the manifest says.
        """

    def open_case(
        self,
        model: Path,
        checkpoint: Path,
        threads: int | None,
        evaluation: Path | None,
        float_model: Path | None,
        questions: int | None,
    ) -> Case: ...


def rooms() -> dict[str, Room]:
    """Every target's by its name, sorted."""
    names = sorted(at.name for at in iter_modules(runtime_tests.__path__) if at.ispkg)
    found = {name: f"{runtime_tests.__name__}.{name}.room" for name in names}
    return {name: cast(Room, import_module(room)) for name, room in found.items() if find_spec(room) is not None}


def packages(target: str) -> tuple[str, ...]:
    """What the room of a target counts among the packages that take part in the judgement."""
    return rooms()[target].PACKAGES


def open_case(
    path: Path,
    checkpoint: Path,
    threads: int | None = None,
    evaluation: Path | None = None,
    float_model: Path | None = None,
    questions: int | None = None,
    feeding: Path | None = None,
    drafter: Path | None = None,
) -> Case:
    """A model, or a bundle folder that holds one; the rest as for a case.

    Args:
        feeding: a file that says how a bare model is fed, as a bundle's manifest does.
        drafter: folder of the checkpoint that the model's drafter was made from.

    Raises:
        InputError: none that is known, or damaged.
    """
    for room in rooms().values():
        if (model := room.find(path)) is not None:
            case = room.open_case(model, checkpoint, threads, evaluation, float_model, questions)
            case.feeding = _feeding(path, model, feeding)
            case.drafter = _drafter(case, drafter)
            return case
    if path.is_dir():
        raise InputError(f"{path.name}: its model {check(path).model} is of no known kind")
    if path.exists():
        raise InputError(f"{path.name}: no model of a known kind; give a bundle's folder, or a model as it was built")
    raise InputError(f"{path}: no such file or folder")


def _drafter(case: Case, given: Path | None) -> DrafterFolder | None:
    """The drafter's checkpoint; of another maker's file it need not be known."""
    if given is None:
        if case.holds_drafter and not case.foreign:
            name = case.artifact.path.name
            raise InputError(f"{name} holds a drafter; give the folder that it was made from with --drafter")
        return None
    if not case.holds_drafter:
        raise InputError(f"{case.artifact.path.name} holds no drafter; leave --drafter out")
    return DrafterFolder(given)


def _feeding(path: Path, model: Path, given: Path | None) -> Feeding | None:
    """What a bundle's manifest says, or the given file; None for a bare model without one."""
    if model == path:
        return None if given is None else read_feeding(given)
    if given is not None:
        raise InputError(f"{path.name}: a bundle says in {MANIFEST} how it is fed; leave --feeding out")
    return feeding_of(path / MANIFEST)
