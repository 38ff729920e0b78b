"""The decoder's semantic operations in a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.checkpoint.config import Layer
from convert.checkpoint.types import Module
from convert.model.ops import attend
from convert.model.symbol import concatenate
from convert.targets.coreml import weights
from convert.targets.coreml.emit import Symbol, append, symbol
from convert.targets.coreml.graph import Function, Value
from convert.targets.coreml.options import CoremlOptions


@dataclass(frozen=True)
class Slot:
    """Where a layer's keys or values lie in a state; ``ring``: what each of its rows becomes, see rings.py."""

    state: Value
    index: int
    kv_heads: int
    head_dim: int
    ring: Symbol | None = None


class CoremlOps:
    """Implements ``convert.model.ops.Ops[Symbol, Slot]`` by appending operations to a function.

    Products (linear, attention) run in the type of the program. Between them the types are float32 all the same:
    residuals and gated products leave float16's range, and static scales do not fit it. On the Neural Engine, which
    has no float32, everything is float16.
    """

    def __init__(
        self,
        function: Function,
        module: Module[Any],
        options: CoremlOptions,
        position: Symbol | None = None,
    ) -> None:
        self._function, self._module = function, module
        self.product = options.precision
        self.work = options.precision if options.profile == "ane" else "float32"
        self._position = position
        self._states: dict[str, Symbol] = {}
        self._seen: dict[tuple[int, str], Symbol] = {}  # of layers with rings: what the call's tokens look at

    def linear(self, x: Symbol, key: str) -> Symbol:
        tensor = self._module.quants.get(key)
        scales = self._module.activations.get(key) if tensor is not None else None
        if scales is not None and scales.input:
            codes = self._quantize(x, scales.input, f"{key}/in")
            x = self._dequantize(codes, scales.input)
        if tensor is None:
            content = self._module.floats[f"{self._module.stored_key(key)}.weight"]
            weight = weights.Weight(weights.floats(self._function, content, f"{key}.weight", self.product), None)
        else:
            weight = weights.quantized(self._function, tensor, key, self.product, self.work)
        shape = (*x.shape[:-1], weight.value.shape[0])
        inputs = {"x": x.cast(self.product), "weight": self._symbol(weight.value)}
        out = append(self._function, "linear", inputs, shape, self.product).cast(self.work)
        if weight.gain is not None:
            out = out * self._symbol(weight.gain)
        if scales is not None and scales.output:
            out = self._dequantize(self._quantize(out, scales.output, f"{key}/codes"), scales.output)
        return self.mark(out, f"{key}/out")

    def scale(self, x: Symbol, key: str) -> Symbol:
        x = x.cast(self.work)
        return x * self._symbol(weights.floats(self._function, self._module.floats[key], key, self.work))

    def normalize(self, x: Symbol, eps: float) -> Symbol:
        x = x.cast(self.work)
        if self.work == "float32":
            return x * self._rsqrt((x * x).mean(-1, keepdim=True), eps)
        # Squares leave float16's range, so the row is first divided by its largest magnitude.
        size = x.unary("abs").reduce("max", -1, keepdim=True).maximum(2.0**-14)
        x, rest = x / size, eps**0.5 / size
        return x * self._rsqrt((x * x).mean(-1, keepdim=True) + rest * rest, 2.0**-24)

    def mark(self, x: Symbol, name: str) -> Symbol:
        if x.value not in self._function.inputs:
            self._function.rename(x.value, name)
        return x

    def read_cache(self, cache: Slot, owner: int, part: str) -> Symbol:
        """Keys ``[1, kv, rows, head_dim]``, values turned as the decoder has them (a turn that is undone later)."""

        def make() -> Symbol:
            rows = self._rows(cache) if cache.ring is None else self._seen[owner, part]
            self.mark(rows, f"layers.{owner}/{part}_cache")
            meaning = f"{part.capitalize()}s of layer {owner} at all positions, for later layers that read them too."
            self._function.offer(rows.value, meaning)
            return rows if part == "key" else rows.permute(0, 1, 3, 2)

        return self._function.once(("cache", owner, part), make)

    def write_cache(self, cache: Slot, rows: Symbol, position: Symbol, axis: int, owner: int, part: str) -> Slot:
        """The state with rows in their place: read, updated, written, so that Core ML can update it where it lies.

        Core ML cannot leave rows out. So the function's input ``position`` may be no larger than where all rows fit.
        """
        if axis == 3:
            rows = rows.permute(0, 1, 3, 2)
        rows = rows.cast(self.product)
        if cache.ring is not None:
            seen = self._seen[owner, part] = concatenate([self._rows(cache), rows], dim=2)
            self._store(cache, self._gather(seen, cache.ring), self._whole(cache))
        else:
            self._store(cache, rows, self._box(cache.index, rows.shape))
        return cache

    def _rows(self, cache: Slot) -> Symbol:
        """All rows of a layer."""
        return self._current(cache.state).box(
            [cache.index, 0, 0, 0], [1, cache.kv_heads, cache.state.shape[2], cache.head_dim]
        )

    def _gather(self, x: Symbol, rows: Symbol) -> Symbol:
        """Rows by their numbers, int32 ``[m]``."""
        choices = {"axis": np.int32(2), "batch_dims": np.int32(0), "validate_indices": np.bool_(False)}
        shape = (*x.shape[:2], *rows.shape, x.shape[3])
        return append(self._function, "gather", {"x": x, "indices": rows, **choices}, shape, x.dtype)

    def _store(self, cache: Slot, rows: Symbol, box: tuple[Any, Any]) -> None:
        """Writes rows between two corners of a state, so that what is read of it from now on has them."""
        state, (begin, end) = self._current(cache.state), box
        inputs = {"x": state, "update": rows, "begin": begin, "end": end}
        updated = append(self._function, "slice_update", inputs, state.shape, state.dtype)
        self._function.op("write_state", {"input": cache.state, "data": updated.value}, None)
        self._states[cache.state.name] = self._read(cache.state)

    def attention(self, query: Symbol, keys: Slot, values: Slot, mask: Symbol | None, layer: Layer) -> Symbol:
        assert mask is not None
        return attend(self, query, keys, values, mask, layer)

    def attention_scores(self, query: Symbol, keys: Symbol) -> Symbol:
        return self._matmul(query, keys, turned=True)

    def attention_mix(self, weights: Symbol, values: Symbol) -> Symbol:
        return self._matmul(weights, values.permute(0, 1, 3, 2), turned=False)

    def _matmul(self, left: Symbol, right: Symbol, turned: bool, dtype: str = "") -> Symbol:
        dtype = dtype or self.product
        left, right = left.cast(dtype), right.cast(dtype)
        inputs = {"x": left, "y": right, "transpose_x": np.bool_(False), "transpose_y": np.bool_(turned)}
        shape = (*left.shape[:-1], right.shape[-2 if turned else -1])
        return append(self._function, "matmul", inputs, shape, dtype).cast(self.work)

    def _box(self, index: int, shape: tuple[int, ...]) -> tuple[Symbol, Symbol]:
        """Corners ``int32 [4]`` of the rows of one layer from the position on."""

        def constant(n: int) -> Symbol:
            return self._symbol(self._function.constant(np.array([n], np.int32)))

        assert self._position is not None

        def make() -> tuple[Symbol, Symbol]:
            begin = [constant(index), constant(0), self._position, constant(0)]
            after = self._function.once(("after", shape[2]), lambda: self._position + constant(shape[2]))
            end = [constant(index + 1), constant(shape[1]), after, constant(shape[3])]
            return concatenate(begin), concatenate(end)

        return self._function.once(("box", index, shape), make)

    @staticmethod
    def _whole(cache: Slot) -> tuple[Any, Any]:
        """Corners of all rows of a layer."""
        begin = np.array([cache.index, 0, 0, 0], np.int32)
        return begin, begin + np.array([1, cache.kv_heads, cache.state.shape[2], cache.head_dim], np.int32)

    def _current(self, state: Value) -> Symbol:
        """The state's content after the last write."""
        if state.name not in self._states:
            self._states[state.name] = self._read(state)
        return self._states[state.name]

    def _read(self, state: Value) -> Symbol:
        return self._symbol(self._function.op("read_state", {"input": state}, state.shape, state.dtype))

    def _quantize(self, x: Symbol, scale: np.float32, name: str) -> Symbol:
        """Codes int8; the same tensor with the same scale is quantized once."""

        def make() -> Symbol:
            source = x.cast(self.work)
            inputs = {"input": source, "scale": np.dtype(self.work).type(scale), "output_dtype": "int8"}
            codes = append(self._function, "quantize", inputs, x.shape, "int8")
            return self.mark(codes, name)

        return self._function.once(("quantize", id(x.value), scale.tobytes()), make)

    def _dequantize(self, codes: Symbol, scale: np.float32) -> Symbol:
        inputs = {"input": codes, "scale": np.dtype(self.work).type(scale)}

        def make() -> Symbol:
            return append(self._function, "dequantize", inputs, codes.shape, self.work)

        return self._function.once(("dequantize", id(codes.value)), make)

    def _rsqrt(self, x: Symbol, eps: float) -> Symbol:
        """``1 / sqrt(x + eps)``"""
        return append(self._function, "rsqrt", {"x": x, "epsilon": np.dtype(x.dtype).type(eps)}, x.shape, x.dtype)

    def _symbol(self, value: Value) -> Symbol:
        return symbol(self._function, value)
