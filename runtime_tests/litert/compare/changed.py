"""Rung 0, fourth part: of a matrix that is not the checkpoint's, by how much it was changed, and which ones were."""

from __future__ import annotations

import re
from collections import defaultdict

from runtime_tests.litert.case import DECODER, EMBEDDER, PER_LAYER, LitertCase
from runtime_tests.litert.weights.match import equal_vectors
from runtime_tests.litert.weights.matrices import Drift, Matrix, drift, matrices
from runtime_tests.litert.weights.stored import Stored
from runtime_tests.results import Check, none, stated


def compare_matrices(case: LitertCase, suspects: set[str]) -> list[Check]:
    """Measures every suspected matrix in every section that holds it.

    Args:
        suspects: names of the matrices that some comparison of this rung has found different.
    """
    everything = matrices(case.folder)
    drifts = [found for item in everything if item.name in suspects for found in _drifts(case, item)]
    drifts = [item for item in drifts if item.changed or item.gain != 1.0 or item.snr_db < EXACT_DB]
    worst = sorted(drifts, key=lambda item: (item.snr_db, item.name))
    checks = [none("matrices re-rounded", [f"{item.name}: {item}" for item in worst], "matrices", len(everything))]
    by_kind: dict[str, list[Drift]] = defaultdict(list)
    for item in drifts:
        by_kind[re.sub(r"^layers\.\d+\.", "", item.name)].append(item)
    for kind, items in sorted(by_kind.items()):
        note = "; ".join(f"{item.name.removesuffix(kind).rstrip('.') or kind} {item}" for item in items)
        checks.append(stated(f"re-rounded: {kind}, worst of {len(items)}", min(i.snr_db for i in items), "dB", note))
    return checks


EXACT_DB = 130.0  # a last bit here and there, which the bit-for-bit checks name


def compare_recognized(case: LitertCase) -> list[Check]:
    """What of a foreign file's constants could be recognized; nothing to say of this project's own files."""
    if not case.foreign:
        return []
    for section in (EMBEDDER, PER_LAYER):
        if section in case.artifact.models():
            case.model(section)
    found = {name: cosine for names in case.recognized.values() for name, cosine in names.items()}
    wanted = [item.name for item in matrices(case.folder)]
    lost = [f"{name}: nothing resembles it" for name in wanted if name not in found]
    worst = min(found, key=lambda name: (found[name], name), default="")
    note = f"least alike {worst.removesuffix('.weight')}, cosine {found[worst]:.4f}" if worst else ""
    equal, absent = equal_vectors(case.model(DECODER), case.folder)
    # A multiplication by a constant may have been folded into its neighbour: what is absent is told, and no fault.
    shown = f"not there as they are: {', '.join(absent[:3])}" if absent else ""
    return [
        none("matrices that cannot be recognized", lost, "matrices", len(wanted)),
        stated("matrices recognized by their values", len(found), "matrices", note),
        stated("vectors and scalars with equal values", equal, f"of {equal + len(absent)}", shown),
    ]


def _drifts(case: LitertCase, matrix: Matrix) -> list[Drift]:
    out = []
    for section in sorted({case.home(matrix.name), DECODER}):
        model, seen = case.model(section), set()
        for graph in model.subgraphs:
            tensor = graph.by_name.get(matrix.name)
            if tensor is None or tensor.buffer in seen or tensor.index in graph.producer:
                continue
            seen.add(tensor.buffer)
            stored = Stored(model, graph, tensor)
            if len(model.buffer(tensor.buffer)) and stored.readable and matrix.fits(stored):
                out.append(drift(matrix, stored))
    return out
