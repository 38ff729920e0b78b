"""Rung 2b: does an image become the rows that transformers' tower makes of the same patches?

Images are of odd shapes and kinds, and reach the last positions of a budget. What stands in the padding, and how long
it is, may not matter. A tower that multiplies a difference in the last bit until its rows are others cannot be judged
by them, and the report says so. A float16 package is evaluated in float64; what its rounding costs is stated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.program.evaluator import Arithmetic
from runtime_tests.coreml.vision.package import STEM, budgets, exact, run
from runtime_tests.errors import CannotRunError
from runtime_tests.measures import metrics
from runtime_tests.progress import walk
from runtime_tests.reference.vision.patches import Patches, make, widest
from runtime_tests.reference.vision.pictures import FEW, pictures
from runtime_tests.results import Check, none, stated
from runtime_tests.rungs.images.rows import Figure, bar, noisy, worst

Floats = NDArray[np.float32]
# A tower without static activations, evaluated in float64 or float32, beside transformers in float32: what is left is
# what attention makes of the last bits, which is its floor where that is lower.
FLOAT_DB = 80.0
FURTHER = 2  # images of the smallest budget that go through every other one


def compare_rows(case: CoremlCase) -> list[Check]:
    """Every budget: all images of the smallest, of others the few that show most."""
    checks: list[Check] = []
    first: list[Patches] = []
    every = [] if case.images is None else budgets(case.images)
    for budget in every:
        images, left_out = _images(case, budget, every[0])
        first = first or images
        checks += _judge(case, budget, images, first)
        if left_out:
            why = f"{left_out[0]}; {len(left_out)} in all"
            name = f"{STEM}{budget}: images with too many patches in a row"
            checks.append(stated(name, len(left_out), "images", why))
    return checks


def _images(case: CoremlCase, budget: int, smallest: int) -> tuple[list[Patches], list[str]]:
    sizes = case.tower.sizes
    made, left_out = [], []
    for name, draw in pictures(widest(budget, sizes)).items():
        if name in FEW or (budget == smallest and not case.large):
            try:
                made.append(make(name, draw(), budget, sizes))
            except CannotRunError as error:
                left_out.append(str(error))
    return made, left_out


def _judge(case: CoremlCase, budget: int, images: list[Patches], shorter: list[Patches]) -> list[Check]:
    where, rows, arithmetic = f"{STEM}{budget}", list[Figure](), exact(case)
    others = [] if shorter is images else shorter[:FURTHER]  # behind which there is more padding
    for image in walk("images", [*images, *others]):
        quality = metrics.snr_db(case.tower.see(image).rows, _rows(case, budget, image, arithmetic))
        rows.append(Figure(image.name, quality, bar(case, case.tower, image, quality, FLOAT_DB)))
    padded = [item for item in images if item.count < len(item.pixels)][:2]
    padding = [
        f"{image.name}: pixels behind the image change its rows"
        for image in padded
        if not np.array_equal(_rows(case, budget, image, arithmetic), _rows(case, budget, noisy(image), arithmetic))
    ]
    checks = [
        worst(f"{where}: rows, worst of {len(rows)}", rows),
        none(f"{where}: padding changes rows", padding, "images", len(padded)),
    ]
    if arithmetic == "float64":
        image = images[0]
        quality = metrics.snr_db(case.tower.see(image).rows, _rows(case, budget, image, "declared"))
        checks.append(stated(f"{where}: rows with float16's rounding", quality, "dB", image.name))
    return checks


def _rows(case: CoremlCase, budget: int, image: Patches, arithmetic: Arithmetic) -> Floats:
    found = run(case, budget, image, arithmetic)["rows"].numpy()[0, : image.rows]
    return np.asarray(found, np.float32)
