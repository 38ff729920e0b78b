"""The decoder's semantic operations on a TFLite graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from convert.checkpoint.config import SLIDING, Layer
from convert.checkpoint.types import Module
from convert.model.ops import attend, normalize
from convert.targets.litert import dynamic, weights
from convert.targets.litert.blocks import blocks
from convert.targets.litert.emit import Symbol, symbol
from convert.targets.litert.filled import Given, branches, lengths
from convert.targets.litert.fitting import fit, update
from convert.targets.litert.graph import Subgraph, Value, per_tensor
from convert.targets.litert.options import TERMS_OF_ALL, TERMS_OF_LOGITS, LitertOptions
from convert.targets.litert.ring import Kept, Ring

_FEW = 16  # rows are few when the other side has this many times more


class LitertOps:
    """Implements ``convert.model.ops.Ops[Symbol, Kept]`` by appending operators to a subgraph.

    Args:
        ring: what the caches of sliding layers are written into; None where each position has a row of its own.
    """

    def __init__(self, graph: Subgraph, module: Module[Any], options: LitertOptions, ring: Ring | None = None) -> None:
        self._graph, self._module, self._ring, self._options = graph, module, ring, options
        self._terms = options.terms or (TERMS_OF_LOGITS if module.static_activations else TERMS_OF_ALL)

    def linear(self, x: Symbol, key: str) -> Symbol:
        tensor = self._module.quants.get(key)
        if tensor is None:
            weight = weights.floats(self._graph, self._module, f"{self._module.stored_key(key)}.weight")
            return symbol(dynamic.fully_connected(x, weight, "float32", name=f"{key}/out"))
        scales = self._module.activations.get(key)
        if tensor.groups > 1 or self._module.stored == "rounded lattice":
            out = dynamic.blockwise(x, blocks(self._graph, tensor, key), self._terms)
            return self._named(out, f"{key}/out")
        if grids := self._grids(key):
            return self.dequantize(self._codes(self.quantize(x, grids[0], f"{key}/in"), key), f"{key}/out")
        weight = weights.quantized(self._graph, tensor, key)
        if scales is not None and scales.input:
            x = self.dequantize(self.quantize(x, float(scales.input), f"{key}/in"), f"{key}/rounded")
        out = dynamic.per_channel(x, weight, self._terms)
        if scales is not None and scales.output:
            out = self.dequantize(self.quantize(out, float(scales.output), f"{key}/codes"), f"{key}/rounded_out")
        return self._named(out, f"{key}/out")

    def scale(self, x: Symbol, key: str) -> Symbol:
        return x * symbol(weights.floats(self._graph, self._module, key))

    def normalize(self, x: Symbol, eps: float) -> Symbol:
        return normalize(x, eps)

    def mark(self, x: Symbol, name: str) -> Symbol:
        if x.value.index not in self._graph.inputs.values():
            self._graph.rename(x.value, name)
        return x

    def read_cache(self, cache: Kept, owner: int, part: str) -> Symbol:
        if cache.seen.value.dtype == "float32":
            return cache.seen
        key, name = ("cache", cache.seen.value.index), f"cache.{owner}.{part}"
        return symbol(self._graph.once(key, lambda: self.dequantize(cache.seen, name).value))

    def write_cache(self, cache: Kept, rows: Symbol, position: Symbol, axis: int, owner: int, part: str) -> Kept:
        """DYNAMIC_UPDATE_SLICE of rows that fit, see ``fitting``; into a ring as that says."""
        parameters, before = None, cache.state
        if before.value.dtype == "int8":
            parameters = per_tensor(cache_scale(self._module, owner, part))
            rows = self.quantize(rows, float(parameters.scale[0]), f"layers.{owner}/{part}_codes")
        if self._ring is not None and self._module.config.layers[owner].kind in self._rings():
            return self._ring.write(before, rows, axis, parameters)
        at = position.reshape((1,))
        if rows.shape[axis] > 1:
            rows, at = fit(before, rows, position, axis, parameters)
        return Kept.whole(update(before, rows, at, axis, parameters))

    def attention(self, query: Symbol, keys: Kept, values: Kept, mask: Symbol | None, layer: Layer) -> Symbol:
        assert mask is not None
        if layer.kind in self._rings() or self._options.attention == "all":
            return attend(self, query, keys, values, mask, layer)
        rows = lengths(mask.shape[3], 0 if self._ring is None else self._ring.rows, mask.shape[2])
        if len(rows) == 1:
            return attend(self, query, keys, values, mask, layer)

        def within(graph: Subgraph, given: Given) -> Symbol:
            ops = LitertOps(graph, self._module, self._options)
            return attend(ops, given.query, Kept.whole(given.keys), Kept.whole(given.values), given.mask, layer)

        return branches(Given(query, mask, keys.seen, values.seen), self._position(), layer, rows, within)

    def attention_scores(self, query: Symbol, keys: Symbol) -> Symbol:
        return self._matmul(query, keys)

    def attention_mix(self, weights: Symbol, values: Symbol) -> Symbol:
        return self._matmul(weights, values)

    pool = attention_mix

    def quantize(self, x: Symbol, scale: float, name: str) -> Symbol:
        """Float32 to int8 codes; the same tensor with the same scale is quantized once."""
        key = ("quantize", x.value.index, np.float32(scale).tobytes())
        options = schema.QuantizeOptionsT()
        parameters = per_tensor(scale)
        return symbol(
            self._graph.once(
                key,
                lambda: self._graph.op("QUANTIZE", [x.value], x.shape, "int8", options, name, parameters),
            )
        )

    def dequantize(self, x: Symbol, name: str) -> Symbol:
        return symbol(self._graph.op("DEQUANTIZE", [x.value], x.shape, "float32", schema.DequantizeOptionsT(), name))

    def _grids(self, key: str) -> tuple[float, float] | None:
        """Steps of a linear's input and output where both are static; None for any other linear."""
        tensor, scales = self._module.quants.get(key), self._module.activations.get(key)
        if tensor is None or tensor.groups > 1 or self._module.stored == "rounded lattice" or scales is None:
            return None
        return (float(scales.input), float(scales.output)) if scales.input and scales.output else None

    def _codes(self, given: Symbol, key: str) -> Symbol:
        """Int8 outputs of a linear whose grids are static, from int8 inputs."""
        grids = self._grids(key)
        assert grids is not None
        weight = weights.quantized(self._graph, self._module.quants[key], key)
        made = dynamic.fully_connected(given, weight, "int8", per_tensor(grids[1]), f"{key}/codes")
        return symbol(made)

    def _named(self, x: Symbol, name: str) -> Symbol:
        self._graph.rename(x.value, name)
        return x

    def _rings(self) -> tuple[str, ...]:
        """Kinds of layers whose caches are rings."""
        return () if self._ring is None else (SLIDING,)

    def _position(self) -> Symbol:
        """int32 ``[1]``: of the call's first token."""
        positions = self._graph.tensors[self._graph.inputs["input_pos"]]
        whole = symbol(Value(self._graph, self._graph.inputs["input_pos"], tuple(positions.shape), "int32"))
        return symbol(self._graph.once(("first position",), lambda: whole.narrow(0, 0, 1).value))

    def _matmul(self, left: Symbol, right: Symbol) -> Symbol:
        """``[1, b, m, k] x [1, b, n, k] -> [1, b, m, n]``.

        The kernel repacks its right side at every call. For a few rows against a whole cache that would copy the cache
        each time, so the cache goes to the left, where it is only read, and the small result is turned.
        """
        if left.shape[2] * _FEW < right.shape[2]:
            return self._batch_matmul(right, left).permute(0, 1, 3, 2)
        return self._batch_matmul(left, right)

    def _batch_matmul(self, left: Symbol, right: Symbol) -> Symbol:
        options = schema.BatchMatMulOptionsT()
        options.adjY = True
        shape = (*left.shape[:-1], right.shape[-2])
        return symbol(self._graph.op("BATCH_MATMUL", [left.value, right.value], shape, options=options))


def cache_scale(module: Module[Any], owner: int, part: str) -> float:
    """Scale of the int8 cache of one layer."""
    scales = module.caches[owner]
    return float(scales.key if part == "key" else scales.value)
