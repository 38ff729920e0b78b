"""All mutants, kind by kind."""

from __future__ import annotations

from tests.mutants import bundle, checkpoint, codes_and_scales, container, decoder, graph, metadata

MUTANTS = (
    *codes_and_scales.MUTANTS,
    *decoder.MUTANTS,
    *graph.MUTANTS,
    *metadata.MUTANTS,
    *container.MUTANTS,
    *checkpoint.MUTANTS,
    *bundle.MUTANTS,
)
