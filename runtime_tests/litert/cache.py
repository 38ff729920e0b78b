"""Where the KV cache and the named boundaries keep their rows, and the reference's rows laid out that way.

Caches: keys ``[1, kv, R, hd]``, values ``[1, kv, hd, R]``; one pair per KV-owning layer, numbered in order. R is the
context, or of a sliding layer less, see ``rings.py``. New rows at
a boundary may be ordered ``[1, n, kv, hd]``, ``[1, kv, n, hd]`` or ``[1, kv, hd, n]``; the shape in all signatures says
which.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.case import DECODER, DRAFTER, LitertCase
from runtime_tests.litert.cuts.forced import Part
from runtime_tests.litert.rings import held, live
from runtime_tests.litert.runners.interpreter import entry_lengths
from runtime_tests.measures import metrics
from runtime_tests.reference.trace import Trace

Floats = NDArray[np.float32]
ORDERS = {"rows first": (1, 0, 2), "heads first": (0, 1, 2), "transposed": (0, 2, 1)}


class Cache:
    """The reference's keys, values and boundaries in the artifact's layouts."""

    def __init__(self, case: LitertCase, trace: Trace | None = None) -> None:
        """``trace``: the reference's insides; by default those that the rungs share."""
        self.case, self.model = case, case.model(DECODER)
        self.trace = case.trace if trace is None else trace
        self.lengths = entry_lengths(self.model)
        self.owners = [owner.layer for owner in case.dims.owners]
        self._orders: dict[str, tuple[int, ...]] = {}

    def names(self, part: Part) -> set[str]:
        """What the reference has in a part: boundaries, linears with an int8 output, the logits.

        What enters a layer is what the one before gave, so it has no name of its own.
        """
        if part == "head":
            return {"logits", *(("activations",) if DRAFTER in self.case.artifact.models() else ())}
        if part == "front":
            return set(self.trace.front.scales)
        captured = self.trace.layer(part)
        owned = {f"layers.{part}/{kind}" for kind in ("key", "value")} if part in self.owners else set()
        return {*captured.boundary, *captured.scales, *owned} - {f"layers.{part}/input"}

    def known(self, boundary: str) -> bool:
        """Whether the model has a layer of that number, and one that owns keys and values where these are named."""
        layer, kind = boundary.removeprefix("layers.").split("/")
        return int(layer) in (self.owners if kind in ("key", "value") else range(self.case.dims.layers))

    def rows(self, boundary: str, rows: slice) -> Floats:
        """The reference's rows at a boundary, ``[m, width]``; keys and values head by head."""
        layer, kind = boundary.removeprefix("layers.").split("/")
        if kind in ("key", "value"):
            heads = self._heads(int(layer), kind)[:, rows]
            return np.ascontiguousarray(heads.transpose(1, 0, 2)).reshape(heads.shape[1], -1)
        return self._boundary(int(layer), kind)[rows]

    def _boundary(self, layer: int, kind: str) -> Floats:
        """What stands between two layers is known without running either again."""
        if kind == "per_layer_input":
            return self.trace.per_layer_input(layer)
        if kind in ("input", "output"):
            return self.trace.entering(layer + (kind == "output"))
        return self.trace.layer(layer).boundary[f"layers.{layer}/{kind}"]

    def codes(self, key: str, rows: slice) -> NDArray[np.int32] | None:
        """The reference's int8 outputs of a linear, ``[m, out]``; None where it has no output scale."""
        layer = key.removeprefix("layers.").split(".")[0]
        captured = self.trace.layer(int(layer)) if layer.isdecimal() else self.trace.front
        if key not in captured.scales:
            return None
        scaled = captured.linears[key][rows] / np.float32(captured.scales[key])
        return np.asarray(np.rint(scaled), np.float32).astype(np.int32)

    def inside(self, path: str) -> Floats | None:
        """The reference's output of a linear or norm by its module path, ``[T, width]``; None for another module."""
        layer = path.removeprefix("layers.").split(".")[0]
        if path == "norm":
            return self.trace.norm()
        captured = self.trace.layer(int(layer)) if layer.isdecimal() else self.trace.front
        return captured.linears.get(path, captured.norms.get(path))

    def place(self, signature: str, boundary: str, rows: slice) -> Floats:
        """Those rows in the shape that the signature's tensor has, padded with zeros."""
        length, shape = self.lengths[signature], self._shape(signature, boundary)
        layer, kind = boundary.removeprefix("layers.").split("/")
        count = rows.stop - rows.start
        if kind in ("key", "value"):
            heads = self._heads(int(layer), kind)
            padded = np.zeros((heads.shape[0], length, heads.shape[2]), np.float32)
            padded[:, :count] = heads[:, rows]
            return np.ascontiguousarray(padded.transpose(self._order(boundary))).reshape(shape)
        return self.laid(signature, boundary, self._boundary(int(layer), kind)[rows])

    def marked(self, signature: str, boundary: str, value: NDArray[Any], row: int, sign: int) -> Floats:
        """New keys or values ``value`` of a call, with one token's row replaced by large numbers."""
        layer, kind = boundary.removeprefix("layers.").split("/")
        heads, _, head = self._heads(int(layer), kind).shape
        order = self._order(boundary)
        shape = tuple((heads, self.lengths[signature], head)[axis] for axis in order)
        turned = value.reshape(shape).transpose(np.argsort(order)).copy()
        turned[:, row] = np.random.default_rng(8).integers(40, 120, (heads, head)) * sign
        return np.ascontiguousarray(turned.transpose(order), np.float32).reshape(value.shape)

    def laid(self, signature: str, boundary: str, found: Floats) -> Floats:
        """Rows ``[m, width]`` of a boundary that is no key or value, in its tensor's shape, padded with zeros."""
        length, shape = self.lengths[signature], self._shape(signature, boundary)
        out = np.zeros((length, found.shape[1]), np.float32)
        out[: len(found)] = found
        return out.reshape(shape)

    def pick(self, signature: str, boundary: str, value: NDArray[Any], count: int) -> Floats:
        """The first ``count`` rows of a boundary's output, ``[count, width]``, head by head."""
        length = self.lengths[signature]
        layer, kind = boundary.removeprefix("layers.").split("/")
        if kind not in ("key", "value"):
            return np.asarray(value, np.float32).reshape(length, -1)[:count]
        heads, _, head = self._heads(int(layer), kind).shape
        order = self._order(boundary)
        shape = tuple((heads, length, head)[axis] for axis in order)
        back = np.asarray(value, np.float32).reshape(shape).transpose(np.argsort(order))
        return np.ascontiguousarray(back[:, :count].transpose(1, 0, 2)).reshape(count, -1)

    def filled(self, count: int, names: Collection[str]) -> dict[str, NDArray[Any]]:
        """Those of the named inputs that are caches, with the reference's first ``count`` rows; behind these what an
        earlier conversation left.

        The engine does not clear its caches, the mask alone hides old rows. They are the reference's rows here, the
        last one first: as large as true ones.
        """
        out = {}
        for number, layer in enumerate(self.owners):
            for kind, letter in (("key", "k"), ("value", "v")):
                name = f"kv_cache_{letter}_{number}"
                if name not in names:
                    continue
                heads = self._heads(layer, kind)
                positions, total = held(self.ring(name), count), heads.shape[1]
                behind = total - 1 - (np.arange(len(positions)) - count) % total
                stored = self.quantized(name, heads[:, np.where(positions >= 0, positions, behind)])
                out[name] = np.ascontiguousarray(stored.transpose(0, 2, 1) if kind == "value" else stored)[None]
        return out

    def ring(self, name: str) -> int:
        """Rows of a cache."""
        return self.case.cache_rows[name]

    def window(self, name: str) -> int | None:
        """How far a token looks back in a cache that is shorter than the context; None in one that is not."""
        return None if self.ring(name) == self.case.context else self.case.window

    def quantized(self, name: str, rows: Floats) -> NDArray[Any]:
        """Rows as the cache stores them: float32 as they are, int8 by the cache tensor's scale."""
        graph, entry = self.model.subgraph("decode"), self.model.signatures["decode"]
        tensor = graph.tensors[entry.inputs[name]]
        if tensor.type == "FLOAT32":
            return rows
        if tensor.type != "INT8" or tensor.quantization is None:
            raise CannotRunError(f"{name} is {tensor.type}; the judge knows float32 and int8 caches")
        return np.clip(np.rint(rows / tensor.quantization.scales[0]), -128, 127).astype(np.int8)

    def written(self, name: str, before: NDArray[Any], after: NDArray[Any], rows: slice) -> str:
        """What is wrong with a cache after a call: rows before the call's changed, or its own are not the reference's.

        Rows that no later token looks at may hold anything, those after the call's too: the mask hides them.
        """
        axis = 2 if "_k_" in name else 3
        old, new = (np.moveaxis(cache, axis, 0) for cache in (before, after))
        where = live(self.ring(name), rows.stop, self.window(name))
        positions = held(self.ring(name), rows.stop)[where]
        earlier, own = where[positions < rows.start], where[positions >= rows.start]
        if not np.array_equal(old[earlier], new[earlier]):
            return f"{name}: rows before {rows.start} changed"
        layer = self.owners[int(name.rsplit("_", 1)[1])]
        heads = self._heads(layer, "key" if "_k_" in name else "value")[:, positions[positions >= rows.start]]
        expected = np.moveaxis(self.quantized(name, heads), 1, 0)
        found = new[own].reshape(len(expected), -1)
        expected = expected.reshape(len(expected), -1)
        if found.dtype == np.int8:
            _, step = metrics.steps_off(expected, found)
            return f"{name}: {step} steps off" if step > 1 else ""
        quality = metrics.snr_db(expected, found)
        return f"{name}: {quality:.0f} dB" if quality < self.case.budget.cache_db else ""

    def _heads(self, layer: int, kind: str) -> Floats:
        return self.trace.rows(layer)[kind == "value"]

    def _shape(self, signature: str, boundary: str) -> tuple[int, ...]:
        return self.model.subgraph(signature).by_name[boundary].shape

    def _order(self, boundary: str) -> tuple[int, ...]:
        """Axes of ``[kv, n, hd]`` in the boundary's order, the same in every signature that names it."""
        if boundary not in self._orders:
            layer, kind = boundary.removeprefix("layers.").split("/")
            heads, _, head = self._heads(int(layer), kind).shape
            fitting = dict(ORDERS)
            for signature, length in self.lengths.items():
                if boundary in self.model.subgraph(signature).by_name:
                    shape = self._shape(signature, boundary)
                    fitting = {
                        name: order
                        for name, order in fitting.items()
                        if shape[-3:] == tuple((heads, length, head)[axis] for axis in order)
                    }
            if not fitting:
                raise CannotRunError(f"{boundary} has a shape that is no order of rows, heads and head_dim")
            self._orders[boundary] = next(iter(fitting.values()))
        return self._orders[boundary]
