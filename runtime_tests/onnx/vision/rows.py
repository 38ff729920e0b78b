"""Rung 2b, last part: does an image become the rows that transformers' tower makes of the same patches?

Images are of odd shapes and kinds, and reach the last positions of a budget. What stands in the padding, and how long
it is, may not matter. A tower that multiplies a difference in the last bit until its rows are others cannot be judged
by them, and the report says so.
"""

from __future__ import annotations

import numpy as np

from runtime_tests.errors import CannotRunError
from runtime_tests.measures import metrics
from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.images import budget, encode, model
from runtime_tests.onnx.runner import Runner
from runtime_tests.progress import walk
from runtime_tests.reference.vision.patches import Patches, make, widest
from runtime_tests.reference.vision.pictures import pictures
from runtime_tests.results import Check, none, stated
from runtime_tests.rungs.images.rows import Figure, bar, noisy, worst

# A tower without static activations computes in float32: 115 dB were seen of a small one. Sums of 3,072 columns add up
# in another order, and sixteen layers add up to 12 dB more.
FLOAT_DB = 80.0


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
        figures.append(Figure(image.name, quality, bar(case, case.tower, image, quality, FLOAT_DB)))
        others = {"without padding": (image, image.count), "with noise behind it": (noisy(image), None)}
        padding += [f"{image.name} {how}" for how, other in others.items() if not _same(found, encode(runner, *other))]
    checks = [] if not figures else [worst(f"images: rows, worst of {len(figures)}", figures)]
    checks += [
        none("images: another number of rows", wrong, "images", len(images)),
        none("images: padding changes rows", padding, "images", len(images)),
        none("images: one patch too many is read", _too_many(runner, images[0]), "images", 1),
    ]
    if left_out:
        why = f"{left_out[0]}; {len(left_out)} in all"
        checks.append(stated("images with too many patches in a row", len(left_out), "images", why))
    return checks


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
