"""``just bench kernels [MODEL]``: what the products of one token cost, by the kernels that run them.

A model's matrices are counted by their bits and by how their activations come: on a static int8 grid, or as floats,
which are split into int8 terms with a product each. For each such kind one large matrix of random codes, which no cache
holds, is multiplied by one row and by five, two threads, turn about. From that follows what a token's products take,
and how much of what memory gives they move: a kernel that computes slower than memory delivers is what holds decoding
back. Attention, normalizations and all that lies between products are not in it.
"""

from __future__ import annotations

import io
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from convert import tables
from convert.checkpoint.types import Checkpoint
from convert.errors import PlanError
from convert.lattice import packed_width
from convert.targets.litert import dynamic, pack
from convert.targets.litert.emit import Symbol, symbol
from convert.targets.litert.graph import Model, Stream, Subgraph, Value, per_tensor
from convert.targets.litert.options import TERMS_OF_LOGITS
from convert.targets.litert.weights import channel_scales
from tests.bench.peers.machine import Bandwidth, machine

OUT, COLUMNS, TOKENS, THREADS, TIMES = 131_072, 1536, (1, 5), 2, 7


@dataclass(frozen=True, order=True)
class Kind:
    """Products that one kernel runs: ``bits`` 32 are floats; ``grid``: activations lie on a static one."""

    bits: int
    grid: bool

    @property
    def terms(self) -> int:
        """Products of each."""
        return 1 if self.grid or self.bits == 32 else TERMS_OF_LOGITS

    def __str__(self) -> str:
        if self.bits == 32:
            return "floats"
        return f"{self.bits} bits, " + ("static int8" if self.grid else f"floats in {self.terms} terms")


def kernels(model: str) -> str:
    """The table.

    Raises:
        PlanError: the model's matrices have scales for blocks of a row, whose kernels are others.
    """
    from convert.checkpoint import open_checkpoint

    counted, bandwidth = weights(open_checkpoint(model)), Bandwidth()
    sides = {(kind, tokens): Side(kind, tokens) for kind in sorted(counted) for tokens in TOKENS}
    took: dict[tuple[Kind, int], list[float]] = {key: [] for key in sides}
    for _ in range(TIMES):
        for key, side in sides.items():
            took[key].append(side.seconds())
    bandwidth.probe(dict(os.environ))
    here = machine(bandwidth)
    rows, whole, moved = list[tuple[str, ...]](), 0.0, 0.0
    for kind, many in sorted(counted.items()):
        one, five = (many / (OUT * COLUMNS) * statistics.median(took[kind, tokens]) for tokens in TOKENS)
        read = many * kind.bits / 8 * kind.terms
        whole, moved = whole + one, moved + read
        share = f"{100 * read / one / here.two.median:.0f} %"
        rows.append((str(kind), f"{many / 1e6:.0f} M", f"{1000 * one:.1f}", share, f"{five / one:.1f}"))
    rows.append(("all", "", f"{1000 * whole:.1f}", f"{100 * moved / whole / here.two.median:.0f} %", ""))
    heads = ("products of a token", "weights ", "time, ms ", "of what two threads read ", "five rows, times ")
    title = (
        f"{model}, {here.processor}, {THREADS} threads, median of {TIMES}; two threads read "
        f"{here.two.median / 1e9:.1f} GB/s; AVX-512, VNNI, AMX: {', '.join(here.features) or 'none'}"
    )
    return tables.table(title, heads, rows)


def weights(checkpoint: Checkpoint) -> Counter[Kind]:
    """How many weights a token is multiplied with, by kind. Tables whose rows are looked up are in no product.

    Raises:
        PlanError: see :func:`kernels`.
    """
    module, found = checkpoint.text, Counter[Kind]()
    for tensor in (tensor for tensor in module.floats.values() if len(tensor.shape) == 2):
        found[Kind(32, grid=False)] += int(np.prod(tensor.shape))
    lent = [(key, module.quants[lender]) for key, lender in module.ties.items() if lender in module.quants]
    for key, matrix in (*module.quants.items(), *lent):
        if key in module.tables:
            continue
        if matrix.groups > 1:
            asked = f"bench kernels {checkpoint.source.id}"
            raise PlanError(asked, f"{matrix.name} has a scale for each block of a row", "Give a mobile checkpoint")
        scales = module.activations.get(key)
        grid = scales is not None and bool(scales.input) and bool(scales.output)
        found[Kind(matrix.bits, grid)] += matrix.rows * matrix.columns
    return found


class Side:
    """One product in the runtime's interpreter, all of its terms."""

    def __init__(self, kind: Kind, tokens: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        model, file = Model(), io.BytesIO()
        graph = model.subgraph("main")
        given = symbol(graph.input("x", (1, tokens, COLUMNS), "float32"))
        graph.output("y", _product(graph, given, kind).value)
        pack.write(model, file, lambda count: None)
        self._run: Any = Interpreter(model_content=file.getvalue(), num_threads=THREADS)
        self._run.allocate_tensors()
        (entry,) = self._run.get_input_details()
        x = np.random.default_rng(1).standard_normal(given.shape).astype(np.float32)
        self._run.set_tensor(entry["index"], x)
        self._run.invoke()

    def seconds(self) -> float:
        begin = time.perf_counter()
        self._run.invoke()
        return time.perf_counter() - begin


def _product(graph: Subgraph, x: Symbol, kind: Kind) -> Symbol:
    weight = _weight(graph, kind.bits)
    if kind.bits == 32:
        return symbol(dynamic.fully_connected(x, weight, "float32"))
    if not kind.grid:
        return dynamic.per_channel(x, weight, kind.terms)
    options, step = schema.QuantizeOptionsT(), per_tensor(0.02)
    codes = symbol(graph.op("QUANTIZE", [x.value], x.shape, "int8", options, "codes", step))
    made = dynamic.fully_connected(codes, weight, "int8", per_tensor(0.5))
    return symbol(graph.op("DEQUANTIZE", [made], made.shape, "float32", schema.DequantizeOptionsT()))


def _weight(graph: Subgraph, bits: int) -> Value:
    def chunks() -> Iterator[NDArray[Any]]:
        random = np.random.default_rng(bits)
        if bits == 32:
            yield random.standard_normal((OUT, COLUMNS), np.float32)
        else:
            yield random.integers(0, 256, (OUT, packed_width(COLUMNS, bits)), np.uint8)

    size = OUT * packed_width(COLUMNS, bits) if bits < 32 else 4 * OUT * COLUMNS
    buffer = graph.model.stream_buffer("weight", lambda: Stream(size, chunks))
    scales = None if bits == 32 else channel_scales(np.full(OUT, 0.01, np.float32))
    return graph.tensor((OUT, COLUMNS), "float32" if bits == 32 else f"int{bits}", "weight", buffer, scales)
