"""Which kind of artifact a path holds, opened as a case for the ladder."""

from __future__ import annotations

import re
from pathlib import Path

from runtime_tests.case import Case
from runtime_tests.errors import InputError
from runtime_tests.readers.bundle import check, find_model
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litertlm import open_litertlm


def open_case(
    path: Path,
    checkpoint: Path,
    threads: int | None = None,
    evaluation: Path | None = None,
    float_model: Path | None = None,
    questions: int | None = None,
) -> Case:
    """A bundle folder, an ``.mlpackage`` with its row tables beside it, or a ``.litertlm``; the rest as for a case.

    Raises:
        InputError: none of these, or damaged.
    """
    package = find_package(path)
    if package is None:
        artifact = open_litertlm(find_model(path))
        return Case(artifact, open_checkpoint(checkpoint), threads, evaluation, float_model, questions)
    from runtime_tests.coreml.case import CoremlCase
    from runtime_tests.readers.coreml.parts import open_parts

    return CoremlCase(open_parts(package), open_checkpoint(checkpoint), threads, evaluation, float_model, questions)


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
