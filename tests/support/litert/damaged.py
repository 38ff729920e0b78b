"""A model that an engine loads and that computes wrongly."""

from __future__ import annotations

from pathlib import Path

from runtime_tests.litert.case import DECODER
from tests.support.litert.patient import Patient


def damaged(model: Path) -> bytes:
    """The model with every second row of every weight sixteen times too large, as a wrong kernel might read scales.

    It takes so much: with the rows of all down projections 64 times too large the demo still says the same words.
    """
    patient = Patient(model)
    for graph in patient.model(DECODER).subgraphs:
        for name, tensor in graph.by_name.items():
            if name.endswith(".weight") and tensor.quantization is not None and len(tensor.quantization.scales) > 1:
                tensor.quantization.scales[::2] *= 16
    return bytes(patient.bytes)
