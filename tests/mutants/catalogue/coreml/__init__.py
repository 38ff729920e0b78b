"""Faults in a Core ML package, in what lies beside it, and in what its bundle says of it."""

from __future__ import annotations

from tests.mutants.catalogue.coreml import beside, feeding, program, records, ring, weights

MUTANTS = (*weights.MUTANTS, *records.MUTANTS, *program.MUTANTS, *beside.MUTANTS, *feeding.MUTANTS, *ring.MUTANTS)
