"""Rung 0: are the integers, scales and constants in the artifact the checkpoint's?

Every tensor, every element, bit for bit. A tensor is found by its name, which is the checkpoint's key.
"""

from __future__ import annotations

import numpy as np

from runtime_tests.litert.case import DECODER, EMBEDDER, PER_LAYER, LitertCase
from runtime_tests.litert.compare.activations import compare_activations
from runtime_tests.litert.compare.changed import compare_matrices, compare_recognized
from runtime_tests.litert.compare.constants import Found, constants_of, values_differ
from runtime_tests.litert.compare.layout import compare_layout
from runtime_tests.litert.compare.packed import packed_differ
from runtime_tests.litert.drafter.weights import compare_drafter
from runtime_tests.litert.vision.told import compare_told
from runtime_tests.litert.vision.weights import compare_vision
from runtime_tests.progress import walk
from runtime_tests.readers.litert.tflite import BITS
from runtime_tests.results import Check, none
from runtime_tests.rungs.feeding import compare_tokens


def climb(case: LitertCase) -> list[Check]:
    """Compares weights, float constants, activation scales and the layout of signatures and caches."""
    constants = {name: list(constants_of(case.model(name))) for name in _sections(case)}
    suspects: set[str] = set()
    checks = (_integers if case.folder.storage == "integers" else _lattice)(case, constants, suspects)
    return [
        *checks,
        *compare_recognized(case),
        *compare_matrices(case, suspects),
        *compare_activations(case),
        *compare_layout(case),
        *compare_drafter(case),
        *compare_vision(case),
        *compare_tokens(case),
        *compare_told(case),
    ]


def _sections(case: LitertCase) -> list[str]:
    per_layer = [PER_LAYER] if case.dims.per_layer_width else []
    wanted = [DECODER, EMBEDDER, *per_layer]
    return [name for name in wanted if name in case.artifact.models()] if case.foreign else wanted


def _named(constants: dict[str, list[Found]], key: str, section: str) -> list[Found]:
    return [found for found in constants[section] if found.tensor.name == key]


def _integers(case: LitertCase, constants: dict[str, list[Found]], suspects: set[str]) -> list[Check]:
    codes: list[str] = []
    scales: list[str] = []
    elements = 0
    for packed in walk("tensors", case.folder.packed.values()):
        found = _named(constants, f"{packed.key}.weight", case.home(packed.key))
        if not found and _unused(case, packed.key):
            continue
        if not found:
            codes.append(f"{packed.key}: not in the artifact")
        for item in found:
            wrong_codes, wrong_scales = packed_differ(case.folder, packed, item)
            codes += wrong_codes
            scales += wrong_scales
            suspects |= {f"{packed.key}.weight"} if wrong_codes or wrong_scales else set()
            elements += int(np.prod(item.tensor.shape))
    total = len(case.folder.packed)
    strangers = [
        item.tensor.name
        for items in constants.values()
        for item in items
        if item.tensor.type in BITS and item.tensor.name.removesuffix(".weight") not in case.folder.packed
        if item.tensor.quantization is not None and item.tensor.name.endswith(".weight")
    ]
    return [
        none("integers equal", codes, "tensors", total),
        none("weight scales equal", scales, "tensors", total),
        none("no weights of other origin", strangers, "tensors", total),
        none("float constants equal", _floats(case, constants, suspects), "tensors", len(case.folder.floats)),
    ]


def _unused(case: LitertCase, key: str) -> bool:
    """Keys and values of layers that read another layer's: stored by some checkpoints, used by none."""
    first = case.dims.first_shared
    parts = key.split(".")
    return first > 0 and parts[0] == "layers" and int(parts[1]) >= first and parts[-1] in ("k_proj", "v_proj")


def _floats(case: LitertCase, constants: dict[str, list[Found]], suspects: set[str]) -> list[str]:
    """Float tensors of the checkpoint that the artifact lacks or changed.

    In a file with names of its own only matrices are recognized; of the vectors see ``compare_recognized``.
    """
    wrong = []
    for key in walk("tensors", case.folder.floats):
        if case.foreign and len(case.folder.shape(key)) != 2:
            continue
        found = [item for items in constants.values() for item in items if item.tensor.name == key]
        if key == "lm_head.weight" and not found:
            found = _named(constants, "embed_tokens.weight", DECODER)
        if not found:
            wrong.append(f"{key}: not in the artifact")
        lines = [line for item in found if (line := values_differ(case.folder, key, item))]
        suspects |= {key} if lines else set()
        wrong += lines
    return wrong


def _lattice(case: LitertCase, constants: dict[str, list[Found]], suspects: set[str]) -> list[Check]:
    names = {item.tensor.name for item in constants[DECODER] if item.tensor.type == "INT4"}
    wide = sorted(key for key in case.folder.floats if _linear(key) and key not in names)
    return [
        none("weights and constants equal", _floats(case, constants, suspects), "tensors", len(case.folder.floats)),
        none("linears on 4 bits", [f"{key}: not INT4" for key in wide], "tensors", len(names) + len(wide)),
    ]


def _linear(key: str) -> bool:
    """Linears of the layers; the embeddings, norms and the model projection are not on the lattice."""
    return key.startswith("layers.") and key.endswith(("_proj.weight", "_gate.weight", "per_layer_projection.weight"))
