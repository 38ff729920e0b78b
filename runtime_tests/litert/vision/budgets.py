"""The budgets of a file that takes images, how many rows an image may become; and what is not asked of a file."""

from __future__ import annotations

import re
from collections.abc import Callable

from runtime_tests.errors import CannotRunError, InputError
from runtime_tests.litert.case import ENCODER, LitertCase
from runtime_tests.readers.litert.tflite import Tflite
from runtime_tests.results import Check, stated

ENCODES, ADAPTS, ENDS = "vision_", "vision_adapter_", "eoi"  # names of the signatures, a budget behind the first two
FOREIGN = "not judged: a file of another maker has names of its own"
LARGEST = 1 << 13  # rows; an image of Gemma 4 becomes 1,120 at most


def budgets(case: LitertCase) -> list[int]:
    """Rows of an image, at most, of every signature of the encoder, ascending."""
    return lengths(case.model(ENCODER), ENCODES)


def lengths(model: Tflite, stem: str) -> list[int]:
    """Numbers behind a stem among the names of signatures, ascending.

    Raises:
        InputError: one of them is no number of rows.
    """
    found = sorted(int(match[1]) for name in model.signatures if (match := re.fullmatch(rf"{stem}(\d{{1,9}})", name)))
    if odd := [rows for rows in found if not 0 < rows <= LARGEST]:
        raise InputError(f"{model.where}: signature {stem}{odd[0]}, expected 1 to {LARGEST} rows of an image")
    return found


def of_any_maker(case: LitertCase, what: str, compare: Callable[[LitertCase], list[Check]]) -> list[Check]:
    """A comparison of a file that takes images; none of one that takes none.

    A file of another maker need not have what it asks for, and is then not judged by it.
    """
    if not case.holds_images:
        return []
    try:
        return compare(case)
    except (CannotRunError, InputError) as error:
        if not case.foreign:
            raise
        return [stated(f"images: {what}", 0, "images", f"not judged: {error}")]
