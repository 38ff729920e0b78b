"""``golden.json``: what the reference says to a few prompts. An app replays it on the device as a self-test.

How it is read and replayed from Kotlin and Swift is written down in ``mobile_samples/GOLDEN.md``.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal

import numpy as np
from pydantic import Field

from runtime_tests.case import Case
from runtime_tests.questions.evaluation import Message
from runtime_tests.reference.model import Floats, Ids
from runtime_tests.report.golden_prompts import Asked, asked
from runtime_tests.report.strict import Strict, compact, short
from runtime_tests.rungs.continuations import TOP, Continuation, continue_greedily

DIGEST = 16  # hexadecimal digits of a step's digest
SIGMAS = 4.0


class Step(Strict):
    """One greedy step: what the reference thinks of the next token."""

    tokens: list[int] = Field(description="the five best token ids, best first", min_length=TOP, max_length=TOP)
    logits: list[float] = Field(description="their logits, softcap included", min_length=TOP, max_length=TOP)
    digest: str = Field(
        description="first 16 hex digits of SHA-256 over, for each of the five, the token as int32 and the logit as"
        " float32, little-endian, alternating",
        pattern="^[0-9a-f]{16}$",
    )


class Golden(Strict):
    """One prompt and its continuation."""

    prompt: str = Field(description="text without the start token; of a chat, after the chat template")
    messages: list[Message] = Field(description="the conversation; empty for a bare prompt")
    answer: str | None = Field(description="the right answer to the question; null when there is none")
    ids: list[int] = Field(description="token ids of the prompt, start token first")
    continuation: list[int] = Field(
        description="the reference's greedy tokens; a stop token ends them, or a token at or after a near-tie where the"
        " artifact chose another"
    )
    text: str = Field(description="the continuation without its stop token, as text")
    certain: int = Field(description="how many tokens of the continuation come before the reference's first near-tie")
    tokens_sha256: str = Field(
        description="SHA-256 over ids and then the first `certain` tokens of continuation, int32 little-endian",
        pattern="^[0-9a-f]{64}$",
    )
    steps: list[Step] = Field(description="one for each token of the continuation")


class GoldenFile(Strict):
    """All prompts of one artifact."""

    schema_version: Literal[1]
    artifact_sha256: str = Field(description="of the model file that this belongs to", pattern="^[0-9a-f]{64}$")
    stop_tokens: list[int] = Field(description="any of these ends a continuation")
    tolerance: float = Field(description="how far a logit of any step may be off in a sound runtime")
    mean_tolerance: float = Field(description="the same for the mean over all steps of each step's largest difference")
    goldens: list[Golden]


def golden(case: Case) -> GoldenFile:
    """Continues every prompt with the reference."""
    prompts = asked(case)
    found = _continued(case, prompts)
    one, mean = tolerances(case, found)
    return GoldenFile(
        schema_version=1,
        artifact_sha256=case.artifact.sha256(),
        stop_tokens=case.stops,
        tolerance=short(one),
        mean_tolerance=short(mean),
        goldens=[_golden(case, item, new) for item, new in zip(prompts, found, strict=True)],
    )


def _continued(case: Case, prompts: list[Asked]) -> list[Continuation]:
    """Rung 3 may have continued some of them already; what it has not is continued all at once."""
    known = {item.ids.tobytes(): item for item in (*case.continuations, *case.further)}
    keys = [np.array([case.start, *case.tokenize(item.prompt)], np.int32).tobytes() for item in prompts]
    new = [item for item, key in zip(prompts, keys, strict=True) if key not in known]
    fresh = iter(continue_greedily(case, [(item.prompt, item.steps) for item in new]) if new else [])
    return [known[key] if key in known else next(fresh) for key in keys]


def tolerances(case: Case, found: list[Continuation]) -> tuple[float, float]:
    """How far one logit may be off, and all on average: the noise floor, what the head and the arithmetic may cost.

    For one it is twice the worst of all steps: a rounding that flips may strike at any, also where a few draws saw
    none. The average is that of a draw over the five best tokens, which are all that is compared. The head is
    held to a bar by rung 2a; its error is taken at four sigmas. A float16 program's rounding is measured, and a device
    that orders its sums otherwise may be as far off on the other side: it counts twice.
    """
    floor = max(float(item.deviation.max()) for item in found)
    size = max(float(item.sizes.max()) for item in found)
    head = SIGMAS * size * 10.0 ** (-case.budget.logits_db / 20.0)
    typical = float(np.concatenate([item.typical for item in found]).mean())
    most, usual = case.arithmetic(found)
    return case.budget.floor_factor * floor + head + 2 * most, typical + head + 2 * usual


def _golden(case: Case, item: Asked, found: Continuation) -> Golden:
    spoken = [int(token) for token in found.new if int(token) not in case.stops]
    return Golden(
        prompt=item.prompt,
        messages=list(item.messages),
        answer=item.answer,
        ids=found.ids.tolist(),
        continuation=found.new.tolist(),
        text=case.detokenize(spoken),
        certain=found.sure,
        tokens_sha256=tokens_digest([*found.ids.tolist(), *found.new[: found.sure].tolist()]),
        steps=[_step(*pair) for pair in zip(found.best, found.logits, strict=True)],
    )


def _step(best: Ids, found: Floats) -> Step:
    logits = [float(f"{float(value):.6g}") for value in found]
    return Step(tokens=best.tolist(), logits=logits, digest=step_digest(best.tolist(), logits))


def tokens_digest(tokens: list[int]) -> str:
    """SHA-256 over tokens as int32, little-endian.

    >>> tokens_digest([2, 105])[:16]
    'cf45f209b27fdcce'
    """
    return hashlib.sha256(np.asarray(tokens, "<i4").tobytes()).hexdigest()


def step_digest(tokens: list[int], logits: list[float]) -> str:
    """Over pairs of int32 token and float32 logit, little-endian; a logit is the written number, rounded to float32.

    >>> step_digest([1, 2], [0.5, -1.25])
    'de3d66a842ab63c6'
    """
    pairs = np.zeros(len(tokens), [("token", "<i4"), ("logit", "<f4")])
    pairs["token"], pairs["logit"] = tokens, logits
    return hashlib.sha256(pairs.tobytes()).hexdigest()[:DIGEST]


def dump(file: GoldenFile) -> str:
    """The bytes of golden.json."""
    return compact(json.dumps(file.model_dump(mode="json"), indent=1, ensure_ascii=False, sort_keys=True)) + "\n"


def schema() -> str:
    """The bytes of schema/golden.schema.json."""
    return json.dumps(GoldenFile.model_json_schema(), indent=2, sort_keys=True) + "\n"
