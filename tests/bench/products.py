"""``just bench products``: what LiteRT's kernels leave of a product of float activations and weights in blocks.

The same graph, in three int8 terms, runs through XNNPACK and through LiteRT's own kernels; both are compared with
float64. Weights and activations are random: blocks of 32 whose largest weight has code -8, as a quantizer makes them,
and activations with the few large values that a gated MLP has. A second table has activations of one width whose
largest values lie to one side: by how many of the 255 steps of a token's range its zero point is off the middle.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert import tables
from convert.lattice import dequantize, pack
from convert.targets.litert import dynamic
from convert.targets.litert import pack as flatbuffer
from convert.targets.litert.blocks import blocks
from convert.targets.litert.emit import symbol
from convert.targets.litert.graph import Model
from convert.targets.litert.options import TERMS_OF_ALL

WIDTHS = (192, 1536, 6144, 12288)
LOPSIDED, STEPS = 10240, (0, 6, 12, 25, 50)
BLOCK, OUT, TOKENS = 32, 64, 3
KERNELS = {"XNNPACK": "BUILTIN", "LiteRT's own": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}


@dataclass(frozen=True)
class Drawn:
    """A ``QuantTensor`` of random codes ``int8 [out, in]`` and bfloat16 scales ``[out, in/32]`` of either sign."""

    all_codes: NDArray[np.int8]
    all_scales: NDArray[np.float32]
    name: str = "w"
    bits: int = 4
    stack: int | None = None

    @property
    def rows(self) -> int:
        return self.all_codes.shape[0]

    @property
    def columns(self) -> int:
        return self.all_codes.shape[1]

    @property
    def groups(self) -> int:
        return self.all_scales.shape[1]

    def packed(self, start: int, stop: int) -> NDArray[np.uint8]:
        return pack(self.all_codes[start:stop], self.bits)

    def codes(self, start: int, stop: int) -> NDArray[np.int8]:
        return self.all_codes[start:stop]

    def scales(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.all_scales[start:stop]


def weight(width: int, random: np.random.Generator) -> Drawn:
    """A matrix of normal numbers, quantized in blocks."""
    values = random.standard_normal((OUT, width // BLOCK, BLOCK))
    peak = np.take_along_axis(values, np.abs(values).argmax(-1)[..., None], -1)
    scales = ((peak / -8).astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    codes = np.clip(np.round(values / scales), -8, 7).astype(np.int8)
    return Drawn(codes.reshape(OUT, width), scales[..., 0])


def activations(width: int, random: np.random.Generator) -> NDArray[np.float32]:
    """``[1, 3, width]``, each the product of two normal numbers, one of them gated."""
    gate, up = random.standard_normal((2, 1, TOKENS, width))
    return np.asarray(0.5 * gate * (1 + np.tanh(gate)) * up, np.float32)


def lopsided(x: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    """Activations ``[1, n, width]`` with a range whose middle lies so many 255ths of it above zero."""
    low, part = -x.min(-1, keepdims=True), 2 * steps / 255
    high = low * (1 + part) / (1 - part)
    moved = np.minimum(x, high)
    moved[..., :1] = high
    return np.asarray(moved, np.float32)


def distance(matrix: Drawn, x: NDArray[np.float32], resolver: str) -> float:
    """Of the runtime's product from float64's, in dB."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    model, file = Model(), io.BytesIO()
    graph = model.subgraph("main")
    given = symbol(graph.input("x", x.shape, "float32"))
    graph.output("y", dynamic.blockwise(given, blocks(graph, matrix, "w"), TERMS_OF_ALL).value)
    flatbuffer.write(model, file, lambda n: None)
    native: Any = Interpreter(
        model_content=file.getvalue(), num_threads=1, experimental_op_resolver_type=OpResolverType[resolver]
    )
    native.allocate_tensors()
    expected = x @ dequantize(matrix.all_codes, matrix.all_scales).astype(np.float64).T
    error = expected - native.get_signature_runner("main")(x=x)["y"]
    return float(10 * np.log10(np.square(expected).sum() / np.square(error).sum()))


def products() -> str:
    """Two tables: dB by width and kernels, and by how lopsided a token is."""
    by_width, by_steps = list[tuple[str | int, ...]](), list[tuple[str | int, ...]]()
    for width in WIDTHS:
        matrix, x = _drawn(width)
        by_width.append((width, *_distances(matrix, x)))
    matrix, x = _drawn(LOPSIDED)
    for steps in STEPS:
        by_steps.append((steps, *_distances(matrix, lopsided(x, steps))))
    heads = tuple(f"{name} " for name in KERNELS)
    title = "products with weights in blocks of 32, against float64"
    return tables.table(title, ("columns ", *heads), by_width) + tables.table(
        f"the same of {LOPSIDED} columns, by the zero point's distance from the middle", ("steps ", *heads), by_steps
    )


def _drawn(width: int) -> tuple[Drawn, NDArray[np.float32]]:
    random = np.random.default_rng(1)
    return weight(width, random), activations(width, random)


def _distances(matrix: Drawn, x: NDArray[np.float32]) -> tuple[str, ...]:
    return tuple(f"{distance(matrix, x, resolver):.1f} dB" for resolver in KERNELS.values())
