"""Rung 3 for Core ML: the package in Core ML itself, on every compute unit; runs on macOS alone."""

from __future__ import annotations

import numpy as np

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.native import UNITS, NativeRunner, placement
from runtime_tests.measures import metrics
from runtime_tests.results import Check, none, stated

STEPS = 64


def climb(case: CoremlCase) -> list[Check]:
    """Greedy agreement with the reference over the forced steps, and where the operations were placed."""
    checks: list[Check] = []
    first, second = case.lookup(case.ids)
    reference = case.profiled_logits
    ties = metrics.near_ties(reference, case.profiled_floor.deviation)
    for unit in UNITS:
        session = case.session(NativeRunner(case.package, unit))  # type: ignore[arg-type]
        rows = []
        for i in range(len(case.ids)):
            rows.append(session.decode(first[i : i + 1], None if second is None else second[i : i + 1]))
        found = np.stack(rows[case.prompt :])
        slips = [f"step {i}" for i in np.flatnonzero(~metrics.top1(reference, found) & ~ties)]
        checks += [
            none(f"{unit}: best token differs, near-ties aside", slips, "steps", int((~ties).sum())),
            stated(f"{unit}: logits", metrics.snr_db(reference, found), "dB"),
            *(stated(f"{unit}: operations on {where}", n, "operations") for where, n in placement(case.package, unit)),
        ]
    return checks
