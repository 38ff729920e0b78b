"""Rung 0 for toys: codes, scales, floats and activation scales are the checkpoint's."""

from __future__ import annotations

import numpy as np

from runtime_tests.results import Check, none
from runtime_tests.toy.case import ToyCase


def climb(case: ToyCase) -> list[Check]:
    """Compares them all."""
    toy, folder = case.artifact, case.folder
    codes, scales, floats, activations = list[str](), list[str](), list[str](), list[str]()
    for key, packed in folder.packed.items():
        if key not in toy.tensors:
            codes.append(f"{key}: missing")
            continue
        rows, columns = toy.tensors[key]["shape"]
        if not np.array_equal(toy.codes(key), folder.codes(packed, 0, packed.rows, columns)):
            codes.append(key)
        if not np.array_equal(toy.scales(key), folder.scales(packed, 0, rows)):
            scales.append(key)
        for side, found in zip(("input", "output"), toy.activations.get(key, (0, 0)), strict=True):
            expected = folder.scalar(f"{key}.{side}_activation_scale")
            if np.float32(found) != (expected or np.float32(0)):
                activations.append(f"{key}: {side}")
    for name in folder.floats:
        if not np.array_equal(toy.floats(name), folder.values(name)):
            floats.append(name)
    return [
        none("integers equal", codes, "tensors", len(folder.packed)),
        none("weight scales equal", scales, "tensors", len(folder.packed)),
        none("floats equal", floats, "tensors", len(folder.floats)),
        none("activation scales equal", activations, "scales", 2 * len(folder.packed)),
    ]
