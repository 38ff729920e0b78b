"""``just bench nbits``: what ONNX Runtime's product of float activations and packed codes costs, by bits of the codes.

One matrix of codes with scales of one, and activations that are whole numbers of eight bits, so that every sum is known
exactly: the last column says how many are not what integers give. They do not reach the ends of their range, because a
level that scales each block by its largest value would then meet whole numbers again and look exact.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert import tables
from convert.lattice import flip_offset, pack

ROWS, COLUMNS, TOKENS, THREADS, TIMES, LARGEST = 6144, 1536, (1, 128), 2, 5, 100
# Bits, block, and the operator's accuracy_level: 4 also rounds the activations, by the largest of each block.
CASES = ((2, 256, 0), (4, 256, 0), (4, 128, 0), (4, 32, 0), (8, 256, 0), (2, 128, 4), (4, 128, 4), (8, 128, 4))


def nbits() -> str:
    """Every case for one token and for many."""
    rows = [row for tokens in TOKENS for row in _rows(tokens)]
    title = f"MatMulNBits, {ROWS} x {COLUMNS}, {THREADS} threads"
    return tables.table(title, ("tokens ", "bits ", "block ", "level ", "time ", "of four bits ", "wrong sums "), rows)


def _rows(tokens: int) -> Iterator[tuple[str, ...]]:
    found = {case: _measured(*case, tokens) for case in CASES}
    four = found[4, 256, 0][0]
    for (bits, block, level), (seconds, wrong) in found.items():
        case = (str(number) for number in (tokens, bits, block, level))
        yield *case, f"{1000 * seconds:.2f} ms", f"{seconds / four:.2f}", f"{wrong} of {tokens * ROWS}"


def _measured(bits: int, block: int, level: int, tokens: int) -> tuple[float, int]:
    """Best seconds of a product, and how many of its sums are not exact."""
    random = np.random.default_rng(bits)
    codes = random.integers(-(1 << (bits - 1)), 1 << (bits - 1), (ROWS, COLUMNS)).astype(np.int8)
    x = random.integers(-LARGEST, LARGEST + 1, (1, tokens, COLUMNS)).astype(np.float32)
    session = _session(codes, bits, block, level)
    (found,), best = session.run(None, {"x": x}), float("inf")
    for _ in range(TIMES):
        begin = time.perf_counter()
        session.run(None, {"x": x})
        best = min(best, time.perf_counter() - begin)
    exact = x[0].astype(np.int64) @ codes.astype(np.int64).T
    return best, int(np.count_nonzero(found[0].astype(np.int64) != exact))


def _session(codes: NDArray[np.int8], bits: int, block: int, level: int) -> Any:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    packed = pack(codes, bits)
    counted = packed ^ np.uint8(0x80) if bits == 8 else flip_offset(packed, bits)
    blocks = COLUMNS // block
    weights = [
        numpy_helper.from_array(counted.reshape(ROWS, blocks, -1), "codes"),
        numpy_helper.from_array(np.ones((ROWS, blocks), np.float32), "scales"),
    ]
    attributes: dict[str, Any] = {"K": COLUMNS, "N": ROWS, "bits": bits, "block_size": block, "accuracy_level": level}
    node = helper.make_node("MatMulNBits", ["x", "codes", "scales"], ["y"], domain="com.microsoft", **attributes)
    given, made = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, size])
        for name, size in (("x", COLUMNS), ("y", ROWS))
    )
    graph = helper.make_graph([node], "product", [given], [made], weights)
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
