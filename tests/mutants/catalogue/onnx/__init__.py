"""Faults in two ONNX models, in their data, and in what lies beside them."""

from __future__ import annotations

from tests.mutants.catalogue.onnx import beside, container, graph, weights, windows

MUTANTS = (*weights.MUTANTS, *container.MUTANTS, *graph.MUTANTS, *beside.MUTANTS, *windows.MUTANTS)
