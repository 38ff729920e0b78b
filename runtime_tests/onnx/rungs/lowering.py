"""Rung 2b for ONNX: does the model in ONNX Runtime do what the reference does?

The model runs as an app runs it, from token ids. The prompt is prefilled in chunks of odd lengths, then 64 given tokens
are decoded one by one, beyond the sliding window; the logits of every step are compared with the reference's, beside
the noise floor.
"""

from __future__ import annotations

from runtime_tests.measures import metrics
from runtime_tests.measures.evidence import Evidence, steps
from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.vision.rows import compare_rows
from runtime_tests.results import Findings, stated
from runtime_tests.rungs.bars import judge, lattice_check, wrap


def climb(case: OnnxCase) -> Findings:
    """Runs the forced sequence and judges the decode steps."""
    found = case.forced(case.ids, case.prompt)
    seen = Evidence(steps=steps(case.prompt, case.logits, found, case.floor.deviation))
    checks = [wrap(case, f"{len(case.ids)} in all"), *judge(case, case.logits, found, case.floor)]
    if not case.lattice_fault:
        lattice = case.lattice_logits
        name = "logits, weights before their rounding to bfloat16"
        checks.append(lattice_check(case, name, metrics.snr_db(lattice, found)))
        agree = float(metrics.top1(lattice, found).mean())
        checks.append(stated("top-1 agreement with those weights", agree, "of 1"))
    return Findings([*checks, *compare_rows(case)], seen)
