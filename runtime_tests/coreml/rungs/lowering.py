"""Rung 2b for Core ML: does the program, evaluated by itself with its states, do what the reference does?

The row tables feed it; the prompt is prefilled in chunks of odd lengths, then 64 given tokens are decoded one by one,
past the sliding window's wrap. A float32 program is held to the reference. Of a float16 program two things are asked:
its float64 evaluation, which rounds nothing, is held to the reference the same way, for that judges the program; and
evaluated with float16's rounding after each operation it must prefer the reference's token wherever the reference's
margin exceeds what that rounding itself moves. For a program of profile ``ane`` the reference has the same constants
(``constants.py``), and what those cost against the checkpoint's own is stated. This judges program and weights. It does
not run Apple's Neural Engine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.vision.rows import compare_rows
from runtime_tests.measures import metrics
from runtime_tests.measures.evidence import Evidence, steps
from runtime_tests.results import Check, Findings, none, stated
from runtime_tests.rungs.bars import judge, lattice_check, wrap


def climb(case: CoremlCase) -> Findings:
    """Runs the forced sequence and judges the decode steps."""
    past = min(len(case.ids) - case.window, len(case.ids) - case.prompt)
    note = f"{len(case.ids)} tokens in all; {past} decode steps past the wrap, states carried from call to call"
    checks = [wrap(case, note)]
    half = case.precision == "float16"
    found = case.exact if half else case.declared
    reference, shown, floor = case.profiled_logits, found.astype(np.float32), case.profiled_floor
    seen = Evidence(steps=steps(case.prompt, reference, shown, floor.deviation))
    note = "float64 arithmetic: the program itself" if half else "float32 arithmetic"
    checks += [
        stated("evaluated: program and weights, not the Neural Engine or any other device", len(found), "steps", note),
        *judge(case, reference, shown, floor),
        *_constants(case),
        *compare_rows(case),
    ]
    if case.folder.storage == "rounded lattice":
        quality = metrics.snr_db(case.lattice_logits, found)
        checks.append(lattice_check(case, "logits, weights before their rounding to bfloat16", quality))
    return Findings(checks + (_half(case, found) if half else []), seen)


def _constants(case: CoremlCase) -> list[Check]:
    """What the profile's constants cost: the reference with them against the checkpoint's own, no program involved."""
    if case.profiled is case.reference:
        return []
    own, rounded = case.logits, case.profiled_logits
    divergence, agree = metrics.mean_kl(own, rounded), float(metrics.top1(own, rounded).mean())
    note = f"the reference's own; mean KL {divergence:.4g} nats, top-1 agreement {agree:.4g}"
    return [stated("constants in float16: logits against the checkpoint's", metrics.snr_db(own, rounded), "dB", note)]


def _half(case: CoremlCase, exact: NDArray[np.float64]) -> list[Check]:
    """What float16 costs, and whether it changes a token that the reference is sure of."""
    found = case.declared
    reference = case.profiled_logits
    moved = np.abs(found - exact).max(axis=-1)
    moved = np.maximum(moved, np.median(moved))  # as in floor.py: no position is undisturbed but by luck
    ties = metrics.near_ties(reference, np.maximum(moved, case.profiled_floor.deviation))
    slips = [f"step {i}" for i in np.flatnonzero(~metrics.top1(reference, found) & ~ties)]
    note = f"{int(ties.sum())} of {len(ties)} steps have a margin below the float16 noise floor"
    agree = float(metrics.top1(reference, found).mean())
    return [
        stated("float16: logits against float64 of the same program", metrics.snr_db(exact, found), "dB"),
        stated("float16: logits against the reference", metrics.snr_db(reference, found), "dB"),
        stated("float16: top-1 agreement", agree, "of 1"),
        # With no certain step, equal tokens would be no evidence.
        *(
            [none("float16: best token differs, near-ties aside", slips, "steps", int((~ties).sum()))]
            if (~ties).any()
            else []
        ),
        stated("float16: steps certain enough to be compared", float((~ties).mean()), "of 1", note),
    ]
