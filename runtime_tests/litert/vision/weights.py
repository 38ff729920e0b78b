"""Rung 0, sixth part: the tower and its projection, bit for bit, in every signature that computes with them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from runtime_tests.litert.case import ADAPTER, ENCODER, IMAGE_END, LitertCase
from runtime_tests.litert.compare.activations import scale_differs
from runtime_tests.litert.compare.constants import Found, constants_of, values_differ, words
from runtime_tests.litert.compare.layout import Shapes, differences, shapes_of
from runtime_tests.litert.compare.packed import packed_differ
from runtime_tests.litert.cuts.forced import linears
from runtime_tests.litert.vision.budgets import ADAPTS, ENCODES, ENDS, FOREIGN, budgets, lengths
from runtime_tests.litert.vision.clips import BOUNDS, compare_clips
from runtime_tests.litert.vision.settings import compare_settings
from runtime_tests.readers.checkpoint import Folder
from runtime_tests.results import Check, none, stated

TABLE = "vision_tower.patch_embedder.position_embedding_table"
PROJECTION = "embed_vision."
_PIXEL = 3  # colours


def compare_vision(case: LitertCase) -> list[Check]:
    """Every tensor of the tower's checkpoint, its scales and bounds, and what the engine is told of it."""
    if not case.holds_images:
        return []
    if case.foreign:
        return [stated("images: weights", 0, "tensors", FOREIGN)]
    absent = [name for name in (ADAPTER, IMAGE_END) if name not in case.artifact.models()]
    if absent:
        return [none("images: sections", [f"no section {name}" for name in absent], "sections", 3)]
    folder = case.vision
    held = {name: list(constants_of(case.model(name))) for name in (ENCODER, ADAPTER)}
    wrong, scales = _weights(case, held)
    known = {f"{key}.weight" for key in folder.packed} | set(folder.floats)
    named = {item.tensor.name for items in held.values() for item in items if item.tensor.name.endswith(".weight")}
    used, activations, total = _used(case)
    elements = len(folder.packed) + len(folder.floats)
    return [
        none("images: integers and constants equal", wrong, "tensors", elements),
        none("images: weight scales equal", scales, "tensors", len(folder.packed)),
        none("images: no weights of other origin", sorted(named - known), "tensors", len(named)),
        none("images: a signature computes without a tensor", used, "tensors", elements * len(budgets(case))),
        none("images: activation scales equal", activations, "tensors", total),
        *compare_clips(case),
        _layout(case),
        *compare_settings(case),
    ]


def home(key: str) -> str:
    """The section that holds a tensor."""
    return ADAPTER if key.startswith(PROJECTION) else ENCODER


def _weights(case: LitertCase, held: dict[str, list[Found]]) -> tuple[list[str], list[str]]:
    folder, wrong, scales = case.vision, list[str](), list[str]()
    for packed in folder.packed.values():
        found = _named(held, f"{packed.key}.weight")
        wrong += _once(packed.key, found)
        for item in found:
            codes, steps = packed_differ(folder, packed, item)
            wrong += codes
            scales += steps
    for key in folder.floats:
        if key == TABLE:
            wrong += _tables(case, held[ENCODER])
        elif not key.endswith(BOUNDS):  # which are compared where they clip
            found = _named(held, key)
            wrong += [*_once(key, found), *(line for item in found if (line := values_differ(folder, key, item)))]
    return wrong, scales


def _named(held: dict[str, list[Found]], name: str) -> list[Found]:
    return [item for item in held[home(name)] if item.tensor.name == name]


def _once(key: str, found: list[Found]) -> list[str]:
    return [] if len(found) == 1 else [f"{key}: {'not in the artifact' if not found else f'{len(found)} times'}"]


def _tables(case: LitertCase, held: list[Found]) -> list[str]:
    """Both tables of positions, of which a file needs the first rows: as many as an image may have patches in a row."""
    folder, wrong = case.vision, list[str]()
    _, rows, width = folder.shape(TABLE)
    needed = min(rows, budgets(case)[-1] * case.tower.sizes.kernel)
    stored = folder.values(TABLE).reshape(2, rows, width)
    for axis, name in enumerate((f"{TABLE}.x", f"{TABLE}.y")):
        found = [item for item in held if item.tensor.name == name]
        wrong += _once(name, found)
        for item in found:
            mine = _floats(item).reshape(-1, width)
            if not needed <= len(mine) <= rows:
                wrong.append(f"{name}: {len(mine)} rows, {needed} of {rows} can be needed")
            elif different := int(np.count_nonzero(words(mine) != words(stored[axis, : len(mine)]))):
                wrong.append(f"{name}: {different} values differ")
    return wrong


def _floats(item: Found) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    values = np.asarray(item.model.rows(item.tensor))
    if item.tensor.type == "INT16":  # bfloat16 bit patterns
        return (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)


def _used(case: LitertCase) -> tuple[list[str], list[str], int]:
    """Tensors that no operator of a signature reads, and activation scales that are not the checkpoint's."""
    folder, absent, wrong, total = case.vision, list[str](), list[str](), 0
    for section, stem in ((ENCODER, ENCODES), (ADAPTER, ADAPTS)):
        model = case.model(section)
        for budget in lengths(model, stem):
            name = f"{stem}{budget}"
            graph = model.subgraph(name)
            read = {graph.tensors[index].name for op in graph.operators for index in op.inputs if index >= 0}
            found = linears(graph)
            for key in (*(f"{each}.weight" for each in folder.packed), *folder.floats):
                wanted = (f"{TABLE}.x", f"{TABLE}.y") if key == TABLE else (key,)
                if home(key) == section and not key.endswith(BOUNDS):
                    absent += [f"{name}: {each}" for each in wanted if each not in read]
            for key, pairs in found.items():
                total += 2 * len(pairs)
                for given, made in pairs:
                    for side, index in (("input", given), ("output", made)):
                        if line := scale_differs(folder, key, side, graph, graph.tensors[index]):
                            wrong.append(f"{name} {key}: {line}")
            lost = [key for key in _linears(folder, section) if key not in found]
            absent += [f"{name}: {key} is no linear" for key in lost]
    return absent, wrong, total


def _linears(folder: Folder, section: str) -> Iterator[str]:
    """Module paths of everything that multiplies with a matrix."""
    for key in (*(f"{each}.weight" for each in folder.packed), *folder.floats):
        if home(key) == section and key.endswith((".linear.weight", "_proj.weight", "_projection.weight")):
            yield key.removesuffix(".weight")


def _layout(case: LitertCase) -> Check:
    """Inputs and outputs of every signature; a budget has one in both sections."""
    sizes, config, wrong = case.tower.sizes, case.tower.config, list[str]()
    encoder, adapter, end = case.model(ENCODER), case.model(ADAPTER), case.model(IMAGE_END)
    found = budgets(case)
    if not found:
        wrong.append(f"no signature {ENCODES}<n>")
    if lengths(adapter, ADAPTS) != found:
        wrong.append(f"budgets {lengths(adapter, ADAPTS)} of the adapter, {found} of the encoder")
    for model, names in (
        (encoder, {f"{ENCODES}{n}" for n in found}),
        (adapter, {f"{ADAPTS}{n}" for n in found}),
        (end, {ENDS}),
    ):
        if model.signatures.keys() != names:
            wrong.append(f"{model.where}: signatures {sorted(model.signatures)}, expected {sorted(names)}")
    if wrong:
        return none("images: signatures", wrong, "differences", 2 * len(found) + 1)
    hidden, width = config.hidden_size, case.dims.hidden
    for n in found:
        count = n * sizes.kernel**2
        given, made = shapes_of(encoder, f"{ENCODES}{n}")
        pixels = _PIXEL * sizes.patch**2
        wanted: Shapes = {"images": ((1, count, pixels), "FLOAT32"), "positions_xy": ((1, count, 2), "INT32")}
        outputs: Shapes = {"features": ((1, n, hidden), "FLOAT32"), "mask": ((1, n), "BOOL")}
        wrong += differences(f"{ENCODES}{n} input", given, wanted)
        wrong += differences(f"{ENCODES}{n} output", made, outputs)
        given, made = shapes_of(adapter, f"{ADAPTS}{n}")
        if list(given.values()) != [((1, n, hidden), "FLOAT32")]:
            wrong.append(f"{ADAPTS}{n} input: {given}, expected one FLOAT32[1, {n}, {hidden}]")
        wrong += differences(f"{ADAPTS}{n} output", made, {"mm_embedding": ((1, n, width), "FLOAT32")})
    given, made = shapes_of(end, ENDS)
    wrong += differences(f"{ENDS} input", given, {})
    wrong += differences(f"{ENDS} output", made, {"eoi_embedding": ((1, 1, width), "FLOAT32")})
    return none("images: signatures", wrong, "differences", 2 * len(found) + 1)
