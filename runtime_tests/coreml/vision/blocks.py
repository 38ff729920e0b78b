"""Rung 2a: given the reference's own inputs, does each layer of the tower give the reference's outputs?

What reads a boundary gets the reference's value, what makes it is compared, as in the decoder. In front of the first
layer stand the patches themselves. Only the image's own patches are compared: what stands in the padding nobody sees.

Static int8 queries, keys and values are given as well. One patch's flipped rounding would reach all others by the
attention, the same way wherever that spreads evenly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.program.matrices import named
from runtime_tests.coreml.vision.package import STEM, budgets, exact, run
from runtime_tests.measures import metrics
from runtime_tests.progress import walk
from runtime_tests.reference.vision.patches import Patches, make, widest
from runtime_tests.reference.vision.pictures import FEW, pictures
from runtime_tests.results import Check, at_least, none
from runtime_tests.rungs.images.layers import MIXED, Codes, Found


def compare_blocks(case: CoremlCase) -> list[Check]:
    """Every function on an image."""
    checks: list[Check] = []
    for budget in [] if case.images is None else budgets(case.images):
        image = make(FEW[0], pictures(widest(budget, case.tower.sizes))[FEW[0]](), budget, case.tower.sizes)
        checks += _judge(case, f"{STEM}{budget}", _climb(case, budget, image))
    return checks


def _climb(case: CoremlCase, budget: int, image: Patches) -> Found:
    assert case.images is not None
    types, found = case.images.functions[f"{STEM}{budget}"].types, Found()
    floats, codes = dict[str, Any](), dict[str, NDArray[np.int8]]()
    insides = case.tower.layers(image)
    for _ in walk("layers of the tower", range(case.tower.config.num_hidden_layers)):
        inside = next(insides)
        floats |= {named(name): value for name, value in inside.boundary.items()}
        codes |= {named(f"{key}/codes"): inside.codes(key).astype(np.int8) for key in inside.scales}
    seen = case.tower.see(image)
    found.absent = [name for name in (*floats, *codes, "features", "rows") if name not in types]
    found.names = len(floats) + len(codes) + 2
    features = np.zeros((budget, seen.features.shape[1]), np.float32)
    features[: image.rows] = seen.features
    given: dict[str, Any] = {**floats, "features": features}
    given |= {name: steps for name, steps in codes.items() if name.endswith(tuple(named(f"{m}/codes") for m in MIXED))}
    given = {name: np.asarray(value).reshape(types[name].shape) for name, value in given.items() if name in types}
    wanted = tuple(name for name in (*floats, *codes, "features", "rows") if name in types)
    made = run(case, budget, image, exact(case), given, wanted)
    for name, expected in {**floats, "features": features, "rows": seen.rows}.items():
        if name in made:
            count = image.rows if name in ("features", "rows") else image.count
            mine = made[name].numpy().reshape(-1, expected.shape[1])
            found.floats[name] = metrics.snr_db(expected[:count], mine[:count])
    _compare(case, found, image, {name: (steps, made[name].numpy()) for name, steps in codes.items() if name in made})
    return found


def _compare(case: CoremlCase, found: Found, image: Patches, pairs: dict[str, tuple[Any, Any]]) -> None:
    """Int8 outputs, those of a layer together: what flips in a linear excuses what it feeds in its layer."""
    layers: dict[str, Codes] = {}
    for name, (steps, mine) in pairs.items():
        expected = steps[: image.count].astype(np.int32)
        some = mine.reshape(-1, steps.shape[1])[: image.count].astype(np.int32)
        layers.setdefault(name.partition("_layers_")[2].partition("_")[0], {})[name] = expected, some
    for codes in layers.values():
        found.add(codes, case.budget.equal_codes)


def _judge(case: CoremlCase, name: str, found: Found) -> list[Check]:
    budget = case.budget
    checks = found.codes(name, budget)
    for kind in ("attention", "output", "features", "rows"):
        some = {key: value for key, value in found.floats.items() if key.rpartition("_")[2] == kind}
        if some:
            worst = min(some, key=some.__getitem__)
            label = f"{name}: {kind}, worst of {len(some)}"
            checks.append(at_least(label, some[worst], budget.block_db, "dB", worst))
    lost = f"{name}: boundaries and int8 outputs that it does not name"
    return [*checks, none(lost, found.absent, "names", found.names)]
