"""The bars for ML Programs in the evaluator: where they differ from those of the format, and why."""

from __future__ import annotations

from dataclasses import replace

from runtime_tests.budgets import Budget, budget_for

# Scales in float16 disturb every linear, the floor's draws one bit of its inputs.
ANE_FACTOR = 3.0


def coreml_budget(format: str, profile: str = "gpu") -> Budget:
    """The budget of a checkpoint format, ``mobile`` or ``q4_0``, for a program evaluated without float16's rounding.

    Args:
        profile: ``ane`` where the program holds gains and activation scales as float16.
    """
    # Products are the evaluator's own, lm_head's among them: no dynamically quantized kernel, no sums in int8 terms.
    budget = replace(budget_for(format), logits_db=110.0, lattice_db=90.0 if format == "q4_0" else 0.0)
    if profile != "ane":
        return budget
    # A scale in float16 is off by up to 2^-11: 66 dB a matrix, and 127 steps of it are up to 0.06 of a step, so that
    # some per cent of the codes round to their neighbour, and within a block one linear's outputs are the next one's
    # inputs. That is a coarser disturbance than the floor's. What it is worth is for rung 4 to say, within a point.
    return replace(
        budget,
        equal_codes=0.9,
        step=4,
        disturbed_rows=1.0,
        block_db=25.0,
        front_db=50.0,
        logits_db=50.0,
        artifact_points=1.0,
    )
