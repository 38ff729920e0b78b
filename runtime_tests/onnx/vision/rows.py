"""Rung 2b, last part: does an image become the rows that transformers' tower makes of the same patches?

Images are of odd shapes and kinds, and reach the last positions of a budget. What stands in the padding, and how long
it is, may not matter. A tower that multiplies a difference in the last bit until its rows are others cannot be judged
by them, and the report says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtime_tests.errors import CannotRunError
from runtime_tests.measures import metrics
from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.images import budget, encode, model
from runtime_tests.onnx.runner import Runner
from runtime_tests.progress import walk
from runtime_tests.reference.floor import DRAWS
from runtime_tests.reference.vision.patches import Patches, make, widest
from runtime_tests.reference.vision.pictures import pictures
from runtime_tests.results import Check, at_least, none, stated

# A tower without static activations computes in float32: 115 dB were seen of a small one. Sums of 3,072 columns add up
# in another order, and sixteen layers add up to 12 dB more.
FLOAT_DB = 80.0
# Below that a bar would let other rows pass as well: so nervous can a tower with static activations be.
LEAST_DB = 6.0


@dataclass(frozen=True)
class Figure:
    """How near a model came to the reference with one image, and the bar for it; dB."""

    image: str
    quality: float
    bar: float


def compare_rows(case: OnnxCase) -> list[Check]:
    """All images, with all of their padding and with none."""
    if case.artifact.images is None:
        return []
    runner, rows, sizes = Runner(model(case).path, case.threads), budget(case), case.tower.sizes
    figures, wrong, padding, left_out, images = list[Figure](), list[str](), list[str](), list[str](), list[Patches]()
    for name, draw in pictures(widest(rows, sizes)).items():
        try:
            images.append(make(name, draw(), rows, sizes))
        except CannotRunError as error:
            left_out.append(str(error))
    for image in walk("images", images):
        found, seen = encode(runner, image), case.tower.see(image).rows[: image.rows]
        if found.shape != seen.shape:
            wrong.append(f"{image.name}: {list(found.shape)}, expected {list(seen.shape)}")
            continue
        quality = metrics.snr_db(seen, found)
        figures.append(Figure(image.name, quality, _bar(case, image, quality)))
        others = {"without padding": (image, image.count), "with noise behind it": (_noisy(image), None)}
        padding += [f"{image.name} {how}" for how, other in others.items() if not _same(found, encode(runner, *other))]
    checks = [] if not figures else [_worst(f"images: rows, worst of {len(figures)}", figures)]
    checks += [
        none("images: another number of rows", wrong, "images", len(images)),
        none("images: padding changes rows", padding, "images", len(images)),
        none("images: one patch too many is read", _too_many(runner, images[0]), "images", 1),
    ]
    if left_out:
        why = f"{left_out[0]}; {len(left_out)} in all"
        checks.append(stated("images with too many patches in a row", len(left_out), "images", why))
    return checks


def _bar(case: OnnxCase, image: Patches, quality: float) -> float:
    """What is good enough in any case, or the tower's own floor where that is lower.

    The floor takes several passes; nobody asks for it of an image that comes as near as is enough.
    """
    enough = case.budget.lowering_db if case.folder.static_activations else FLOAT_DB
    if quality >= enough:
        return enough
    drawn = 20.0 * float(np.log10(case.budget.floor_factor))
    _, floor = case.tower.floor_db(image, case.draws(DRAWS))
    return min(enough, floor - drawn)


def _worst(name: str, figures: list[Figure]) -> Check:
    """The figure that is nearest to its bar; only stated where the tower itself has no rows to hold them to."""
    worst = min(figures, key=lambda item: (item.quality - item.bar, item.image))
    nervous = [item for item in figures if item.bar < LEAST_DB]
    if nervous:
        why = f"not judged: {nervous[0].image}, disturbed in the last bits, gives rows of its own below {LEAST_DB:g} dB"
        return stated(name, worst.quality, "dB", f"{why}; each layer by itself is judged by rung 2a")
    return at_least(name, worst.quality, worst.bar, "dB", worst.image)


def _noisy(image: Patches) -> Patches:
    pixels = image.pixels.copy()
    pixels[image.count :] = np.random.default_rng(5).random(pixels[image.count :].shape, np.float32)
    return Patches(f"{image.name}, noise behind it", pixels, image.positions, image.rows)


def _same(one: np.ndarray[tuple[int, ...], np.dtype[np.float32]], other: object) -> bool:
    return bool(np.array_equal(one, np.asarray(other)))


def _too_many(runner: Runner, image: Patches) -> list[str]:
    """An image of more patches than the model was made for must be refused, and not cut."""
    longer = image.padded(len(image.pixels) + 1)
    try:
        encode(runner, longer)
    except CannotRunError:
        return []
    return [f"{len(longer.pixels)} patches"]
