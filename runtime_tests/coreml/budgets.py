"""The bars for ML Programs in the evaluator: where they differ from those of the format, and why."""

from __future__ import annotations

from dataclasses import replace

from runtime_tests.budgets import Budget, budget_for


def coreml_budget(format: str) -> Budget:
    """The budget of a checkpoint format, ``mobile`` or ``q4_0``, for a program evaluated without float16's rounding."""
    # Products are the evaluator's own, lm_head's among them: no dynamically quantized kernel, no sums in int8 terms.
    return replace(budget_for(format), logits_db=110.0, lattice_db=90.0 if format == "q4_0" else 0.0)
