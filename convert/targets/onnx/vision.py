"""Image input as a model of its own: patches of an image to rows of the decoder.

Names and shapes are those that onnxruntime-genai looks for. Inside, an image is padded to the most patches that one may
have, and the rows of the padding are left out: an image is resized until it has nearly so many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from convert.checkpoint.modules.vision import VisionConfig
from convert.checkpoint.types import Module
from convert.model.vision import Vision
from convert.targets.onnx import weights
from convert.targets.onnx.emit import Symbol, symbol
from convert.targets.onnx.graph import IMAGE_ROWS, PATCHES, Graph, Value, element
from convert.targets.onnx.names import IMAGE_TOKENS
from convert.targets.onnx.ops import Operations
from convert.targets.onnx.sizes import table_rows

PADDING = -1  # both positions of a patch that is none


def vision(module: Module[VisionConfig], rows: int, data: str) -> Graph:
    """The tower and its projection.

    Args:
        rows: that an image becomes, at most.
        data: name of the file with the weights.
    """
    config, graph = module.config, Graph("vision", data)
    most = rows * config.pool**2
    pixels = graph.input("pixel_values", (1, PATCHES, config.pixels), "float32")
    positions = graph.input("pixel_position_ids", (1, PATCHES, 2), "int64")
    padded = [_padded(graph, x, most, fill) for x, fill in ((pixels, np.float32(0)), (positions, np.int64(PADDING)))]
    operations = TowerOps(graph, module, table_rows(config, rows))
    tower = Vision(config, operations)
    features, there = tower(*padded)
    operations.mark(features, "features")
    found = tower.project(features).reshape(rows, config.width)
    axes = graph.constant(np.array([1], np.int64))
    counted = graph.node("Cast", (there.value,), (1, rows), "int64", to=element("int64"))
    count = graph.node("ReduceSum", (counted, axes), (1,), "int64", keepdims=0)
    corner = graph.constant(np.zeros(1, np.int64))
    taken = graph.node("Slice", (found.value, corner, count, corner), (IMAGE_ROWS, config.width), "float32")
    graph.output("image_features", taken)
    graph.metadata[IMAGE_TOKENS] = str(rows)
    return graph


def products(module: Module[VisionConfig]) -> None:
    """Looks whether the operators take every matrix.

    Raises:
        PlanError: one of them they do not.
    """
    for key, tensor in module.quants.items():
        if not _in_whole_numbers(module, key):
            weights.block_of(tensor)


def _in_whole_numbers(module: Module[VisionConfig], key: str) -> bool:
    """Whether both sides of a product are codes of eight bits."""
    tensor, scales = module.quants[key], module.activations.get(key)
    return tensor.bits == 8 and tensor.groups == 1 and scales is not None and bool(scales.input)


class TowerOps(Operations):
    """Implements ``convert.model.vision.VisionOps[Symbol]``.

    A matrix of eight bits with activations of eight is multiplied in whole numbers (``MatMulInteger``), because sums of
    more than 1,000 such products are no longer exact in float32. Both sides are counted from the lowest code: of the
    four pairs of types this one alone is both exact and fast on every x86 processor; one of them saturates in 16 bits
    where there is no instruction for it [1.32].

    Args:
        reach: rows of the position tables that are kept.
    """

    def __init__(self, graph: Graph, module: Module[VisionConfig], reach: int) -> None:
        super().__init__(graph, module)
        self._reach = reach

    def linear(self, x: Symbol, key: str) -> Symbol:
        if key not in self._module.quants or not _in_whole_numbers(self._module, key):
            return super().linear(x, key)
        tensor, scales = self._module.quants[key], self._module.activations[key]
        codes, gain = weights.turned(self._graph, tensor, key)
        middle = self._graph.constant(np.uint8(128))
        given = self._counted(x, scales.input, f"{key}/in")
        shape = (*x.shape[:-1], tensor.rows)
        sums = self._graph.node("MatMulInteger", (given.value, codes, middle, middle), shape, "int32")
        out = self._symbol(sums).float() * self._symbol(gain)
        out = out * self._symbol(self._graph.constant(np.float32(scales.input)))
        if scales.output:
            out = self._dequantize(self._quantize(out, scales.output, f"{key}/codes"), scales.output)
        return self.mark(out, f"{key}/out")

    def spread(self, x: Symbol, key: str, rows: int) -> Iterator[Symbol]:
        """In one piece: the runtime gives the memory of what is read no more to what comes next."""
        yield self.linear(x, key)

    def gather(self, pieces: Iterable[Symbol], key: str) -> Symbol:
        (whole,) = pieces
        return self.linear(whole, key)

    def clip(self, x: Symbol, low: str, high: str) -> Symbol:
        """What is infinite clips nothing. The same tensor is clipped once to the same bounds."""
        bounds = [np.asarray(self._module.floats[key].float32()).reshape(()) for key in (low, high)]

        def make() -> Symbol:
            out = x
            if np.isfinite(bounds[0]):
                out = out.maximum(self._symbol(self._graph.constant(bounds[0])))
            if np.isfinite(bounds[1]):
                out = out.minimum(self._symbol(self._graph.constant(bounds[1])))
            return out

        found: Symbol = self._graph.once(("clip", id(x.value), *(bound.tobytes() for bound in bounds)), make)
        return found

    def rows(self, key: str, axis: int, ids: Symbol) -> Symbol:
        """From the first rows of a table; a position beyond them is refused when it runs."""
        stored = weights.table_part(self._graph, self._module.floats[key], axis, self._reach, f"{key}.{'xy'[axis]}")
        shape = (*ids.shape, stored.shape[1])
        found = self._graph.node("Gather", (stored, ids.value), shape, stored.dtype)
        return self._symbol(found).float()

    def attention_scores(self, query: Symbol, keys: Symbol) -> Symbol:
        return self._product(query, self._turned(keys))

    def attention_mix(self, weights: Symbol, values: Symbol) -> Symbol:
        return self._product(weights, self._turned(values))

    def pool(self, weights: Symbol, values: Symbol) -> Symbol:
        return self.attention_mix(weights, values)

    def _product(self, x: Symbol, y: Symbol) -> Symbol:
        shape = (*x.shape[:-1], y.shape[-1])
        return self._symbol(self._graph.node("MatMul", (x.value, y.value), shape, "float32"))

    def _turned(self, x: Symbol) -> Symbol:
        """The last two axes exchanged, once for all queries."""
        found: Symbol = self._graph.once(("turned", id(x.value)), lambda: x.permute(0, 1, 3, 2))
        return found

    def _counted(self, x: Symbol, scale: np.float32, name: str) -> Symbol:
        """Codes uint8, 128 above those of int8; the same tensor with the same scale is quantized once."""

        def make() -> Symbol:
            given = (x.value, self._graph.constant(np.float32(scale)), self._graph.constant(np.uint8(128)))
            return self.mark(self._symbol(self._graph.node("QuantizeLinear", given, x.shape, "uint8")), name)

        found: Symbol = self._graph.once(("counted", id(x.value), scale.tobytes()), make)
        return found


def _padded(graph: Graph, x: Value, most: int, fill: np.generic) -> Symbol:
    """``[1, P, width]`` to ``[1, most, width]``; more than so many patches are refused when it runs."""
    width = x.shape[2]
    count = graph.node("Shape", (x,), (1,), "int64", start=1, end=2)
    lacking = graph.node("Sub", (graph.constant(np.array([most], np.int64)), count), (1,), "int64")
    sides = [graph.constant(np.array([size], np.int64)) for size in (1, width)]
    shape = graph.node("Concat", (sides[0], lacking, sides[1]), (3,), "int64", axis=0)
    value = _filled(np.asarray([fill]))
    padding = graph.node("ConstantOfShape", (shape,), (1, PATCHES, width), x.dtype, value=value)
    whole = graph.node("Concat", (x, padding), (1, most, width), x.dtype, axis=1)
    return symbol(graph, whole)


def _filled(content: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> object:
    from onnx import numpy_helper

    return numpy_helper.from_array(content)
