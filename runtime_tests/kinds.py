"""Which kind of artifact a path holds, opened as a case for the ladder."""

from __future__ import annotations

import re
from pathlib import Path

from runtime_tests.case import Case
from runtime_tests.errors import InputError
from runtime_tests.readers.bundle import MANIFEST, check, find_model
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.feeding import Feeding, feeding_of, read_feeding
from runtime_tests.readers.litertlm import open_litertlm


def open_case(
    path: Path,
    checkpoint: Path,
    threads: int | None = None,
    evaluation: Path | None = None,
    float_model: Path | None = None,
    questions: int | None = None,
    feeding: Path | None = None,
) -> Case:
    """A bundle folder, an ``.mlpackage`` with its row tables beside it, or a ``.litertlm``; the rest as for a case.

    Args:
        feeding: a file that says how a bare model is fed, as a bundle's manifest does.

    Raises:
        InputError: none of these, or damaged.
    """
    package = find_package(path)
    if package is None:
        artifact = open_litertlm(find_model(path))
        case = Case(artifact, open_checkpoint(checkpoint), threads, evaluation, float_model, questions)
        case.feeding = _feeding(path, feeding)
        return case
    from runtime_tests.coreml.case import CoremlCase
    from runtime_tests.readers.parts import open_parts

    own = CoremlCase(open_parts(package), open_checkpoint(checkpoint), threads, evaluation, float_model, questions)
    own.feeding = _feeding(path, feeding)
    return own


def _feeding(path: Path, given: Path | None) -> Feeding | None:
    """What a bundle's manifest says, or the given file; None for a bare model without one."""
    bundle = path.is_dir() and path.suffix != ".mlpackage"
    if bundle and given is not None:
        raise InputError(f"{path.name}: a bundle says in {MANIFEST} how it is fed; leave --feeding out")
    if bundle:
        return feeding_of(path / MANIFEST)
    return None if given is None else read_feeding(given)


def find_package(path: Path) -> Path | None:
    """The ``.mlpackage`` at a path or in a bundle folder, whose files are held to its manifest first; None: no such."""
    if not path.is_dir():
        return None
    if path.suffix == ".mlpackage":
        return path
    every = sorted(path.glob("*.mlpackage"))
    further = {one for one in every if one.with_stem(re.sub(r"_\d+$", "", one.stem)) in {*every} - {one}}
    found = [one for one in every if one not in further]  # Model_2.mlpackage is a part of Model.mlpackage
    if not found:
        return None
    if len(found) > 1:
        raise InputError(f"{path.name}: {len(found)} packages; give the one to judge")
    check(path)
    return found[0]
