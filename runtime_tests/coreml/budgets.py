"""The bars for ML Programs in the evaluator: where they differ from those of the format, and why."""

from __future__ import annotations

from dataclasses import replace

from runtime_tests.budgets import Budget, budget_for
from runtime_tests.readers.format import Storage


def coreml_budget(static_activations: bool, storage: Storage, profile: str = "gpu") -> Budget:
    """The budget of a checkpoint, for a program evaluated without float16's rounding.

    Args:
        static_activations, storage: see ``budget_for``.
        profile: ``ane`` where the program holds gains and activation scales as float16.
    """
    # Products are the evaluator's own, lm_head's among them: no dynamically quantized kernel, no sums in int8 terms.
    lattice_db = 90.0 if storage == "rounded lattice" else 0.0
    budget = replace(budget_for(static_activations, storage), logits_db=110.0, lattice_db=lattice_db)
    if profile != "ane":
        return budget
    # Its blocks and its logits meet the same bars, for constants.py puts its constants into the reference. What those
    # are worth is for rung 4 to say, against the checkpoint's own. A scale in float16 is off by up to 2^-11, and 127
    # steps of it by up to 0.06 of a step: some per cent of the codes round to their neighbour, and near-ties among the
    # tokens fall otherwise. A point is what that may cost.
    return replace(budget, artifact_points=1.0)
