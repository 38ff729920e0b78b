"""Rung 0: the calls that a bundle names for an image (``feeding.images``), against the package's own functions."""

from __future__ import annotations

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.vision.package import STEM, budgets
from runtime_tests.readers.manifest.images import ImageLength
from runtime_tests.results import Check, none
from runtime_tests.rungs.images.told import compare_images

SECTION = "vision"


def compare_told(case: CoremlCase) -> list[Check]:
    """Tokens, how an image is cut, and for each length the one call that takes it."""
    checks = compare_images(case, case.images is not None)
    said = None if case.feeding is None else case.feeding.images
    if said is None or case.images is None:
        return checks
    square, every = case.tower.sizes.kernel**2, budgets(case.images)
    wanted = [(tokens, tokens * square) for tokens in every]
    found = [(each.tokens, each.patches) for each in said.lengths]
    wrong = [] if found == wanted else [f"lengths {found}, expected {wanted}"]
    wrong += [] if said.tokens == every[-1] else [f"tokens {said.tokens}, expected {every[-1]}"]
    wrong += [] if said.cut_by is None else ["cut_by is a runtime, and none cuts images for Core ML"]
    wrong += [] if said.patches.pool**2 == square else [f"pool {said.patches.pool}, the tower's is another"]
    wrong += [line for length in said.lengths for line in _calls(case, length)]
    return [*checks, none("feeding: the calls for an image", wrong, "differences", len(said.lengths) + 4)]


def _calls(case: CoremlCase, length: ImageLength) -> list[str]:
    """One call: the patches and their positions in, the rows out."""
    assert case.images is not None
    name = f"{STEM}{length.tokens}"
    if len(length.calls) != 1:
        return [f"{name}: {len(length.calls)} calls, expected 1"]
    (call,) = length.calls
    given = {each.name: each.source for each in call.inputs}
    made = {each.name: each.meaning for each in call.outputs}
    pairs = (
        ("model", call.model, case.images.path.name),
        ("section", call.section, SECTION),
        ("function", call.function, name),
        ("inputs", given, {"images": "patches", "positions_xy": "positions"}),
        ("outputs", made, {"rows": "rows"}),
    )
    return [f"{name}: {what} {found}, expected {wanted}" for what, found, wanted in pairs if found != wanted]
