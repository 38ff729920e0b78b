"""Rung 2b: does the artifact, running by itself, do what the reference does?

The embedding sections feed the decoder section. The prompt is prefilled in chunks of odd lengths, then 64 given tokens
are decoded one by one, beyond the sliding window; the logits of every step are compared with the reference's, beside
the noise floor. Then the beginning is run again over the caches that this left, as the engine does in its next
conversation: not a bit may differ.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime_tests.litert.case import DECODER, EMBEDDER, PER_LAYER, LitertCase
from runtime_tests.litert.rungs.second import opinions
from runtime_tests.litert.runners.interpreter import Session, lookup
from runtime_tests.litert.vision.rows import compare_rows
from runtime_tests.measures import metrics
from runtime_tests.measures.evidence import Evidence, steps
from runtime_tests.progress import walk
from runtime_tests.questions.chunks import chunks
from runtime_tests.reference.model import Ids
from runtime_tests.results import Findings, none, stated
from runtime_tests.rungs.bars import judge, lattice_check, wrap

AGAIN = 8  # decode steps of the second conversation


def climb(case: LitertCase) -> Findings:
    """Runs the artifact over the forced sequence and judges the decode steps."""
    session = Session(case.interpreter(DECODER), case.model(DECODER), case.large)
    found = forced_logits(case, case.ids, case.prompt, session)
    session.position = 0
    again = forced_logits(case, case.ids[: case.prompt + AGAIN], case.prompt, session)
    stale = [f"step {i}" for i in range(len(again)) if not np.array_equal(again[i], found[i])]
    reference = case.logits
    seen = Evidence(steps=steps(case.prompt, reference, found, case.floor.deviation))
    checks = [wrap(case, f"{len(case.ids)} in all"), *judge(case, reference, found, case.floor)]
    checks.append(none("logits differ in a second conversation", stale, "steps", len(again)))
    if case.cache_scales:  # the option's own cost, which the reference above shares
        plain = case.plain_logits
        checks.append(stated("logits, against a float32 cache", metrics.snr_db(plain, found), "dB"))
        checks.append(stated("mean KL, against a float32 cache", metrics.mean_kl(plain, found), "nats"))
    lattice = None if case.lattice_fault else case.lattice_logits
    del session
    case.release()  # the other runtimes' tapes hold caches of their own
    said = opinions(case)
    if lattice is not None:
        name = "logits, weights before their rounding to bfloat16"
        checks.append(lattice_check(case, name, metrics.snr_db(lattice, found), said.residual_db))
        agree = float(metrics.top1(lattice, found).mean())
        checks.append(stated("top-1 agreement with those weights", agree, "of 1"))
    return Findings([*checks, *said.checks, *compare_rows(case)], seen)


def forced_logits(case: LitertCase, ids: Ids, prompt: int, session: Session) -> NDArray[np.float32]:
    """Logits of the tokens from ``prompt`` on, each decoded after its given predecessors, ``[T - prompt, V]``."""
    first = lookup(case.interpreter(EMBEDDER), case.model(EMBEDDER), ids)
    wide = case.dims.per_layer_width
    second = lookup(case.interpreter(PER_LAYER), case.model(PER_LAYER), ids) if wide else None
    for start, stop in walk("chunks of the prompt", chunks(prompt, session.longest)):
        session.prefill(first[start:stop], None if second is None else second[start:stop])
    rows = []
    for i in walk("decode steps", range(prompt, len(ids))):
        rows.append(session.decode(first[i : i + 1], None if second is None else second[i : i + 1]))
    return np.stack(rows)
