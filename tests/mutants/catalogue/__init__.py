"""All mutants, target by target and kind by kind."""

from __future__ import annotations

from tests.mutants.catalogue import blocks, bundle, checkpoint, coreml, litert, onnx, positions, towers
from tests.mutants.mutant import Mutant

_ALL = (
    *positions.MUTANTS,
    *blocks.MUTANTS,
    *checkpoint.MUTANTS,
    *bundle.MUTANTS,
    *towers.MUTANTS,
    *litert.MUTANTS,
    *coreml.MUTANTS,
    *onnx.MUTANTS,
)
MUTANTS: tuple[Mutant, ...] = tuple(sorted(_ALL, key=lambda mutant: mutant.target))
