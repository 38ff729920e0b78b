"""What converting to ONNX and judging it cost; see ``convert.costs`` for the units and what is common."""

from __future__ import annotations

from convert import costs
from convert.costs import Rates, Sizes, Stage, TargetCosts

UNPACKED = 0.7  # bytes through numpy for a weight that a step of the runtime multiplies with: most lie in four bits


def judged(s: Sizes, rate: Rates) -> list[Stage]:
    """The stages of the judge for an ONNX model."""
    length, rows = costs.tokens(s), costs.rows_judged(s)
    draws, short = costs.draws(s)
    numbers, mapped = costs.read_once(s, draws), int(costs.TOUCHED * (s.stored + s.model))
    runs, step = costs.one_pass(s, rate, length, rows), UNPACKED * (s.linears + s.head) / rate.bytes
    running, seen = s.model - s.tables + s.cache, costs.seeing(s, rate)
    told = costs.prompts(s, rate, costs.PROMPTS, short) + costs.PROMPTS * costs.ANSWER * step
    made = [
        costs.floor(s, rate, draws),
        costs.zeroth(s, rate, mapped),
        costs.first(s, rate, draws),
        costs.rung("2a", 3 * runs + seen.get("2a", 0.0), costs.read_once(s, 0), mapped, s.model),
        costs.rung("2b", runs + 2 * rows * step + seen.get("2b", 0.0), numbers + running, mapped, s.model),
        costs.rung("3", told, numbers + running, mapped, s.model),
    ]
    if s.questions:
        made.append(costs.rung("4", costs.questions(s, rate, step), numbers + running, mapped, s.model))
    golden = costs.prompts(s, rate, costs.GOLDENS - costs.PROMPTS, short) + costs.GOLDENS * costs.ANSWER * step
    return [*made, costs.rung("report", golden, numbers + running, mapped, s.model)]


COSTS = TargetCosts({"integers": 14.0, "rounded lattice": 40.0}, judged)
