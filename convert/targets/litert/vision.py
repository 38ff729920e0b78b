"""Image input as TFLite models of their own: the tower, its projection into the decoder, and the token behind an image.

Names of sections, signatures and tensors are what LiteRT-LM 0.18.1 looks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from convert.checkpoint.modules.vision import VisionConfig
from convert.checkpoint.types import Checkpoint, Module
from convert.lattice import dequantize
from convert.model.signature import Signature, Tensor
from convert.model.vision import Vision
from convert.targets.litert.emit import Symbol, symbol
from convert.targets.litert.entry import give
from convert.targets.litert.graph import Model, Subgraph, per_tensor
from convert.targets.litert.ops import LitertOps
from convert.targets.litert.options import LitertOptions
from convert.targets.litert.weights import float_rows


def encoder(module: Module[VisionConfig], options: LitertOptions) -> Model:
    """A signature for each number of rows: patches and their positions in, soft tokens and which are there out."""
    model = Model()
    for signature in encoder_signatures(module.config, options):
        graph, (patches, positions) = _begun(model, signature)
        features, mask = Vision(module.config, _ops(graph, module, options))(patches, positions)
        give(graph, signature, {"features": features, "mask": mask})
    return model


def adapter(module: Module[VisionConfig], options: LitertOptions) -> Model:
    """A signature for each number of rows: soft tokens in, rows of the decoder out."""
    model = Model()
    for signature in adapter_signatures(module.config, options):
        graph, (features,) = _begun(model, signature)
        give(graph, signature, {"mm_embedding": Vision(module.config, _ops(graph, module, options)).project(features)})
    return model


def end(checkpoint: Checkpoint, token: int) -> Model:
    """No input; the embedding of the token that stands behind an image, already times the square root of its width."""
    model, text = Model(), checkpoint.text
    width = text.config.hidden
    graph = model.subgraph("eoi")
    if "embed_tokens" in text.quants:
        table = text.quants["embed_tokens"]
        row = dequantize(table.codes(token, token + 1), table.scales(token, token + 1))
    else:
        row = text.floats["embed_tokens.weight"].float32(token, token + 1)
    value = symbol(graph.constant(row.reshape(1, 1, width).astype(np.float32), "embed_tokens.row"))
    graph.output("eoi_embedding", (value * float(width) ** 0.5).value)
    return model


def encoder_signatures(config: VisionConfig, options: LitertOptions) -> tuple[Signature, ...]:
    """Of the tower, fewest rows first."""
    out = []
    for rows in options.image_rows:
        patches = rows * config.pool**2
        given = (
            Tensor("images", (1, patches, config.pixels), "float32", "Patches, from 0 to 1; padding is 0."),
            Tensor("positions_xy", (1, patches, 2), "int32", "The patches' x and y; those of padding are -1."),
        )
        made = (
            Tensor("features", (1, rows, config.hidden), "float32", "Soft tokens; those that are not there are 0."),
            Tensor("mask", (1, rows), "bool", "Which of them are there: the first ones."),
        )
        out.append(Signature(f"vision_{rows}", rows, given, made))
    return tuple(out)


def adapter_signatures(config: VisionConfig, options: LitertOptions) -> tuple[Signature, ...]:
    """Of the projection, fewest rows first."""
    out = []
    for rows in options.image_rows:
        given = (Tensor("soft_tokens", (1, rows, config.hidden), "float32", "Soft tokens."),)
        made = (Tensor("mm_embedding", (1, rows, config.width), "float32", "Rows of the decoder."),)
        out.append(Signature(f"vision_adapter_{rows}", rows, given, made))
    return tuple(out)


def table_rows(config: VisionConfig, options: LitertOptions) -> int:
    """Rows of the position tables that an image can reach: one of a single row of soft tokens is the widest."""
    return min(config.positions, config.pool * options.image_rows[-1])


class TowerOps(LitertOps):
    """Implements ``convert.model.vision.VisionOps[Symbol]``.

    Args:
        reach: rows of the position tables that are kept.
    """

    def __init__(self, graph: Subgraph, module: Module[VisionConfig], options: LitertOptions, reach: int) -> None:
        super().__init__(graph, module, options)
        self._reach = reach

    def spread(self, x: Symbol, key: str, rows: int) -> Iterator[Symbol]:
        """Int8 codes, a quarter as wide, are made whole and become floats piece by piece; floats are made in pieces."""
        starts, grids = range(0, x.shape[1], rows), self._grids(key)
        if grids is None:
            for start in starts:
                yield self.linear(x if len(starts) == 1 else x.narrow(1, start, rows), key)
            return
        codes = self._codes(self.quantize(x, grids[0], f"{key}/in"), key)
        for start in starts:
            yield self.dequantize(self._cut(codes, start, rows, grids[1]), f"{key}/out")

    def gather(self, pieces: Iterable[Symbol], key: str) -> Symbol:
        """Pieces become int8 codes, which are put together; without a static grid each is multiplied for itself."""
        grids = self._grids(key)
        if grids is None:
            return _joined([self.linear(piece, key) for piece in pieces])
        codes = [self.quantize(piece, grids[0], f"{key}/in") for piece in pieces]
        return self.dequantize(self._codes(_joined(codes, per_tensor(grids[0])), key), f"{key}/out")

    def clip(self, x: Symbol, low: str, high: str) -> Symbol:
        """MAXIMUM and MINIMUM; what is infinite clips nothing. The same tensor is clipped once to the same bounds."""
        bounds = [np.asarray(self._module.floats[key].float32()).reshape(()) for key in (low, high)]

        def make() -> Symbol:
            out = x
            if np.isfinite(bounds[0]):
                out = out.maximum(symbol(self._graph.constant(bounds[0], low)))
            if np.isfinite(bounds[1]):
                out = out.minimum(symbol(self._graph.constant(bounds[1], high)))
            return out

        key = ("clip", x.value.index, *(bound.tobytes() for bound in bounds))
        return symbol(self._graph.once(key, lambda: make().value))

    def rows(self, key: str, axis: int, ids: Symbol) -> Symbol:
        """GATHER from the first rows of a table as float32; a position beyond them is refused when it runs."""
        table, name = self._module.floats[key], f"{key}.{'xy'[axis]}"
        width = table.shape[-1]
        buffer = self._graph.model.stream_buffer(name, lambda: float_rows(table, axis, self._reach))
        weight = self._graph.once(
            ("float", name), lambda: self._graph.tensor((self._reach, width), "float32", name, buffer)
        )
        options = schema.GatherOptionsT()
        inputs = [weight, ids.reshape((ids.shape[-1],)).value]
        found = symbol(self._graph.op("GATHER", inputs, (ids.shape[-1], width), "float32", options))
        return found.reshape((*ids.shape, width))

    def _cut(self, codes: Symbol, start: int, rows: int, scale: float) -> Symbol:
        """SLICE of int8 rows, with their scale."""
        if rows == codes.shape[1]:
            return codes
        shape = (codes.shape[0], rows, *codes.shape[2:])
        begin, size = (self._graph.constant(np.asarray(each, np.int32)) for each in ((0, start, 0), shape))
        inputs, options = [codes.value, begin, size], schema.SliceOptionsT()
        return symbol(self._graph.op("SLICE", inputs, shape, "int8", options, quantization=per_tensor(scale)))


def _joined(pieces: list[Symbol], parameters: Any = None) -> Symbol:
    """CONCATENATION of rows ``[1, m, width]``, all on one grid where they are int8."""
    if len(pieces) == 1:
        return pieces[0]
    options = schema.ConcatenationOptionsT()
    options.axis = 1
    first = pieces[0]
    shape = (1, sum(piece.shape[1] for piece in pieces), first.shape[2])
    values = [piece.value for piece in pieces]
    return symbol(first.value.graph.op("CONCATENATION", values, shape, first.dtype, options, quantization=parameters))


def _begun(model: Model, signature: Signature) -> tuple[Subgraph, list[Symbol]]:
    graph = model.subgraph(signature.name)
    return graph, [symbol(graph.input(each.name, each.shape, each.dtype)) for each in signature.inputs]


def _ops(graph: Subgraph, module: Module[VisionConfig], options: LitertOptions) -> TowerOps:
    return TowerOps(graph, module, options, table_rows(module.config, options))
