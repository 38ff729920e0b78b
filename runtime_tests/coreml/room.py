"""What kinds.py asks of a room: whether a path holds one of its artifacts, and the case of it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from runtime_tests.case import Case
from runtime_tests.errors import InputError
from runtime_tests.readers.bundle import check
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.coreml.mlpackage import open_mlpackage
from runtime_tests.readers.coreml.parts import IMAGES, open_parts

PACKAGES = ("coremltools", "protobuf")


def find(path: Path) -> Path | None:
    """The ``.mlpackage`` at a path or in a bundle folder, whose files are held to its manifest first; None: no such."""
    if not path.is_dir():
        return None
    if path.suffix == ".mlpackage":
        return path
    every = sorted(each for each in path.glob("*.mlpackage") if each.name != IMAGES)
    further = {one for one in every if one.with_stem(re.sub(r"_\d+$", "", one.stem)) in {*every} - {one}}
    found = [one for one in every if one not in further]  # Model_2.mlpackage is a part of Model.mlpackage
    if not found:
        return None
    if len(found) > 1:
        raise InputError(f"{path.name}: {len(found)} packages; give the one to judge")
    check(path)
    return found[0]


def open_case(
    model: Path,
    checkpoint: Path,
    threads: int | None,
    evaluation: Path | None,
    float_model: Path | None,
    questions: int | None,
) -> Case:
    """The arguments are those of the case."""
    from runtime_tests.coreml.case import CoremlCase

    package, images = open_parts(model), model.with_name(IMAGES)
    if images.is_dir():
        package = replace(package, beside=(open_mlpackage(images),))
    return CoremlCase(package, open_checkpoint(checkpoint), threads, evaluation, float_model, questions)
