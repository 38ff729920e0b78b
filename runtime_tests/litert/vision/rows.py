"""Rung 2b, last part: does an image become the rows that transformers' tower makes of the same patches?

Encoder and adapter run as the engine runs them, one after the other. Images are of odd shapes and kinds, and reach the
last positions of a budget. What stands in the padding, and how long it is, may not matter. A tower that multiplies a
difference in the last bit until its rows are others cannot be judged by them, and the report says so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.vision.budgets import ENCODES, budgets, of_any_maker
from runtime_tests.litert.vision.encoded import Encoded, encode
from runtime_tests.measures import metrics
from runtime_tests.progress import walk
from runtime_tests.reference.floor import DRAWS
from runtime_tests.reference.vision.patches import Patches, make, widest
from runtime_tests.reference.vision.pictures import FEW, pictures
from runtime_tests.results import Check, none, stated
from runtime_tests.rungs.images.rows import Figure, below, noisy, worst

Floats = NDArray[np.float32]
# A tower without static activations computes in float32. 123 dB were seen of one narrow layer. XNNPACK adds up a
# product of 3,072 columns at some 94 dB, and sixteen layers add up to 12 dB more. What a tower's attention makes of the
# last bits is its floor: 55 dB of a random one of the real size, of which a file came within 57 dB.
FLOAT_DB = 80.0
FURTHER = 2  # images of the smallest budget that go through every other one


def compare_rows(case: LitertCase) -> list[Check]:
    """Every budget, with every image where that takes little."""
    return of_any_maker(case, "rows", _compare)


def _compare(case: LitertCase) -> list[Check]:
    checks: list[Check] = []
    every = budgets(case)
    first: list[Patches] = []
    for budget in every:
        images, left_out = _images(case, budget, every[0])
        first = first or images
        checks += _judge(case, budget, images, first)
        if left_out:
            why = f"{left_out[0]}; {len(left_out)} in all"
            checks.append(
                stated(f"{ENCODES}{budget}: images with too many patches in a row", len(left_out), "images", why)
            )
    return checks


def _images(case: LitertCase, budget: int, smallest: int) -> tuple[list[Patches], list[str]]:
    """All images of the smallest budget; of another the few that show most, and those that reach its last position."""
    sizes = case.tower.sizes
    made, left_out = [], []
    for name, draw in pictures(widest(budget, sizes)).items():
        if budget == smallest or name in FEW:
            try:
                made.append(make(name, draw(), budget, sizes))
            except CannotRunError as error:
                left_out.append(str(error))
    return made, left_out


def _judge(case: LitertCase, budget: int, images: list[Patches], shorter: list[Patches]) -> list[Check]:
    where, features, rows = f"{ENCODES}{budget}", list[Figure](), list[Figure]()
    masks: list[str] = []
    padding: list[str] = []
    first: dict[str, Encoded] = {}
    others = [] if shorter is images else shorter[:FURTHER]  # behind which there is more padding
    for image in walk("images", [*images, *others]):
        found, seen = encode(case, image, budget), case.tower.see(image)
        first.setdefault(image.name, found)
        if found.mask.sum() != image.rows or not found.mask[: image.rows].all():
            masks.append(
                f"{image.name}: {int(found.mask.sum())} of {len(found.mask)} rows, expected the first {image.rows}"
            )
        mine, theirs = found.features[: image.rows], found.rows[: image.rows]
        figures = metrics.snr_db(seen.features, mine), metrics.snr_db(seen.rows, theirs)
        for some, quality, bar in zip((features, rows), figures, _bars(case, image, figures), strict=True):
            some.append(Figure(image.name, quality, bar))
    for image in [item for item in images if item.count < len(item.pixels)][:2]:
        if not _same(first[image.name], encode(case, noisy(image), budget)):
            padding.append(f"{image.name}: pixels behind the image change its rows")
    return [
        worst(f"{where}: features, worst of {len(features)}", features),
        worst(f"{where}: rows, worst of {len(rows)}", rows),
        none(f"{where}: another number of rows", masks, "images", len(features)),
        none(f"{where}: padding changes rows", padding, "images", min(2, len(images))),
    ]


def _bars(case: LitertCase, image: Patches, found: tuple[float, float]) -> tuple[float, float]:
    """Of features and rows: what is good enough in any case, or the tower's own floor where that is lower.

    The floor takes several passes; nobody asks for it of an image that comes as near as is enough.
    """
    enough = case.budget.lowering_db if case.folder.static_activations else FLOAT_DB
    if min(found) >= enough:
        return enough, enough
    drawn = below(case.budget.floor_factor)
    features, rows = case.tower.floor_db(_measured(case, image), case.draws(DRAWS))
    return min(enough, features - drawn), min(enough, rows - drawn)


def _measured(case: LitertCase, image: Patches) -> Patches:
    """The image that the floor is measured with: of a large file the first of its smallest budget, for all."""
    if not case.large:
        return image
    rows, sizes = budgets(case)[0], case.tower.sizes
    return make(FEW[0], pictures(widest(rows, sizes))[FEW[0]](), rows, sizes)


def _same(one: Encoded, other: Encoded) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.taken(), other.taken(), strict=True))
