"""Faults in a ``.litertlm``."""

from __future__ import annotations

from tests.mutants.catalogue.litert import (
    codes_and_scales,
    container,
    drafter,
    filled,
    graph,
    lowering,
    metadata,
    ring,
    vision,
)

MUTANTS = (
    *codes_and_scales.MUTANTS,
    *lowering.MUTANTS,
    *graph.MUTANTS,
    *metadata.MUTANTS,
    *container.MUTANTS,
    *ring.MUTANTS,
    *vision.MUTANTS,
    *filled.MUTANTS,
    *drafter.MUTANTS,
)
