"""The part of parity.json that the report draws: curves and tables, rounded. Nothing here is judged."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from runtime_tests.case import Case
from runtime_tests.measures.evidence import Evidence, Steps
from runtime_tests.report.departure import by_layer
from runtime_tests.report.strict import Strict, short


class StepCurves(Strict):
    """Rung 2b, one entry a forced decode step; and a sample of the logits."""

    first_position: int
    kl_nats: list[float] = Field(description="Kullback-Leibler divergence, artifact from reference")
    margin: list[float] = Field(description="the reference's best logit before its second")
    near_tie_below: list[float] = Field(description="a margin up to this is a near-tie by the reference's own floor")
    same_best: list[int] = Field(description="1 where both prefer the same token, else 0")
    logits_reference: list[float] = Field(description="seeded sample, each step's best token included")
    logits_artifact: list[float] = Field(description="the artifact's logits of the same tokens and steps")


class WeightShare(Strict):
    """Bytes of the file by component and bits."""

    component: str
    bits: int = Field(description="of a weight: 2, 4, 8 integers; 16, 32 floats; 0: no weights")
    tensors: int
    weight_bytes: int
    scale_bytes: int


class Curves(Strict):
    """What the rungs saw beyond their figures. Null: the rung did not come so far."""

    blocks_db: dict[str, list[float | None]] | None = Field(
        description="rung 2a: SNR in dB of each block's output on the reference's inputs, by kind and layer, the worst"
        " signature's; null where a layer has no such block"
    )
    blocks_bar_db: dict[str, float] = Field(description="the bar of each kind of block")
    steps: StepCurves | None
    bytes: list[WeightShare]


def curves(case: Case, seen: Evidence) -> Curves:
    """Of everything that the climbed rungs saw."""
    blocks, layers = seen.blocks, case.dims.layers
    return Curves(
        blocks_db=by_layer(blocks, layers) or None,
        blocks_bar_db={kind: case.budget.block_bar(kind) for kind in sorted(blocks)},
        steps=None if seen.steps is None else _steps(seen.steps),
        bytes=[WeightShare.model_validate(vars(share)) for share in case.shares()],
    )


def _steps(steps: Steps) -> StepCurves:
    return StepCurves(
        first_position=steps.first,
        kl_nats=_shortened(steps.kl),
        margin=_shortened(steps.margin),
        near_tie_below=_shortened(steps.tie),
        same_best=[int(same) for same in steps.same],
        logits_reference=_shortened(steps.reference),
        logits_artifact=_shortened(steps.artifact),
    )


def _shortened(values: Iterable[float]) -> list[float]:
    return [short(float(value)) for value in values]
