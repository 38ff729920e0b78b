"""The decoder's semantic operations in an ONNX graph."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from convert.checkpoint.config import SLIDING, Layer, TextConfig
from convert.checkpoint.types import Module
from convert.model.ops import normalize
from convert.targets.onnx import weights
from convert.targets.onnx.caches import Caches, Slot
from convert.targets.onnx.emit import Symbol, symbol
from convert.targets.onnx.graph import CONTRIB, Graph, Value

X = TypeVar("X")


class OnnxOps:
    """Implements ``convert.model.ops.Ops[Symbol, Slot]`` by appending nodes to a graph, in float32.

    Args:
        caches: keys and values of before.
    """

    def __init__(self, graph: Graph, module: Module[TextConfig], caches: Caches) -> None:
        self._graph, self._module, self._caches = graph, module, caches

    def linear(self, x: Symbol, key: str) -> Symbol:
        tensor = self._module.quants.get(key)
        if tensor is None:
            return self.mark(self._floats(x, key), f"{key}/out")
        scales = self._module.activations.get(key)
        weight = weights.quantized(self._graph, tensor, key)
        given = scales.input if scales is not None and scales.input else None
        if given is not None:
            codes = self._quantize(x, given, f"{key}/in")
            # The codes themselves are multiplied, so that sums are whole numbers, see weights.py.
            x = codes.cast("float32") if weight.gain is not None else self._dequantize(codes, given)
        attributes = {"K": tensor.columns, "N": tensor.rows, "bits": weight.bits, "block_size": weight.block}
        value = self._graph.node(
            "MatMulNBits",
            (x.value, weight.codes, weight.scales),
            (*x.shape[:-1], tensor.rows),
            "float32",
            CONTRIB,
            **attributes,
        )
        out = self._symbol(value)
        if weight.gain is not None:
            out = out * self._symbol(weight.gain)
            if given is not None:
                out = out * self._symbol(self._graph.constant(np.float32(given)))
        if scales is not None and scales.output:
            out = self._dequantize(self._quantize(out, scales.output, f"{key}/codes"), scales.output)
        return self.mark(out, f"{key}/out")

    def scale(self, x: Symbol, key: str) -> Symbol:
        return x * self._symbol(weights.floats(self._graph, self._module.floats[key], key))

    def normalize(self, x: Symbol, eps: float) -> Symbol:
        return normalize(x, eps)

    def mark(self, x: Symbol, name: str) -> Symbol:
        if x.value not in self._graph.inputs:
            self._graph.rename(x.value, name)
        return x

    def write_cache(self, cache: Slot, rows: Symbol, position: Symbol, axis: int, owner: int, part: str) -> Slot:
        """Attention itself appends them; see there."""
        rows = rows.permute(0, 2, 1, 3) if axis == 2 else rows.permute(0, 3, 1, 2)
        cache.new = rows.reshape(*rows.shape[:2], rows.shape[2] * rows.shape[3])
        return cache

    def attention(self, query: Symbol, keys: Slot, values: Slot, mask: Symbol | None, layer: Layer) -> Symbol:
        """``GroupQueryAttention``: causal, windowed by itself.

        The layer that owns keys and values appends its new ones. A layer that reads another's gives none.
        """
        size = layer.kv_heads * layer.head_dim
        owns = keys.seen is None
        if owns:
            new = _there(keys.new).value, _there(values.new).value
            past = self._caches.live(keys, layer), self._caches.live(values, layer)
        else:
            none = self._graph.constant(np.zeros((1, 0, size), np.float32))
            new = none, none
            past = _there(keys.seen), _there(values.seen)
        heads, n = query.shape[1], query.shape[2]
        flat = query.permute(0, 2, 1, 3).reshape(1, n, heads * layer.head_dim)
        held, lengths = (1, layer.kv_heads, self._caches.seen_rows(layer), layer.head_dim), self._caches.lengths(layer)
        out, *seen = self._graph.several(
            "GroupQueryAttention",
            (flat.value, *new, *past, lengths.less, lengths.whole),
            ((flat.shape, "float32"), (held, "float32"), (held, "float32")),
            CONTRIB,
            num_heads=heads,
            kv_num_heads=layer.kv_heads,
            scale=1.0,
            local_window_size=self._module.config.window if layer.kind == SLIDING else -1,
        )
        if owns:
            for slot, rows in zip((keys, values), seen, strict=True):
                self._caches.keep(slot, rows, layer)
        return self._symbol(out).reshape(1, n, heads, layer.head_dim).permute(0, 2, 1, 3)

    def _floats(self, x: Symbol, key: str) -> Symbol:
        content = self._module.floats[f"{self._module.stored_key(key)}.weight"]
        weight = weights.floats(self._graph, content, f"{key}.weight")
        turned = self._symbol(weight).permute(1, 0)
        shape = (*x.shape[:-1], weight.shape[0])
        return self._symbol(self._graph.node("MatMul", (x.value, turned.value), shape, "float32"))

    def _quantize(self, x: Symbol, scale: np.float32, name: str) -> Symbol:
        """Codes int8; the same tensor with the same scale is quantized once."""

        def make() -> Symbol:
            given = (x.value, *self._grid(scale))
            return self.mark(self._symbol(self._graph.node("QuantizeLinear", given, x.shape, "int8")), name)

        found: Symbol = self._graph.once(("quantize", id(x.value), scale.tobytes()), make)
        return found

    def _dequantize(self, codes: Symbol, scale: np.float32) -> Symbol:
        def make() -> Symbol:
            given = (codes.value, *self._grid(scale))
            return self._symbol(self._graph.node("DequantizeLinear", given, codes.shape, "float32"))

        found: Symbol = self._graph.once(("dequantize", id(codes.value)), make)
        return found

    def _grid(self, scale: np.float32) -> tuple[Value, Value]:
        return self._graph.constant(np.float32(scale)), self._graph.constant(np.int8(0))

    def _symbol(self, value: Value) -> Symbol:
        return symbol(self._graph, value)


def _there(x: X | None) -> X:
    if x is None:
        raise AssertionError("attention before its keys and values were written")
    return x
