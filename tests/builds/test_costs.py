"""What a plan says of models of full size, beside what their builds took on a quiet machine of two cores."""

from __future__ import annotations

from dataclasses import replace

import pytest

from convert import costs
from convert.costs import Rates, Sizes, Stage, TargetCosts, Tower
from convert.targets.litert.costs import COSTS as LITERT

GB = 10**9
QUIET = Rates(flops=1.1e11, bytes=8e9, hashed=1.9e9)
Q4_0_E2B = Sizes(
    kind="rounded lattice",
    static=False,
    files=10208852910,
    stored=6695434822,
    model=8421680403,
    tables=5502926848,
    cache=150994944,
    linears=1876819968,
    head=402653184,
    largest=75497472,
    layers=35,
    owners=15,
    hidden=1536,
    vocab=262144,
    window=512,
    context=4096,
    prefills=4,
    questions=0,
)
# Measured: gigabytes of memory and of disk by stage.
TOOK = {
    "noise floor": (3.10, 8.34),
    "rung 0": (2.91, 8.34),
    "rung 1": (3.89, 8.75),
    "rung 2a": (5.74, 15.46),
    "rung 2b": (7.83, 16.68),
    "rung 3": (7.67, 16.68),
    "report": (4.70, 8.34),
}


def stages(sizes: Sizes, target: TargetCosts = LITERT) -> dict[str, Stage]:
    return {stage.name: stage for stage in costs.stages(sizes, QUIET, target)}


@pytest.mark.parametrize("name", TOOK)
def test_a_plan_covers_what_a_stage_took_at_full_size(name: str) -> None:
    memory, disk = TOOK[name]
    planned = stages(Q4_0_E2B)[name]
    assert memory <= planned.memory / GB <= 4 * memory
    assert disk <= planned.disk / GB <= 2.1 * disk


def test_images_cost_the_rungs_that_judge_them_what_they_took() -> None:
    """E2B mobile's tower beside what its rungs took on two cores: minutes with images, less those of text."""
    tower = Tower(weights=151_000_000, hidden=768, layers=16, rows=(70, 140, 280), pool=3)
    text = replace(Q4_0_E2B, kind="integers", static=True, model=2_240_000_000, tables=1_250_000_000)
    there = Rates(flops=1.89e11, bytes=5.6e9, hashed=1.8e9)
    without, seeing = (
        {stage.name: stage for stage in costs.stages(each, there, LITERT)}
        for each in (text, replace(text, tower=tower))
    )
    assert {name for name in without if without[name] != seeing[name]} == {"rung 2a", "rung 2b", "rung 3"}
    for name, took in {"rung 2a": 0.9, "rung 2b": 1.7, "rung 3": 3.6}.items():
        more = (seeing[name].seconds - without[name].seconds) / 60
        assert 0.9 * took < more < 1.5 * took, name


def test_the_reference_keeps_what_it_unpacked_only_where_that_is_integers_and_not_too_much() -> None:
    small = replace(Q4_0_E2B, kind="integers", linears=200 << 20, head=0)
    assert costs.kept(small) == 4 * (200 << 20)
    assert costs.kept(replace(Q4_0_E2B, kind="integers")) == 1876819968 + 402653184
    assert costs.kept(replace(Q4_0_E2B, kind="integers", linears=3 << 30)) == 0
    assert costs.kept(Q4_0_E2B) == 0


def test_a_drafter_costs_the_rungs_that_judge_it_and_no_other() -> None:
    """E2B's, of 77.7 million weights: the reference's own drafter, and texts in which no draft is right."""
    without, drafted = stages(Q4_0_E2B), stages(replace(Q4_0_E2B, drafter=77_731_332, questions=0))
    assert {name for name in without if without[name] != drafted[name]} == {"rung 2a", "rung 3"}
    assert drafted["rung 2a"].memory - without["rung 2a"].memory > 4 * 2 * 77_731_332  # two copies in float32
    assert drafted["rung 2a"].seconds > without["rung 2a"].seconds + 1
    assert drafted["rung 3"].seconds > 1.5 * without["rung 3"].seconds
    asked = {drafter: stages(replace(Q4_0_E2B, drafter=drafter, questions=10)) for drafter in (0, 77_731_332)}
    more = asked[77_731_332]["rung 3"].seconds - asked[0]["rung 3"].seconds
    assert more > drafted["rung 3"].seconds - without["rung 3"].seconds
