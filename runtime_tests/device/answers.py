"""``self-test.json``: what the sample app writes on a phone. Nobody vouches for it, so it is read strictly."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError

from runtime_tests.errors import InputError
from runtime_tests.report.strict import Strict

LARGEST = 4 << 20  # bytes

Verdict = Literal["passed", "failed", "not compared"]
Backend = Literal["ane", "cpu", "gpu", "npu"]


class Case(Strict):
    """One golden as the phone replayed it."""

    prompt: str
    expected: str
    said: str
    verdict: Verdict
    why: str


class Replay(Strict):
    """All goldens on one backend. By logits ``largest`` is the farthest of all, ``mean`` that of each step's farthest;
    None stands for what is no number."""

    artifact_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    backend: Backend
    verdict: Verdict
    compared: Literal["text", "logits"] = "text"
    largest: float | None = None
    mean: float | None = None
    why: str = ""
    cases: list[Case]


class Trial(Strict):
    """What became of one backend; ``why`` is empty for the one that was taken."""

    backend: Backend
    why: str
    report: Replay | None = Field(description="null when it did not come to a replay")


class SelfTest(Strict):
    """The whole file."""

    schema_version: Literal[1]
    device: str = Field(pattern=r"^[\w .,()+-]{1,80}$", description="maker, model and system")
    model: str = ""
    artifact_sha256: str = ""
    verdict: Verdict
    why: str = ""
    trials: list[Trial]


def read(text: bytes) -> SelfTest:
    """Parses what came from the phone.

    Raises:
        InputError: too large, not JSON, or not what the app writes.
    """
    if len(text) > LARGEST:
        raise InputError(f"self-test.json of the phone: larger than {LARGEST} bytes")
    try:
        return SelfTest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"self-test.json of the phone: {where}: {first['msg']}") from error
