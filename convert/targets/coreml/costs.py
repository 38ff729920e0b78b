"""What converting to a package and judging it cost; see ``convert.costs`` for the units and what is common."""

from __future__ import annotations

import sys

from convert import costs
from convert.costs import Rates, Sizes, Stage, TargetCosts

EVALUATOR = 4.0  # a pass of the judge's evaluator in float64, in float32 passes
LOWERED = 1.5  # rung 2b runs the program with and without rounding; E2B mobile: 2.7 minutes, where 2a took 2.1


def judged(s: Sizes, rate: Rates) -> list[Stage]:
    """The stages of the judge for a package."""
    length, rows = costs.tokens(s), costs.rows_judged(s)
    draws, short = costs.draws(s)
    held, mapped = 2 * costs.read_once(s, draws), int(costs.TOUCHED * (s.stored + s.model))
    runs, asked = costs.one_pass(s, rate, length, rows), costs.PROMPTS * costs.PROMPT_TOKENS
    seen = costs.seeing(s, rate)
    own = EVALUATOR * costs.one_pass(s, rate, asked, asked)
    made = [
        costs.floor(s, rate, draws),
        costs.zeroth(s, rate, mapped),
        costs.first(s, rate, draws),
        costs.rung("2a", EVALUATOR * (runs + seen.get("2a", 0.0)), held, mapped, s.model),
        costs.rung("2b", EVALUATOR * (LOWERED * runs + seen.get("2b", 0.0)), held, mapped, s.model),
    ]
    if sys.platform == "darwin":  # Core ML itself runs on a Mac alone
        made.append(costs.rung("3", own + costs.prompts(s, rate, costs.PROMPTS, short), held, mapped, s.model))
    if s.questions:
        step = EVALUATOR * costs.one_pass(s, rate, 1, 1) / 8  # many questions at once
        made.append(costs.rung("4", costs.questions(s, rate, step), held, mapped, s.model))
    goldens = own + costs.prompts(s, rate, costs.GOLDENS, short)
    return [*made, costs.rung("report", goldens, held + costs.kept(s), mapped, s.model)]


COSTS = TargetCosts({"integers": 20.0, "rounded lattice": 26.0}, judged)
