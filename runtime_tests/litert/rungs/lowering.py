"""Rung 2b: does the artifact, running by itself, do what the reference does?

The embedding sections feed the decoder section. The prompt is prefilled in chunks of odd lengths, then 64 given tokens
are decoded one by one, beyond the sliding window; the logits of every step are compared with the reference's, beside
the noise floor. Then the beginning is run again over the caches that this left, as the engine does in its next
conversation: not a bit may differ.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime_tests.case import DECODER, EMBEDDER, PER_LAYER, Case
from runtime_tests.errors import CannotRunError
from runtime_tests.litert.runners.interpreter import Session, lookup
from runtime_tests.measures import metrics
from runtime_tests.measures.evidence import steps
from runtime_tests.progress import walk
from runtime_tests.reference.floor import RELATIVE, Floor
from runtime_tests.reference.model import Ids
from runtime_tests.results import Check, at_least, at_most, none, stated
from runtime_tests.rungs.temper import unjudgeable

ODD = (13, 7, 25)
AGAIN = 8  # decode steps of the second conversation


def climb(case: Case) -> list[Check]:
    """Runs the artifact over the forced sequence and judges the decode steps."""
    session = Session(case.interpreter(DECODER), case.model(DECODER), case.large)
    found = forced_logits(case, case.ids, case.prompt, session)
    session.position = 0
    again = forced_logits(case, case.ids[: case.prompt + AGAIN], case.prompt, session)
    stale = [f"step {i}" for i in range(len(again)) if not np.array_equal(again[i], found[i])]
    reference = case.logits
    case.evidence.steps = steps(case.prompt, reference, found, case.floor.deviation)
    checks = [wrap(case, f"{len(case.ids)} in all"), *judge(case, reference, found, case.floor)]
    checks.append(none("logits differ in a second conversation", stale, "steps", len(again)))
    if case.cache_scales:  # the option's own cost, which the reference above shares
        plain = case.plain_logits
        checks.append(stated("logits, against a float32 cache", metrics.snr_db(plain, found), "dB"))
        checks.append(stated("mean KL, against a float32 cache", metrics.mean_kl(plain, found), "nats"))
    lattice = None if case.lattice_fault else case.lattice_logits
    from runtime_tests.litert.rungs.second import opinions  # which stands on this rung's neighbours

    del session
    case.release()  # the other runtimes' tapes hold caches of their own
    said = opinions(case)
    if lattice is not None:
        name = "logits, weights before their rounding to bfloat16"
        checks.append(lattice_check(case, name, metrics.snr_db(lattice, found), said.residual_db))
        agree = float(metrics.top1(lattice, found).mean())
        checks.append(stated("top-1 agreement with those weights", agree, "of 1"))
    return [*checks, *said.checks]


def lattice_check(case: Case, name: str, quality: float, residual_db: float | None = None) -> Check:
    """Against the weights that the artifact multiplies with there is no rounding left to forgive.

    A fixed bar would ask how much a model makes of the last bits: a deep and nervous one is worse by 20 dB. The floor's
    draws measure that, with the stored weights and no allowance for their rounding; twice as far is still the floor.
    Where the runtime's sums disturb every layer more than the draws do, the floor is theirs: nothing is rounded in
    such a model, so what the draws do to its logits grows with them.

    Args:
        quality: of the logits, dB.
        residual_db: what the runtime's sums leave of a layer's output; None where they are as good as float32.
    """
    own, drawn = case.stored_floor.snr_db, -20.0 * float(np.log10(RELATIVE))
    coarser = 0.0 if residual_db is None else max(0.0, drawn - residual_db)
    bar = min(case.budget.lattice_db, own - coarser - 20.0 * float(np.log10(case.budget.floor_factor)))
    note = f"floor of the last bits {own:.4g} dB"
    if coarser:
        note += f", drawn at {drawn:g} dB in every layer where the kernels' sums leave {residual_db:.4g}"
    return at_least(name, quality, bar, "dB", note)


def wrap(case: Case, note: str) -> Check:
    """Whether the forced sequence goes beyond the sliding window; a context that ends before it is stated."""
    if case.context <= case.window:
        why = f"the context of {case.context} is not longer than the window of {case.window}: nothing can wrap"
        return stated("tokens beyond the sliding window", 0, "tokens", why)
    return at_least("tokens beyond the sliding window", len(case.ids) - case.window, 1, "tokens", note)


def judge(case: Case, reference: NDArray[np.float32], found: NDArray[np.float32], floor: Floor) -> list[Check]:
    """Figures of the decode steps against the floor or the absolute budget, whichever asks less."""
    budget, factor = case.budget, case.budget.floor_factor
    if why := unjudgeable(floor.top1):
        raise CannotRunError(why)
    snr, divergence = metrics.snr_db(reference, found), metrics.mean_kl(reference, found)
    agree = metrics.top1(reference, found)
    ties = metrics.near_ties(reference, floor.deviation)
    snr_bar = min(budget.lowering_db, floor.snr_db - 20.0 * float(np.log10(factor)))
    kl_bar = max(budget.lowering_kl, factor * floor.mean_kl)
    slips = [f"step {i}" for i in np.flatnonzero(~agree & ~ties)]
    beside = f"floor {{}} (x {factor:g})"
    checks = [
        stated("decode steps", len(found), "steps", f"{int(ties.sum())} near-ties by the reference's own floor"),
        at_least("logits", snr, snr_bar, "dB", beside.format(f"{floor.snr_db:.4g} dB")),
        at_most("mean KL", divergence, kl_bar, "nats", beside.format(f"{floor.mean_kl:.4g}")),
        none("best token differs, near-ties aside", slips, "steps", int((~ties).sum())),
    ]
    # Near-ties may fall either way one by one, but not much more often than in the floor's worst draw.
    allowed = max(factor * (1.0 - floor.top1), min(float(ties.mean()), 0.05))
    checks.append(at_least("top-1 agreement", float(agree.mean()), 1.0 - allowed, "of 1", f"floor {floor.top1:.4g}"))
    return checks


def forced_logits(case: Case, ids: Ids, prompt: int, session: Session) -> NDArray[np.float32]:
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


def chunks(total: int, longest: int) -> list[tuple[int, int]]:
    """Odd pieces of a prompt, none longer than the longest signature.

    >>> chunks(50, 16)
    [(0, 13), (13, 20), (20, 36), (36, 50)]
    """
    out: list[tuple[int, int]] = []
    start = 0
    while start < total:
        piece = ODD[len(out)] if len(out) < len(ODD) else longest
        stop = min(total, start + min(piece, longest))
        out.append((start, stop))
        start = stop
    return out
