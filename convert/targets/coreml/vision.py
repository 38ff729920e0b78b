"""Image input as a package of its own: the tower and its projection, patches in, rows of the decoder out.

It is one package of the kind that profile ``gpu`` has, whichever profile the decoder's is of: products in the chosen
precision, everything between them in float32. Angles, positions and the mean over patches need it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.checkpoint.modules.vision import VisionConfig
from convert.checkpoint.types import FloatTensor, Module
from convert.model.signature import Signature, Tensor
from convert.model.vision import Vision
from convert.targets.coreml.blob import Chunks
from convert.targets.coreml.emit import Symbol, append, symbol
from convert.targets.coreml.graph import Function, Program
from convert.targets.coreml.ops import CoremlOps
from convert.targets.coreml.options import CoremlOptions
from convert.targets.coreml.sizes import table_rows


def vision(module: Module[VisionConfig], options: CoremlOptions) -> tuple[Program, tuple[Signature, ...]]:
    """The program and its functions, one for each number of rows; weights are shared by key."""
    program, made = Program(), signatures(module.config, options)
    for entry in made:
        function = program.function(entry.name)
        patches, positions = (symbol(function, function.input(f.name, f.shape, f.dtype)) for f in entry.inputs)
        ops = TowerOps(function, module, options)
        tower = Vision(module.config, ops)
        features, _ = tower(patches, positions)
        rows = tower.project(ops.mark(features, "features"))
        (output,) = entry.outputs
        if rows.shape != output.shape:
            raise AssertionError(f"{entry.name}/{output.name}: {rows.shape} is not {output.shape}")
        function.output(output.name, rows.cast(output.dtype).value)
    return program, made


def signatures(config: VisionConfig, options: CoremlOptions) -> tuple[Signature, ...]:
    """Fewest rows first."""
    out = []
    for rows in options.image_rows:
        patches = rows * config.pool**2
        given = (
            Tensor("images", (1, patches, config.pixels), "float32", "Patches, from 0 to 1; padding is 0."),
            Tensor("positions_xy", (1, patches, 2), "int32", "The patches' x and y; those of padding are -1."),
        )
        meaning = "Rows of the decoder, an image's own first; they stand where embeddings stand."
        made = (Tensor("rows", (1, rows, config.width), options.precision, meaning),)
        out.append(Signature(f"vision_{rows}", rows, given, made))
    return tuple(out)


class TowerOps(CoremlOps):
    """Implements ``convert.model.vision.VisionOps[Symbol]``."""

    def __init__(self, function: Function, module: Module[VisionConfig], options: CoremlOptions) -> None:
        super().__init__(function, module, options)
        self.work = "float32"
        self._reach = table_rows(module.config, options)

    def spread(self, x: Symbol, key: str, rows: int) -> Iterator[Symbol]:
        """All rows in one piece: of 280 rows of an image 31 MB at a time, and a third of the operations."""
        yield self.linear(x, key)

    def gather(self, pieces: Iterable[Symbol], key: str) -> Symbol:
        (whole,) = pieces
        return self.linear(whole, key)

    def clip(self, x: Symbol, low: str, high: str) -> Symbol:
        """What is infinite clips nothing. The same value is clipped once to the same bounds."""
        bounds = [np.asarray(self._module.floats[key].float32(), np.float32).reshape(()) for key in (low, high)]

        def make() -> Symbol:
            out = x.cast(self.work)
            out = out.maximum(bounds[0]) if np.isfinite(bounds[0]) else out
            return out.minimum(bounds[1]) if np.isfinite(bounds[1]) else out

        return self._function.once(("clip", id(x.value), *(bound.tobytes() for bound in bounds)), make)

    def rows(self, key: str, axis: int, ids: Symbol) -> Symbol:
        """From the first rows of a table as float32."""
        table, name = self._module.floats[key], f"{key}.{'xy'[axis]}"
        shape = (self._reach, table.shape[-1])
        blob = self._function.program.blob(name, lambda: (self.work, shape, _table(table, axis, self._reach)))
        weight = self._symbol(self._function.weight(name, blob))
        choices = {"axis": np.int32(0), "batch_dims": np.int32(0), "validate_indices": np.bool_(False)}
        inputs = {"x": weight, "indices": ids.reshape((ids.shape[-1],)), **choices}
        found = append(self._function, "gather", inputs, (ids.shape[-1], shape[1]), self.work)
        return found.reshape((*ids.shape, shape[1]))

    def pool(self, weights: Symbol, values: Symbol) -> Symbol:
        """In float32: the residual stream leaves float16's range."""
        return self._matmul(weights, values.permute(0, 1, 3, 2), turned=False, dtype=self.work)


def _table(tensor: FloatTensor, axis: int, rows: int) -> Chunks:
    """The first rows of one table of a stack ``[tables, rows, width]``."""

    def chunks() -> Any:
        found: NDArray[np.float32] = tensor.float32(axis, axis + 1)[0, :rows]
        yield np.ascontiguousarray(found)

    return chunks
