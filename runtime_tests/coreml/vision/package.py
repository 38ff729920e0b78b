"""The package beside the decoder's that makes rows of images, and how it is called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.program.evaluator import Arithmetic, Evaluator, Values
from runtime_tests.errors import InputError
from runtime_tests.readers.checkpoint import Folder
from runtime_tests.readers.coreml.mlpackage import MlPackage
from runtime_tests.readers.coreml.program import Function
from runtime_tests.reference.vision.patches import Patches

STEM = "vision_"  # of a function's name, behind it the rows that an image becomes at most
LARGEST = 1 << 13


@dataclass(frozen=True)
class Towered:
    """The package as comparisons of weights ask for one: ``folder`` holds the tower's tensors.

    Attributes:
        decode: the function that the others are held to.
    """

    package: MlPackage
    folder: Folder
    decode: Function
    profile: str = "gpu"


def towered(case: CoremlCase) -> Towered:
    """Of a package that takes images.

    Raises:
        InputError: it has no function for any number of rows.
    """
    package = case.images
    assert package is not None
    return Towered(package, case.vision, package.functions[f"{STEM}{budgets(package)[-1]}"])


def budgets(package: MlPackage) -> list[int]:
    """Rows of an image, at most, of every function, ascending.

    Raises:
        InputError: there is none, or one is no number of rows.
    """
    found = sorted(int(match[1]) for name in package.functions if (match := re.fullmatch(rf"{STEM}(\d{{1,9}})", name)))
    if odd := [rows for rows in found if not 0 < rows <= LARGEST]:
        raise InputError(f"{package.path.name}: function {STEM}{odd[0]}, expected 1 to {LARGEST} rows of an image")
    if not found:
        raise InputError(f"{package.path.name}: no function {STEM}<rows>; it has {', '.join(package.functions)}")
    return found


def run(
    case: CoremlCase,
    budget: int,
    patches: Patches,
    arithmetic: Arithmetic,
    given: Mapping[str, Any] | None = None,
    wanted: tuple[str, ...] = (),
) -> Values:
    """An image, padded to the budget, through its function; see ``Evaluator.run``."""
    length = budget * case.tower.sizes.kernel**2
    padded = patches if len(patches.pixels) == length else patches.padded(length)
    inputs = {"images": padded.pixels[None], "positions_xy": padded.positions[None]}
    return _evaluator(case, arithmetic).run(f"{STEM}{budget}", inputs, None, given, wanted)


def exact(case: CoremlCase) -> Arithmetic:
    """The arithmetic that judges the program and not what float16 rounds."""
    package = case.images
    assert package is not None
    halves = any(type.dtype == "float16" for function in package.functions.values() for type in function.types.values())
    return "float64" if halves else "declared"


def _evaluator(case: CoremlCase, arithmetic: Arithmetic) -> Evaluator:
    if arithmetic not in case.seers:
        assert case.images is not None
        case.seers[arithmetic] = Evaluator(case.images, arithmetic)
    return case.seers[arithmetic]
