"""Rung 0: the calls that a bundle names for an image (``feeding.images``), against the file's own signatures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.vision.budgets import budgets
from runtime_tests.litert.vision.encoded import call, encode
from runtime_tests.readers.manifest.images import ImageLength, Images
from runtime_tests.reference.vision.patches import Patches
from runtime_tests.reference.vision.pictures import drawn
from runtime_tests.results import Check, none
from runtime_tests.rungs.images.cutting import Cut, cut
from runtime_tests.rungs.images.told import compare_images

WIDE, HIGH = 160, 90  # pixels of the image that goes through the calls


def compare_told(case: LitertCase) -> list[Check]:
    """Tokens, how an image is cut, which lengths there are; and an image that goes through the calls of the least."""
    return [*compare_images(case, case.holds_images), *compare_calls(case)]


def compare_calls(case: LitertCase) -> list[Check]:
    """The lengths and calls alone."""
    said = None if case.feeding is None else case.feeding.images
    if said is None or not case.holds_images:
        return []
    square = said.patches.pool**2
    wanted = [(tokens, tokens * square) for tokens in budgets(case)]
    found = [(each.tokens, each.patches) for each in said.lengths]
    wrong = [] if found == wanted else [f"lengths {found}, expected {wanted}"]
    wrong += [] if said.tokens == wanted[-1][0] else [f"tokens {said.tokens}, expected {wanted[-1][0]}"]
    wrong += [] if said.cut_by is not None else ["cut_by is null, and the engine cuts"]
    wrong += [f"{each.model}, expected {case.artifact.path.name}" for each in _calls(said, case)]
    wrong += _through(case, said)
    return [none("feeding: the calls for an image", wrong, "differences", len(said.lengths) + 3)]


def _calls(said: Images, case: LitertCase) -> list[Any]:
    return [each for length in said.lengths for each in length.calls if each.model != case.artifact.path.name]


def _through(case: LitertCase, said: Images) -> list[str]:
    """An image through the calls of the shortest length, by the manifest's words and by the engine's."""
    shortest = said.lengths[0]
    try:
        image = cut(drawn(13, WIDE, HIGH), said.model_copy(update={"tokens": shortest.tokens}))
        rows = _rows(case, said, shortest, image)
    except CannotRunError as error:
        return [str(error)]
    if shortest.tokens != budgets(case)[0]:
        return []  # which is told already
    patches = Patches("told", image.pixels, image.positions, image.tokens)
    expected = encode(case, patches, budgets(case)[0]).taken()[1]
    return [] if np.array_equal(rows, expected) else ["an image becomes other rows by these calls than by the engine's"]


def _rows(case: LitertCase, said: Images, length: ImageLength, image: Cut) -> NDArray[Any]:
    pixels, positions = image.padded(said, length.patches)
    before: dict[str, NDArray[Any]] = {}
    rows, count = np.zeros((1, 0, 0), np.float32), image.tokens
    for step in length.calls:
        given: dict[str, NDArray[Any]] = {}
        for each in step.inputs:
            if each.source == "earlier_call":
                if each.output not in before:
                    raise CannotRunError(f"{step.function}: no call before gives {each.output}")
                given[each.name] = before[each.output]
            else:
                given[each.name] = pixels[None] if each.source == "patches" else positions[None]
        if step.section not in case.artifact.models():
            raise CannotRunError(f"the file has no section {step.section}")
        names = tuple(each.name for each in step.outputs)
        made = call(case, step.section, step.function, given, names)
        before = {name: np.array(value) for name, value in made.items()}
        for output in step.outputs:
            if output.meaning == "rows":
                rows = before[output.name]
            elif output.meaning == "mask":
                count = int(before[output.name].sum())
    return rows[0][:count]
