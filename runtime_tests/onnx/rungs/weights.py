"""Rung 0 for ONNX: integers, scales and floats read back from the models' external data, bit for bit."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from runtime_tests.memory.pages import release
from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.compare.activations import compare_activations
from runtime_tests.onnx.compare.genai import compare_genai
from runtime_tests.onnx.compare.layout import compare_layout
from runtime_tests.onnx.compare.whole import compare_whole
from runtime_tests.onnx.vision.told import compare_told
from runtime_tests.onnx.vision.weights import compare_vision
from runtime_tests.onnx.weights import Matrix, matrix
from runtime_tests.questions.beside import compare_companions, compare_copies
from runtime_tests.readers.bits import offset_binary, to_bfloat16
from runtime_tests.readers.format import Packed
from runtime_tests.readers.onnx.model import OnnxModel
from runtime_tests.results import Check, none, stated
from runtime_tests.weights.lattice import no_bfloat16, same_rounding

TABLES = ("embed_tokens", "embed_tokens_per_layer")
LINEAR = re.compile(r"layers\..*(_proj|_gate|per_layer_projection)\.weight$")
RELEASED = 32  # ranges of rows


def climb(case: OnnxCase) -> list[Check]:
    """Compares weights, tables, float constants, activation scales, the graph's layout, and what lies beside it."""
    weights = _integers(case) if case.folder.storage == "integers" else _lattice(case)
    beside = case.decoder.path.parent
    told = [
        *compare_companions(case, beside),
        *compare_copies(case, beside),
        *compare_genai(case),
        *compare_whole(case),
        *compare_vision(case),
        *compare_told(case),
    ]
    return [*weights, *_tables(case), *_floats(case), *compare_activations(case), *compare_layout(case), *told]


def _integers(case: OnnxCase) -> list[Check]:
    codes: list[str] = []
    scales: list[str] = []
    wanted = [packed for key, packed in case.folder.packed.items() if key not in TABLES and not _unused(case, key)]
    for packed in wanted:
        found = matrix(case.decoder, packed.key)
        if isinstance(found, str):
            codes.append(f"{packed.key}: {found}")
            continue
        wrong = _compare(case, packed, found)
        codes += [f"{packed.key}: {line}" for line in wrong[0]]
        scales += [f"{packed.key}: {line}" for line in wrong[1]]
    return [
        none("integers equal", codes, "tensors", len(wanted)),
        none("weight scales equal", scales, "tensors", len(wanted)),
        stated("matrices whose codes lie in more bits than the checkpoint's", _wider(case, wanted), "tensors"),
        none("no weights of other origin", _strangers(case, {p.key for p in wanted}), "tensors", len(wanted)),
    ]


def _compare(case: OnnxCase, packed: Packed, found: Matrix) -> tuple[list[str], list[str]]:
    """What differs between a checkpoint's matrix and the graph's: codes, which may lie in more bits, and scales."""
    if found.bits < packed.bits:
        return [f"{found.bits} bits, the checkpoint has {packed.bits}"], []
    if found.shape[0] != packed.rows or packed.groups != 1 or found.gain is None:
        return [f"shape {list(found.shape)}, gain {found.gain}"], []
    codes = scales = 0
    for start, stop in _released(case, found, packed.names[0]):
        stored = case.folder.stored(packed.names[0], start, stop).view(np.uint8).reshape(stop - start, -1)
        mine = found.bytes(start, stop)
        same = found.bits == packed.bits and np.array_equal(mine, _counted(stored, packed.bits))
        if not same:
            expected = case.folder.codes(packed, start, stop, found.shape[1])
            codes += int(np.count_nonzero(found.codes(start, stop) != expected))
        gains, expected_scales = found.gains(start, stop), case.folder.scales(packed, start, stop)[:, 0]
        assert gains is not None
        scales += int(np.count_nonzero(_words(gains) != _words(expected_scales)))
        scales += int(np.count_nonzero(found.blocks(start, stop) != 1))
    return [f"{codes} codes differ"] if codes else [], [f"{scales} scales differ"] if scales else []


def _wider(case: OnnxCase, wanted: list[Packed]) -> int:
    found = [(packed, matrix(case.decoder, packed.key)) for packed in wanted]
    return sum(not isinstance(one, str) and one.bits > packed.bits for packed, one in found)


def _counted(stored: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Stored codes counted from the lowest: bytes of eight bits are stored plainly."""
    return stored ^ np.uint8(0x80) if bits == 8 else stored


def _lattice(case: OnnxCase) -> list[Check]:
    """q4_0: ``bfloat16(code * scale)`` is the stored weight, and every linear of the layers is on four bits."""
    wrong: list[str] = []
    names = [name for name in case.folder.floats if LINEAR.match(name)]
    for name in names:
        found = matrix(case.decoder, name.removesuffix(".weight"))
        if isinstance(found, str):
            wrong.append(f"{name}: {found}")
        elif not _on_lattice(found) or found.shape != case.folder.shape(name):
            wrong.append(f"{name}: {found.bits} bits, {list(found.shape)} in blocks of {found.block}")
        else:
            different = _rounded(case, name, found)
            wrong += [f"{name}: {different} weights differ"] if different else []
            gains = found.gains(0, found.shape[0])
            odd = int(np.count_nonzero(no_bfloat16(found.blocks(0, found.shape[0]) if gains is None else gains)))
            wrong += [f"{name}: {odd} block scales are not on the lattice of bfloat16 numbers"] if odd else []
    keys = {name.removesuffix(".weight") for name in names}
    return [
        none("weights equal", wrong, "tensors", len(names)),
        none("no weights of other origin", _strangers(case, keys), "tensors", len(names)),
    ]


def _on_lattice(found: Matrix) -> bool:
    """Four bits and a scale for 32 columns; where a row has no more, the scale may stand behind the product."""
    return (found.bits, found.block) == (4, 32) and (found.gain is None or found.shape[1] == found.block)


def _rounded(case: OnnxCase, name: str, found: Matrix) -> int:
    """How many weights do not round to the stored ones."""
    different = 0
    for start, stop in _released(case, found, name):
        stored, mine = case.folder.stored(name, start, stop), found.values(start, stop)
        if stored.dtype != np.uint16 or not np.array_equal(to_bfloat16(mine), stored):
            different += int(np.count_nonzero(~same_rounding(mine, case.folder.values(name, start, stop))))
    return different


def _released(case: OnnxCase, found: Matrix, name: str) -> Iterator[tuple[int, int]]:
    """Row ranges; the pages of what they are read from are given back some dozens of megabytes at a time."""
    first, rows = 0, found.shape[0]
    for number, (start, stop) in enumerate(case.folder.blocks(*found.shape)):
        yield start, stop
        if number % RELEASED == RELEASED - 1 or stop == rows:
            release(found.bytes(first, stop), case.folder.stored(name, first, stop))
            first = stop


def _strangers(case: OnnxCase, known: set[str]) -> list[str]:
    """Products with other weights than those that were compared, and weights that stand in the file unused."""
    names = {f"{key}.codes" for key in known}
    every = [node for node in case.decoder.nodes if node.type in ("MatMulNBits", "MatMul", "Gemm", "FusedMatMul")]
    constant = {*case.decoder.constants}
    return [
        f"{node.name} of {one}"
        for node in every
        for one in node.inputs[1:2]
        if one not in names and (node.type == "MatMulNBits" or (one in constant and not one.endswith(".weight")))
    ]


def _tables(case: OnnxCase) -> list[Check]:
    wrong, keys = [], [TABLES[0], *([TABLES[1]] if case.dims.per_layer_width else [])]
    for key in keys:
        packed = case.folder.packed.get(key)
        line = _packed_table(case, key, packed) if packed else _float_table(case, f"{key}.weight")
        wrong += [f"{key}: {line}"] if line else []
    return [none("tables equal", wrong, "tables", len(keys))]


def _float_table(case: OnnxCase, name: str) -> str:
    """A table of bfloat16 as it is stored, or of any floats as float32."""
    model = case.embedding
    if name not in model.constants or model.dtype(name) != "bfloat16":
        return _float(case, model, name)
    shape = case.folder.shape(name)
    if model.shape(name) != shape:
        return f"shape {list(model.shape(name))}, the checkpoint has {list(shape)}"
    different = 0
    for start, stop in case.folder.blocks(*shape):
        mine, stored = model.array(name)[start:stop].view(np.uint16), case.folder.stored(name, start, stop)
        if stored.dtype != np.uint16:
            return "bfloat16, the checkpoint has another type"
        different += int(np.count_nonzero(mine != stored))
    return f"{different} values differ" if different else ""


def _packed_table(case: OnnxCase, key: str, packed: Packed) -> str:
    model, codes, scales = case.embedding, f"{key}.codes", f"{key}.scales"
    if codes not in model.constants or scales not in model.constants:
        return "not in the model"
    if model.shape(scales) != (packed.rows, packed.groups) or model.shape(codes)[0] != packed.rows:
        return f"{list(model.shape(codes))} with scales {list(model.shape(scales))}"
    width, different, odd = model.shape(codes)[1], 0, 0
    for start, stop in case.folder.blocks(packed.rows, width * 8 // packed.bits):
        mine, stored = model.array(codes)[start:stop], case.folder.stored(packed.names[0], start, stop).view(np.uint8)
        stored = stored.reshape(stop - start, -1)
        if mine.shape != stored.shape:
            return f"rows of {mine.shape[1]} bytes, the checkpoint has {stored.shape[1]}"
        if not np.array_equal(mine, _counted(stored, packed.bits)):
            columns = width * 8 // packed.bits
            counted = _counted(mine, packed.bits)
            found, expected = (offset_binary(one, packed.bits, columns) for one in (counted, stored))
            different += int(np.count_nonzero(found != expected))
        odd += int(
            np.count_nonzero(_words(model.array(scales)[start:stop]) != _words(case.folder.scales(packed, start, stop)))
        )
    return f"{different} codes, {odd} scales differ" if different or odd else ""


def _floats(case: OnnxCase) -> list[Check]:
    """Float constants, as the checkpoint's numbers widened to float32."""
    wrong, total = [], 0
    tables = {f"{key}.weight" for key in TABLES}
    quantized = {name.removesuffix(".codes") for name in case.decoder.constants if name.endswith(".codes")}
    for name in case.folder.floats:
        if name in tables or name.removesuffix(".weight") in quantized:
            continue
        total += 1
        line = _float(case, case.decoder, name)
        wrong += [f"{name}: {line}"] if line else []
    if "lm_head.weight" not in case.folder.floats and "lm_head" not in case.folder.packed:
        total += 1
        line = _float(case, case.decoder, "lm_head.weight", f"{TABLES[0]}.weight")
        wrong += [f"lm_head: {line}"] if line else []
    return [none("float constants equal", wrong, "tensors", total)]


def _float(case: OnnxCase, model: OnnxModel, name: str, key: str = "") -> str:
    """How a constant differs from the checkpoint's tensor."""
    key = key or name
    if name not in model.constants or model.dtype(name) != "float32":
        return "not in the model as float32"
    shape = case.folder.shape(key)
    if model.shape(name) != shape:
        return f"shape {list(model.shape(name))}, the checkpoint has {list(shape)}"
    different = 0
    for start, stop in case.folder.blocks(*shape) if len(shape) == 2 else [(0, None)]:
        mine, stored = model.array(name), case.folder.values(key, start, stop)
        mine = mine[start:stop] if len(shape) else mine
        different += int(np.count_nonzero(_words(mine.reshape(-1)) != _words(stored.reshape(-1))))
    return f"{different} values differ" if different else ""


def _unused(case: OnnxCase, key: str) -> bool:
    """Keys and values of layers that read another layer's: stored by some checkpoints, used by none."""
    first, parts = case.dims.first_shared, key.split(".")
    return first > 0 and parts[0] == "layers" and int(parts[1]) >= first and parts[-1] in ("k_proj", "v_proj")


def _words(values: NDArray[np.floating]) -> NDArray[np.uint32]:
    """Bit patterns, so that equal means equal."""
    return np.ascontiguousarray(values, np.float32).view(np.uint32)
