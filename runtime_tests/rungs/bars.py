"""The bars that every target's rung 2b has: logits against the reference's, beside the noise floor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime_tests.case import Case
from runtime_tests.errors import CannotRunError
from runtime_tests.measures import metrics
from runtime_tests.reference.floor import RELATIVE, Floor
from runtime_tests.results import Check, at_least, at_most, none, stated
from runtime_tests.rungs.temper import unjudgeable


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
