"""``golden.json``: what the reference says to eight prompts. The app replays it on the device as a self-test."""

from __future__ import annotations

import json
from typing import Literal

import numpy as np
from pydantic import Field

from runtime_tests.case import Case
from runtime_tests.prompts import PROMPTS
from runtime_tests.report import Strict, short
from runtime_tests.rungs.engine import continuations

TOP = 5


class Step(Strict):
    """One greedy step: the best tokens and their logits, best first."""

    tokens: list[int]
    logits: list[float]


class Golden(Strict):
    """One prompt and its continuation."""

    prompt: str
    ids: list[int] = Field(description="token ids of the prompt, start token first")
    continuation: list[int] = Field(description="the reference's greedy tokens; a stop token ends them")
    certain: int = Field(description="how many of them come before the reference's first near-tie")
    steps: list[Step]


class GoldenFile(Strict):
    """All prompts of one artifact."""

    schema_version: Literal[1]
    artifact_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    goldens: list[Golden]


def golden(case: Case) -> GoldenFile:
    """Continues every prompt with the reference."""
    out = []
    for prompt, found in zip(PROMPTS, continuations(case), strict=True):
        order = np.argsort(-found.logits, axis=-1, kind="stable")[:, :TOP]
        steps = [
            Step(tokens=best.tolist(), logits=[short(float(row[i])) for i in best])
            for row, best in zip(found.logits, order, strict=True)
        ]
        out.append(
            Golden(
                prompt=prompt,
                ids=found.ids.tolist(),
                continuation=found.new.tolist(),
                certain=found.sure,
                steps=steps,
            )
        )
    return GoldenFile(schema_version=1, artifact_sha256=case.artifact.sha256(), goldens=out)


def dump(file: GoldenFile) -> str:
    """The bytes of golden.json."""
    return json.dumps(file.model_dump(mode="json"), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
