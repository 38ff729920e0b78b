"""Rung 0: the call that a bundle names for an image (``feeding.images``), against the model itself."""

from __future__ import annotations

import numpy as np

from runtime_tests.errors import CannotRunError
from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.images import PIXELS, POSITIONS, ROWS, budget, encode, model
from runtime_tests.onnx.runner import Arrays, Runner
from runtime_tests.readers.manifest.images import Images
from runtime_tests.reference.vision.patches import Patches
from runtime_tests.reference.vision.pictures import drawn
from runtime_tests.results import Check, none
from runtime_tests.rungs.images.cutting import cut
from runtime_tests.rungs.images.told import compare_images

WIDE, HIGH = 160, 90  # pixels of the image that goes through the call


def compare_told(case: OnnxCase) -> list[Check]:
    """Tokens, how an image is cut, and one that goes through the call by the manifest's words alone."""
    checks = compare_images(case, case.artifact.images is not None)
    said = None if case.feeding is None else case.feeding.images
    if said is None or case.artifact.images is None:
        return checks
    most, name = budget(case), model(case).path
    found = [(length.tokens, length.patches, len(length.calls)) for length in said.lengths]
    wrong = [] if found == [(most, None, 1)] else [f"lengths {found}, expected {[(most, None, 1)]}"]
    wrong += [] if said.tokens == most else [f"tokens {said.tokens}, expected {most}"]
    wrong += [] if said.cut_by is None else [f"cut_by {said.cut_by}, and an app cuts"]
    for call in [call for length in said.lengths for call in length.calls]:
        told = call.model, call.section, call.function
        wrong += [] if told == (name.name, name.stem, "run") else [f"call of {told}"]
    wrong += _through(case, said)
    return [*checks, none("feeding: the call for an image", wrong, "differences", len(said.lengths) + 4)]


def _through(case: OnnxCase, said: Images) -> list[str]:
    """An image through the call, by the manifest's words and by the judge's own."""
    try:
        image = cut(drawn(13, WIDE, HIGH), said)
        pixels, positions = image.padded(said, said.lengths[0].patches)
        call, runner = said.lengths[0].calls[0], Runner(model(case).path, case.threads)
        sources: Arrays = {"patches": pixels[None], "positions": positions[None].astype(np.int64)}
        made = runner.run({each.name: sources[each.source] for each in call.inputs if each.source in sources})
        rows = [made[each.name] for each in call.outputs if each.meaning == "rows" and each.name in made]
    except CannotRunError as error:
        return [str(error)]
    names = sorted(each.name for each in call.inputs)
    wrong = [] if names == sorted([PIXELS, POSITIONS]) else [f"inputs {names}"]
    expected = encode(runner, Patches("told", image.pixels, image.positions, image.tokens))
    if len(rows) != 1 or rows[0].shape[0] < image.tokens or not np.array_equal(rows[0][: image.tokens], expected):
        wrong.append(f"the outputs {[each.name for each in call.outputs]} are not the rows of {ROWS}")
    return wrong
