"""Rung 0, fifth part: the drafter's weights against its checkpoint, and its signature against the decoder's."""

from __future__ import annotations

import numpy as np

from runtime_tests.litert.case import DECODER, DRAFTER, LitertCase
from runtime_tests.litert.compare.constants import Found, constants_of, values_differ
from runtime_tests.litert.compare.layout import Shapes, differences, shapes_of
from runtime_tests.readers.litert.tflite import BITS
from runtime_tests.readers.modules.drafter import CENTROIDS, ORDERING, DrafterFolder
from runtime_tests.results import Check, none, stated
from runtime_tests.weights.recovered import on_lattice

NOT_GIVEN = "not judged: the checkpoint that the drafter was made from was not given with --drafter"


def compare_drafter(case: LitertCase) -> list[Check]:
    """Every tensor of the drafter's checkpoint, bit for bit; and its section's inputs and outputs."""
    if DRAFTER not in case.artifact.models():
        return []
    if case.drafter is None:  # of another maker: kinds.py refuses our own without
        return [stated("drafter's weights", 0, "tensors", NOT_GIVEN)]
    folder, held = case.drafter, list(constants_of(case.model(DRAFTER)))
    wrong: list[str] = []
    for key in folder.floats:
        found = [item for item in held if item.tensor.name == key]
        wrong += [] if found else [f"{key}: not in the artifact"]
        wrong += [line for item in found if (line := values_differ(folder, key, item))]
    wrong += _groups(folder, held)
    exact = {item.tensor.name for item in held if item.tensor.type in BITS}
    named = {item.tensor.name for item in held if item.tensor.name.endswith(".weight")}
    strangers = sorted(named - folder.names.keys())
    wide = [key for key in folder.floats if exact and on_lattice(key) and key not in exact]
    return [
        none("drafter: weights and constants equal", wrong, "tensors", len(folder.floats)),
        none("drafter: no weights of other origin", strangers, "tensors", len(held)),
        none("drafter: linears on 4 bits", [f"{key}: not INT4" for key in wide], "tensors", len(exact) + len(wide)),
        _layout(case, held),
    ]


def _groups(folder: DrafterFolder, held: list[Found]) -> list[str]:
    """Groups of tokens, in an artifact that has them."""
    wrong: list[str] = []
    for item in held:
        name = item.tensor.name
        if name == CENTROIDS and name in folder.names:
            wrong += [line] if (line := values_differ(folder, name, item)) else []
        elif name == ORDERING and name in folder.names:
            stored = folder.stored(name, 0, folder.shape(name)[0])
            same = np.array_equal(np.asarray(item.model.rows(item.tensor)).reshape(-1), stored)
            wrong += [] if same else [f"{name}: other tokens"]
    return wrong


def _layout(case: LitertCase, held: list[Found]) -> Check:
    """One signature, which reads caches of the decoder's in the decoder's shapes."""
    model, dims, wrong = case.model(DRAFTER), case.dims, list[str]()
    if len(model.signatures) != 1:
        return none("drafter: signature", [f"{len(model.signatures)} signatures, expected one"], "differences", 1)
    (name,) = model.signatures
    inputs, outputs = shapes_of(model, name)
    expected: Shapes = {
        "activations": ((1, 1, 2 * dims.hidden), "FLOAT32"),
        "input_pos": ((1,), "INT32"),
        "mask": ((1, 1, 1, case.context), "FLOAT32"),
    }
    caches, _ = shapes_of(case.model(DECODER), "decode")
    last = {dims.kinds[owner.layer]: number for number, owner in enumerate(dims.owners)}
    for number in sorted(last.values()):
        for part in ("k", "v"):
            cache = f"kv_cache_{part}_{number}"
            expected[cache] = caches.get(cache, ((0,), "none"))
    wrong += differences("drafter input", inputs, expected)
    made: Shapes = {
        "logits": ((1, 1, dims.vocab), "FLOAT32"),
        "projected_activations": ((1, 1, dims.hidden), "FLOAT32"),
    }
    wrong += differences("drafter output", outputs, made)
    return none("drafter: signature", wrong, "differences", len(expected) + len(made))
