"""Rung 2a for toys: given the reference's residual stream, does each layer make the reference's next?"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from runtime_tests.measures import metrics
from runtime_tests.measures.evidence import Evidence, worst_by_layer
from runtime_tests.results import Check, Findings, at_least
from runtime_tests.toy.case import ToyCase

# A rounding to int8 that falls the other way in a layer of a small model; a wrong step leaves a few dB.
LAYER_DB = 35.0


def climb(case: ToyCase) -> Findings:
    """Feeds the forced sequence, with every layer's output given."""
    session, ids = case.session(), case.ids
    expected = {f"layers.{i}/output": case.trace.entering(i + 1) for i in range(case.dims.layers)}
    pairs, logits = defaultdict(list), []
    length = max(one["length"] for one in case.artifact.functions.values())
    starts = [*range(0, case.prompt - length + 1, length)]
    spans = [(start, start + length, f"prefill_{length}") for start in starts]
    spans += [(i, i + 1, "decode") for i in range(length * len(starts), len(ids))]
    for start, stop, name in spans:
        given = {mark: rows[None, start:stop] for mark, rows in expected.items()}
        outputs, made = session.call(name, ids[start:stop], given)
        for mark, found in made.items():
            pairs[mark].append((expected[mark][start:stop], found[0]))
        if name == "decode":
            logits.append((start, outputs["logits"].reshape(-1)))
    found = {
        mark: metrics.snr_db(*(np.concatenate(side) for side in zip(*all_, strict=True)))
        for mark, all_ in pairs.items()
    }
    worst = min(found, key=lambda mark: found[mark])
    head = metrics.snr_db(case.trace.logits([at for at, _ in logits]), np.stack([row for _, row in logits]))
    checks: list[Check] = [
        at_least(f"worst of {len(found)} layers", found[worst], LAYER_DB, "dB", worst),
        at_least("layers found by name", len(found), case.dims.layers, "layers"),
        at_least("logits", head, case.budget.logits_db, "dB"),
    ]
    return Findings(checks, Evidence(blocks=worst_by_layer(found.items())))
