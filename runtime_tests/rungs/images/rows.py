"""Rows of images against the reference's: how good is good enough, and what stands behind an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtime_tests.case import Case
from runtime_tests.reference.floor import DRAWS
from runtime_tests.reference.vision.patches import Patches
from runtime_tests.reference.vision.tower import Tower
from runtime_tests.results import Check, at_least, stated

LEAST_DB = 6.0  # below that a bar would let other rows pass as well: so nervous can a tower with static activations be


@dataclass(frozen=True)
class Figure:
    """How near an artifact came to the reference with one image, and the bar for it; dB."""

    image: str
    quality: float
    bar: float


def below(factor: float) -> float:
    """How far below the tower's own floor a bar lies, dB, where an error may be so many times as large."""
    return 20.0 * float(np.log10(factor))


def bar(case: Case, tower: Tower, image: Patches, quality: float, floats: float) -> float:
    """What is good enough in any case, or the tower's own floor where that is lower; dB.

    The floor takes several passes; nobody asks for it of an image that comes as near as is enough.

    Args:
        quality: what was found.
        floats: what is enough of a tower without static activations.
    """
    enough = case.budget.lowering_db if case.folder.static_activations else floats
    if quality >= enough:
        return enough
    _, floor = tower.floor_db(image, case.draws(DRAWS))
    return min(enough, floor - below(case.budget.floor_factor))


def worst(name: str, figures: list[Figure]) -> Check:
    """The figure that is nearest to its bar; only stated where the tower itself has no rows to hold them to."""
    least = min(figures, key=lambda item: (item.quality - item.bar, item.image))
    nervous = [item for item in figures if item.bar < LEAST_DB]
    if nervous:
        why = f"not judged: {nervous[0].image}, disturbed in the last bits, gives rows of its own below {LEAST_DB:g} dB"
        return stated(name, least.quality, "dB", f"{why}; each layer by itself is judged by rung 2a")
    return at_least(name, least.quality, least.bar, "dB", least.image)


def noisy(image: Patches) -> Patches:
    """The same image with other pixels behind it."""
    pixels = image.pixels.copy()
    pixels[image.count :] = np.random.default_rng(5).random(pixels[image.count :].shape, np.float32)
    return Patches(f"{image.name}, noise behind it", pixels, image.positions, image.rows)
