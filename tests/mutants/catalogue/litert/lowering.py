"""Faults of lowering: the decoder is right, and an operation of this target does not do what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from convert.targets.litert import dynamic, weights
from convert.targets.litert.emit import symbol
from convert.targets.litert.ops import LitertOps
from convert.targets.litert.options import TERMS_OF_LOGITS, LitertOptions
from tests.mutants.mutant import Build, Mutant
from tests.mutants.wrap import Inject, together, wrapped

KIND = "lowering"
PACKAGE = "convert.targets.litert"
OPS = f"{PACKAGE}.ops.LitertOps"


def _terms(function: str, terms: int) -> Inject:
    """A float activation is split into fewer 8-bit terms."""
    return wrapped(f"{PACKAGE}.dynamic.{function}", lambda sound, x, weight, _: sound(x, weight, terms))


def _no_activations(sound: Any, ops: Any, graph: Any, held: Any, options: LitertOptions) -> None:
    """The operations hear of no activation scale; lm_head keeps its terms."""
    sound(ops, graph, replace(held, activations={}), replace(options, terms=TERMS_OF_LOGITS))


class _Told:
    """Faults that have to know the checkpoint, which an operation is told of when it is made."""

    def __init__(self) -> None:
        self.held: Any = None

    def wrapping(self, operation: str, fault: Any) -> Inject:
        return together(wrapped(f"{OPS}.__init__", self.start), wrapped(f"{OPS}.{operation}", fault))

    def start(self, sound: Any, ops: Any, graph: Any, held: Any, options: Any) -> None:
        self.held = held
        sound(ops, graph, held, options)

    def float_product(self, sound: Any, ops: LitertOps, x: Any, key: str) -> Any:
        """``linear`` with its activations rounded to both scales, and a product of floats between."""
        scales = self.held.activations.get(key)
        if scales is None or not (scales.input and scales.output):
            return sound(ops, x, key)
        weight = weights.quantized(x.value.graph, self.held.quants[key], key)
        x = ops.dequantize(ops.quantize(x, float(scales.input), f"{key}/in"), f"{key}/rounded")
        codes = ops.quantize(dynamic.per_channel(x, weight, TERMS_OF_LOGITS), float(scales.output), f"{key}/codes")
        return ops.mark(ops.dequantize(codes, f"{key}/rounded_out"), f"{key}/out")

    def by_the_output(self, sound: Any, ops: LitertOps, x: Any, scale: float, name: str) -> Any:
        """``quantize``, of a linear's input by the scale of its output."""
        key, _, side = name.partition("/")
        return sound(ops, x, float(self.held.activations[key].output) if side == "in" else scale, name)


def _moved_to_fit(sound: Any, ops: Any, cache: Any, rows: Any, position: Any, axis: int, **rest: Any) -> Any:
    if rows.shape[axis] > 1:
        position = position.minimum(cache.state.shape[axis] - rows.shape[axis])
    return sound(ops, cache, rows, position, axis=axis, **rest)


def _added(sound: Any, ops: Any, cache: Any, rows: Any, position: Any, axis: int, **rest: Any) -> Any:
    if rows.shape[axis] == 1:
        options = schema.GatherOptionsT()
        options.axis = axis
        at = [cache.state.value, position.reshape((1,)).modulo(cache.state.shape[axis]).value]
        rows = rows + symbol(rows.value.graph.op("GATHER", at, rows.shape, options=options))
    return sound(ops, cache, rows, position, axis=axis, **rest)


def _no_scale(sound: Any, ops: Any, cache: Any, rows: Any, position: Any, axis: int, **rest: Any) -> Any:
    out = sound(ops, cache, rows, position, axis=axis, **rest)
    if rows.shape[axis] > 1:
        state = out.state.value
        state.graph.tensors[state.index].quantization = None
    return out


def _first_two_exchanged(sound: Any, decoder: Any, *args: Any) -> Any:
    found, written = sound(decoder, *args)
    if not args[-1]:  # logits
        a, b = (owner.index for owner in decoder.config.owners[:2])
        written = {**written, a: written[b], b: written[a]}
    return found, written


def _no_offsets(sound: Any, x: Any, weight: Any, dtype: str, quantization: Any = None, name: str | None = None) -> Any:
    """Of a product in blocks, the one with a float matrix of offsets; it has no name of its own."""
    out = sound(x, weight, dtype, quantization, name)
    return (symbol(out) * 0.0).value if weight.dtype == "float32" and name is None else out


NO_ACTIVATIONS = wrapped(f"{OPS}.__init__", _no_activations)
TOLD = _Told()
UNSCALED = together(
    wrapped(f"{PACKAGE}.blocks._factor", lambda sound, *given: np.float32(2.0) * sound(*given)),
    wrapped(
        f"{PACKAGE}.dynamic.blockwise", lambda sound, x, weight, terms: sound(x, replace(weight, factor=None), terms)
    ),
)


def _mutant(name: str, what: str, fault: Inject, *expected: str, bed: str = "mobile") -> Mutant:
    return Mutant(name, KIND, bed, what, expected or ("2a",), Build(fault))


MUTANTS = (
    _mutant("head_in_8_bits", "lm_head's activations keep 8 bits", _terms("per_channel", 1)),
    _mutant("linears_in_16_bits", "q4_0 activations keep 16 bits of 24", _terms("blockwise", 2), bed="q4_0"),
    _mutant(
        "static_activations_left_out",
        "linears quantize their rows as they come",
        NO_ACTIVATIONS,
        "0",
        "2a",
    ),
    _mutant(
        "activations_rounded_but_float",
        "QUANTIZE and DEQUANTIZE around a float product",
        TOLD.wrapping("linear", TOLD.float_product),
        "0",
    ),
    _mutant(
        "input_scale_of_the_output",
        "each input is quantized by its linear's output scale",
        TOLD.wrapping("quantize", TOLD.by_the_output),
        "0",
        "2a",
    ),
    _mutant(
        "cache_without_room",
        "a padded last chunk is moved to fit the context",
        wrapped(f"{OPS}.write_cache", _moved_to_fit),
    ),
    _mutant(
        "cache_accumulates",
        "a new row is added to what an earlier conversation left",
        wrapped(f"{OPS}.write_cache", _added),
    ),
    _mutant(
        "prefill_caches_exchanged",
        "prefill hands out layer 0's cache as layer 1's",
        wrapped("convert.model.decoder.Decoder.stream", _first_two_exchanged),
    ),
    _mutant(
        "block_offsets_unused",
        "offsets are in the file and not in the sum",
        wrapped(f"{PACKAGE}.dynamic.fully_connected", _no_offsets),
        bed="q4_0",
    ),
    _mutant(
        "unscale_unused",
        "block scales moved by a power of two, which is told and not applied",
        UNSCALED,
        bed="q4_0",
    ),
    _mutant(
        "cache_scales_lost_in_prefill",
        "prefill's int8 caches have no scale",
        wrapped(f"{OPS}.write_cache", _no_scale),
        "0",
        bed="int8 cache",
    ),
)
