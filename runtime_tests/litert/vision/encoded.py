"""The image sections, called as the engine calls them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.case import ADAPTER, ENCODER, IMAGE_END, LitertCase
from runtime_tests.litert.vision.budgets import ADAPTS, ENCODES, ENDS
from runtime_tests.readers.litert.tflite import Signature
from runtime_tests.reference.vision.patches import Patches

Floats = NDArray[np.float32]
_NONE = Signature("", 0, {}, {})


@dataclass(frozen=True)
class Encoded:
    """What a file made of an image: features ``[n, D]``, their mask ``[n]``, and the rows of the adapter ``[n, H]``."""

    features: Floats
    mask: NDArray[np.bool_]
    rows: Floats

    def taken(self) -> tuple[Floats, Floats]:
        """As many features and rows as the mask counts, from the front, as the engine takes them."""
        count = int(self.mask.sum())
        return self.features[:count], self.rows[:count]


def encode(case: LitertCase, patches: Patches, budget: int) -> Encoded:
    """Both sections on an image, which is padded to the budget."""
    length = budget * case.tower.sizes.kernel**2
    padded = patches if len(patches.pixels) == length else patches.padded(length)
    given = {"images": padded.pixels[None], "positions_xy": padded.positions[None]}
    made = call(case, ENCODER, f"{ENCODES}{budget}", given, ("features", "mask"))
    features = np.asarray(made["features"], np.float32)
    inputs = [*case.model(ADAPTER).signatures.get(f"{ADAPTS}{budget}", _NONE).inputs] or [""]
    rows = call(case, ADAPTER, f"{ADAPTS}{budget}", {inputs[0]: features}, ("mm_embedding",))["mm_embedding"]
    return Encoded(
        features[0].copy(), np.asarray(made["mask"]).reshape(-1).astype(np.bool_), np.asarray(rows)[0].copy()
    )


def call(
    case: LitertCase, section: str, signature: str, given: dict[str, NDArray[Any]], wanted: tuple[str, ...]
) -> dict[str, NDArray[Any]]:
    """One call of a section.

    Raises:
        CannotRunError: it has no such signature, other names than the engine looks up, or the runtime fails.
    """
    found = case.model(section).signatures.get(signature, _NONE)
    if found.inputs.keys() != given.keys() or not set(wanted) <= found.outputs.keys():
        names = f"{sorted(found.inputs)} to {sorted(found.outputs)}"
        raise CannotRunError(f"{section}, signature {signature}: {names}, expected {sorted(given)} to {sorted(wanted)}")
    return case.interpreter(section).run(signature, given)


def end_row(case: LitertCase) -> Floats:
    """The row that stands behind an image, ``[H]``."""
    found = call(case, IMAGE_END, ENDS, {}, ("eoi_embedding",))["eoi_embedding"]
    return np.asarray(found, np.float32).reshape(-1).copy()
