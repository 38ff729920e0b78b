"""Rung 0, last part: the tower and its projection, bit for bit, and where the scales and bounds of its linears work."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.compare.activations import ROUND, factor_differs, output_differs, scale_differs, scales_differ
from runtime_tests.onnx.images import PIXELS, POSITIONS, ROWS, budget, model
from runtime_tests.onnx.vision.clips import BOUNDS, compare_clips
from runtime_tests.onnx.weights import Matrix, matrix
from runtime_tests.readers.bits import to_bfloat16
from runtime_tests.readers.checkpoint import Folder
from runtime_tests.readers.format import Packed
from runtime_tests.readers.onnx.model import Node, OnnxModel
from runtime_tests.results import Check, none
from runtime_tests.weights.lattice import no_bfloat16

TABLE = "vision_tower.patch_embedder.position_embedding_table"
WHOLE = "MatMulInteger"
_COLOURS = 3
_MIDDLE = np.uint8(128)  # code 0, counted from the lowest
_LINEARS = (".linear.weight", "_proj.weight", "_projection.weight")
_OPERATORS = (
    "Add Cast Concat ConstantOfShape Cos DequantizeLinear Div Equal Gather Gelu Less MatMul MatMulInteger MatMulNBits "
    "Max Min Mul QuantizeLinear Reciprocal ReduceMax ReduceMean ReduceSum Reshape Shape Sin Slice Softmax Sqrt Sub "
    "Transpose"
)
KNOWN = frozenset(_OPERATORS.split())


def compare_vision(case: OnnxCase) -> list[Check]:
    """Every tensor of the tower's checkpoint, its scales and bounds; nothing of a model without images."""
    if case.artifact.images is None:
        return []
    graph, folder, codes, scales, activations = model(case), case.vision, list[str](), list[str](), list[str]()
    for packed in folder.packed.values():
        wrong = _matrix(graph, folder, packed)
        codes, scales, activations = codes + wrong[0], scales + wrong[1], activations + wrong[2]
    for key in folder.floats:
        if key == TABLE:
            codes += _tables(case)
        elif not key.endswith(BOUNDS):  # which are compared where they clip
            codes += [f"{key}: {line}" for line in _floats(graph, folder, key)]
    total = len(folder.packed) + len(folder.floats)
    known = {f"{key}{end}" for key in folder.packed for end in (".codes", ".scales")}
    known |= {f"{key.removesuffix('.weight')}{end}" for key in folder.floats for end in (".codes", ".scales")}
    known |= {*folder.floats, *_table_names()}
    strange = [name for name in graph.constants if name not in known and not name.startswith(("const_", "ones_"))]
    unread = [name for name in graph.constants if not graph.consumers.get(name)]
    odd = [f"{node.name} is a {node.domain}.{node.type}" for node in graph.nodes if node.type not in KNOWN]
    return [
        none("images: integers and constants equal", codes, "tensors", total),
        none("images: weight scales equal", scales, "tensors", len(folder.packed)),
        none("images: activation scales equal", activations, "sides", 2 * len(folder.packed)),
        none("images: no weights of other origin, and none unread", [*strange, *unread], "tensors", total),
        none("images: operators that a tower has no use for", odd, "nodes", len(graph.nodes)),
        *compare_clips(case),
        _outside(case),
    ]


def _matrix(graph: OnnxModel, folder: Folder, packed: Packed) -> tuple[list[str], list[str], list[str]]:
    """What is wrong with a matrix's codes, with its scales, and with the scales of the activations around it."""
    key, name = packed.key, f"{packed.key}.codes"
    users = graph.consumers.get(name, [])
    if len(users) != 1 or users[0].type != WHOLE:
        found = matrix(graph, key)
        if isinstance(found, str):
            return [f"{key}: {found}"], [], []
        return *_in_floats(folder, packed, found), scales_differ(graph, folder, found, key)
    codes, mine = folder.codes(packed, 0, packed.rows, graph.shape(name)[0]), graph.array(name)
    if mine.dtype != np.uint8 or mine.shape != codes.T.shape:
        return [f"{key}: {list(mine.shape)} of {mine.dtype}"], [], []
    different = int(np.count_nonzero(mine.astype(np.int16) - 128 != codes.T))
    gained = _gained(graph, users[0], key)
    wrong = [f"{key}: {different} codes differ"] if different else []
    wrong += [f"{key}: {line}" for line in _middles(graph, users[0], name)]
    if gained is None:
        return wrong, [f"{key}: the product is not multiplied by its scales"], []
    odd = _different(graph.array(f"{key}.scales"), folder.scales(packed, 0, packed.rows)[:, 0])
    scales = [f"{key}: {odd} scales differ"] if odd else []
    return wrong, scales, [f"{key}: {line}" for line in _activations(graph, folder, key, users[0], gained)]


def _in_floats(folder: Folder, packed: Packed, found: Matrix) -> tuple[list[str], list[str]]:
    """The same of a matrix that is multiplied in floats: its codes may lie in more bits."""
    if found.bits < packed.bits or found.shape[0] != packed.rows or packed.groups != 1 or found.gain is None:
        return [f"{packed.key}: {found.bits} bits, {list(found.shape)}, gain {found.gain}"], []
    rows = packed.rows
    codes = int(np.count_nonzero(found.codes(0, rows) != folder.codes(packed, 0, rows, found.shape[1])))
    gains = found.gains(0, rows)
    assert gains is not None
    scales = _different(gains, folder.scales(packed, 0, rows)[:, 0]) + int(np.count_nonzero(found.blocks(0, rows) != 1))
    return (
        [f"{packed.key}: {codes} codes differ"] if codes else [],
        [f"{packed.key}: {scales} scales differ"] if scales else [],
    )


def _middles(graph: OnnxModel, node: Node, name: str) -> list[str]:
    """What is wrong with the zero points of a product in whole numbers."""
    wrong = [] if node.inputs[1:2] == (name,) and len(node.inputs) == 4 else [f"inputs {', '.join(node.inputs)}"]
    for one in node.inputs[2:]:
        value = graph.array(one) if one in graph.constants else np.zeros(0)
        if value.dtype != np.uint8 or value.shape != () or value != _MIDDLE:
            wrong.append(f"zero point {value.tolist()} as {value.dtype}")
    return wrong


def _gained(graph: OnnxModel, product: Node, key: str) -> Node | None:
    """What multiplies a product in whole numbers, once it is a float, by the scales of its rows."""
    readers = graph.consumers.get(product.outputs[0], [])
    behind = graph.consumers.get(readers[0].outputs[0], []) if len(readers) == 1 and readers[0].type == "Cast" else []
    right = len(behind) == 1 and behind[0].type == "Mul" and f"{key}.scales" in behind[0].inputs
    return behind[0] if right else None


def _activations(graph: OnnxModel, folder: Folder, key: str, product: Node, gained: Node) -> list[str]:
    stored, first = folder.scalar(f"{key}.input_activation_scale"), graph.producer.get(product.inputs[0])
    if stored is None or stored == 0 or first is None or first.type != ROUND:
        return [f"input is multiplied in whole numbers, the checkpoint has the scale {stored}"]
    lines = scale_differs(graph, first, stored, _MIDDLE), factor_differs(graph, gained, stored)
    after = output_differs(graph, folder, graph.producer[next(n for n in gained.inputs if n in graph.producer)], key)
    return [*(f"input {line}" for line in lines if line), *([f"output {after}"] if after else [])]


def _floats(graph: OnnxModel, folder: Folder, key: str) -> list[str]:
    """A tensor of floats: as float32, or on the lattice that it was rounded from."""
    shape = folder.shape(key)
    if key in graph.constants:
        mine = graph.array(key)
        if mine.dtype != np.float32 or mine.shape != shape:
            return [f"{list(mine.shape)} of {mine.dtype}, the checkpoint has {list(shape)}"]
        different = _different(mine, folder.values(key).reshape(shape))
        return [f"{different} values differ"] if different else []
    found = matrix(graph, key.removesuffix(".weight")) if key.endswith(_LINEARS) else "not in the model"
    if isinstance(found, str):
        return [found]
    if (found.bits, found.block, found.shape) != (4, 32, shape):
        return [f"{found.bits} bits, {list(found.shape)} in blocks of {found.block}"]
    different = int(np.count_nonzero(to_bfloat16(found.values(0, shape[0])) != folder.stored(key, 0, shape[0])))
    gains = found.gains(0, shape[0])
    odd = int(np.count_nonzero(no_bfloat16(found.blocks(0, shape[0]) if gains is None else gains)))
    return [f"{different} weights and {odd} scales of blocks differ"] if different or odd else []


def _table_names() -> tuple[str, str]:
    return f"{TABLE}.x", f"{TABLE}.y"


def _tables(case: OnnxCase) -> list[str]:
    """Both tables of positions, of which a model needs the first rows: as many as there may be patches in a row."""
    graph, folder, wrong = model(case), case.vision, list[str]()
    _, rows, width = folder.shape(TABLE)
    needed = min(rows, budget(case) * case.tower.sizes.kernel)
    stored = folder.values(TABLE).reshape(2, rows, width)
    for axis, name in enumerate(_table_names()):
        if name not in graph.constants:
            wrong.append(f"{name}: not in the model")
            continue
        mine = graph.array(name)
        if mine.dtype != np.float32:  # bfloat16
            mine = (mine.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        if mine.ndim != 2 or mine.shape[1] != width or not needed <= len(mine) <= rows:
            wrong.append(f"{name}: {list(mine.shape)}, {needed} of {rows} rows can be needed")
        elif different := _different(mine, stored[axis, : len(mine)]):
            wrong.append(f"{name}: {different} values differ")
    return wrong


def _outside(case: OnnxCase) -> Check:
    """Names, shapes and types of inputs and outputs."""
    graph = model(case)
    pixels = _COLOURS * case.tower.sizes.patch**2
    given = {PIXELS: (1, "patches", pixels, "float32"), POSITIONS: (1, "patches", 2, "int64")}
    expected = {**given, ROWS: ("image_rows", case.dims.hidden, "float32")}
    found = {name: (*one.shape, one.dtype) for name, one in {**graph.inputs, **graph.outputs}.items()}
    names = sorted({*expected, *found})
    wrong = [f"{n} is {found.get(n)}, expected {expected.get(n)}" for n in names if found.get(n) != expected.get(n)]
    return none("images: inputs and outputs", wrong, "differences", len(expected))


def _different(a: NDArray[np.floating], b: NDArray[np.floating]) -> int:
    """How many bit patterns differ."""
    words = (np.ascontiguousarray(each, np.float32).view(np.uint32) for each in (a, b))
    return int(np.count_nonzero(np.not_equal(*words)))
