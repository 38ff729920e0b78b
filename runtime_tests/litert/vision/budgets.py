"""The budgets of a file that takes images: how many rows an image may become."""

from __future__ import annotations

import re

from runtime_tests.litert.case import ENCODER, LitertCase
from runtime_tests.readers.litert.tflite import Tflite

ENCODES, ADAPTS, ENDS = "vision_", "vision_adapter_", "eoi"  # names of the signatures, a budget behind the first two
FOREIGN = "not judged: a file of another maker has names of its own"


def budgets(case: LitertCase) -> list[int]:
    """Rows of an image, at most, of every signature of the encoder, ascending."""
    return lengths(case.model(ENCODER), ENCODES)


def lengths(model: Tflite, stem: str) -> list[int]:
    """Numbers behind a stem among the names of signatures, ascending."""
    return sorted(int(found[1]) for name in model.signatures if (found := re.fullmatch(rf"{stem}(\d+)", name)))
