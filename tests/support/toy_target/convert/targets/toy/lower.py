"""The decoder as steps: what the toy's runtime runs, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convert.checkpoint.config import Layer
from convert.checkpoint.types import Checkpoint
from convert.model import ops, symbol
from convert.model.decoder import Decoder
from convert.model.signature import Signature, Tensor, signatures


@dataclass(frozen=True)
class Value:
    """What a step makes."""

    name: str
    shape: tuple[int, ...]
    dtype: str


Symbol: TypeAlias = symbol.Symbol[Value]


@dataclass
class Function:
    """Implements ``convert.model.symbol.Builder``; ``marks`` are values by the decoder's names for them."""

    target: str = "toy"
    steps: list[dict[str, Any]] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)

    def constant(self, array: NDArray[Any]) -> Value:
        return self.emit("constant", (), array.shape, array.dtype.name, values=array.tolist())

    def append(self, step: symbol.Step[Value]) -> Value:
        more = {"axis": step.axis, "keepdim": step.keepdim, "order": step.order, "begin": step.begin}
        return self.emit(step.operator, step.inputs, step.shape, step.dtype, **more)

    def emit(self, operator: str, inputs: tuple[Value, ...], shape: tuple[int, ...], dtype: str, **more: Any) -> Value:
        made = Value(f"v{len(self.steps)}", tuple(shape), dtype)
        names = [value.name for value in inputs]
        self.steps.append({"op": operator, "in": names, "out": made.name, "shape": shape, "dtype": dtype, **more})
        return made


@dataclass(frozen=True)
class ToyOps:
    """Implements ``convert.model.ops.Ops[Symbol, Symbol]``."""

    function: Function
    checkpoint: Checkpoint

    def linear(self, x: Symbol, key: str) -> Symbol:
        known = self.checkpoint.text.quants.get(key)
        rows = known.rows if known is not None else self.checkpoint.text.floats[f"{key}.weight"].shape[0]
        return self._step("linear", (x,), (*x.shape[:-1], rows), key=key)

    def scale(self, x: Symbol, key: str) -> Symbol:
        return self._step("scale", (x,), x.shape, key=key)

    def normalize(self, x: Symbol, eps: float) -> Symbol:
        return ops.normalize(x, eps)

    def read_cache(self, cache: Symbol, owner: int, part: str) -> Symbol:
        return cache

    def write_cache(self, cache: Symbol, rows: Symbol, position: Symbol, axis: int, owner: int, part: str) -> Symbol:
        return self._step("write", (cache, rows, position), cache.shape, axis=axis)

    def attention(self, query: Symbol, keys: Symbol, values: Symbol, mask: Symbol | None, layer: Layer) -> Symbol:
        assert mask is not None
        return ops.attend(self, query, keys, values, mask, layer)

    def attention_scores(self, query: Symbol, keys: Symbol) -> Symbol:
        return self._step("product", (query, keys), (*query.shape[:-1], keys.shape[-2]))

    def attention_mix(self, weights: Symbol, values: Symbol) -> Symbol:
        return self._step("product", (weights, values), (*weights.shape[:-1], values.shape[-2]))

    def mark(self, x: Symbol, name: str) -> Symbol:
        self.function.marks[name] = x.value.name
        return x

    def _step(self, operator: str, inputs: tuple[Symbol, ...], shape: tuple[int, ...], **more: Any) -> Symbol:
        made = self.function.emit(operator, tuple(x.value for x in inputs), shape, "float32", **more)
        return symbol.Symbol(self.function, made)


def entries(checkpoint: Checkpoint, context: int, prefill: tuple[int, ...]) -> list[Signature]:
    """The functions: caches go in and come out under one name."""
    made = []
    for found in signatures(checkpoint.text.config, context, prefill, "float32", "float32"):
        n = found.length
        given = (Tensor("position", (n,), "int32"), Tensor("mask", (1, 1, n, context), "float32"))
        inputs = (*found.inputs, *given, *found.states)
        made.append(Signature(found.name, n, inputs, (*found.states, *found.outputs)))
    return made


def lower(checkpoint: Checkpoint, entry: Signature) -> dict[str, Any]:
    """One function, as the header has it."""
    function = Function()
    given = {t.name: symbol.Symbol(function, Value(t.name, t.shape, t.dtype)) for t in entry.inputs}
    owners = checkpoint.text.config.owners
    caches = {layer.index: (given[f"kv_cache_k_{i}"], given[f"kv_cache_v_{i}"]) for i, layer in enumerate(owners)}
    run: Decoder[Symbol, Symbol] = Decoder(checkpoint.text.config, ToyOps(function, checkpoint))
    per_layer = given.get("per_layer_embeddings")
    logits, written = run(
        given["embeddings"], per_layer, given["position"], given["mask"], caches, logits=entry.gives_logits
    )
    results = {} if logits is None else {"logits": logits.value.name}
    for i, layer in enumerate(owners):
        for part, cache in zip("kv", written[layer.index], strict=True):
            results[f"kv_cache_{part}_{i}"] = cache.value.name
    return {
        "name": entry.name,
        "length": entry.length,
        "inputs": [_described(t) for t in entry.inputs],
        "outputs": [{**_described(t), "value": results[t.name]} for t in entry.outputs],
        "steps": function.steps,
        "marks": function.marks,
    }


def _described(tensor: Tensor) -> dict[str, Any]:
    assert np.dtype(tensor.dtype)
    return {"name": tensor.name, "shape": tensor.shape, "dtype": tensor.dtype}
