"""``parity.json``: the verdict as data. The same artifact, checkpoint and machine give the same bytes."""

from __future__ import annotations

import json
import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from runtime_tests.case import Case
from runtime_tests.ladder import passed
from runtime_tests.results import Rung

PACKAGES = ("ai-edge-litert", "litert-lm-api", "numpy", "tensorflow", "torch", "transformers")


class Strict(BaseModel):
    """Base of all parts: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CheckReport(Strict):
    """One figure with its bar."""

    name: str
    found: float
    limit: float | None = Field(description="the bar; null when the figure is only stated")
    sense: Literal["at least", "at most", "equal", "stated"]
    unit: str
    note: str
    passed: bool


class RungReport(Strict):
    """One rung of the ladder."""

    name: Literal["0", "1", "2a", "2b", "3", "arm64"]
    question: str
    status: Literal["pass", "fail", "not run"]
    why: str = Field(description="why it did not run; empty otherwise")
    checks: list[CheckReport]


class Floor(Strict):
    """The reference against itself, disturbed by 1e-6; the worst of the draws."""

    snr_db: float
    mean_kl_nats: float
    top1: float


class Artifact(Strict):
    """The judged file."""

    name: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(description="bytes")


class Checkpoint(Strict):
    """What it was judged against."""

    format: Literal["mobile", "q4_0"]
    files: dict[str, str] = Field(description="SHA-256 by file name")


class Parity(Strict):
    """A judgement of one artifact against one checkpoint."""

    schema_version: Literal[1]
    verdict: Literal["pass", "fail"] = Field(description="pass: every rung that was asked for ran and passed")
    artifact: Artifact
    checkpoint: Checkpoint
    floor: Floor | None = Field(description="null when no rung needed it")
    rungs: list[RungReport]
    versions: dict[str, str]


def report(case: Case, rungs: list[Rung]) -> Parity:
    """The report of a climb."""
    floor = case.__dict__.get("floor")  # only when a rung has measured it
    return Parity(
        schema_version=1,
        verdict="pass" if passed(rungs) else "fail",
        artifact=Artifact(
            name=case.artifact.path.name,
            sha256=case.artifact.sha256(),
            size=case.artifact.path.stat().st_size,
        ),
        checkpoint=Checkpoint.model_validate({"format": case.folder.format, "files": case.folder.hashes()}),
        floor=None
        if floor is None
        else Floor(snr_db=short(floor.snr_db), mean_kl_nats=short(floor.mean_kl), top1=short(floor.top1)),
        rungs=[_rung(item) for item in rungs],
        versions=versions(),
    )


def _rung(item: Rung) -> RungReport:
    checks = [
        CheckReport(
            name=check.name,
            found=short(check.found),
            limit=None if check.limit is None else short(check.limit),
            sense=check.sense,
            unit=check.unit,
            note=check.note,
            passed=check.passed,
        )
        for check in item.checks
    ]
    return RungReport.model_validate(
        {**{k: getattr(item, k) for k in ("name", "question", "status", "why")}, "checks": checks}
    )


def short(value: float) -> float:
    """Four significant digits; what is not finite becomes a huge number, for JSON has no infinity.

    >>> short(123.456), short(0.000123456), short(float("inf"))
    (123.5, 0.0001235, 1e+300)
    """
    if not math.isfinite(value):
        return -1e300 if value < 0 else 1e300
    return float(f"{value:.4g}")


def dump(parity: Parity) -> str:
    """The bytes of parity.json."""
    return json.dumps(parity.model_dump(mode="json"), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def schema() -> str:
    """The bytes of schema/parity.schema.json."""
    return json.dumps(Parity.model_json_schema(), indent=2, sort_keys=True) + "\n"


def versions() -> dict[str, str]:
    """Installed versions of the packages that take part in the judgement."""
    from importlib.metadata import PackageNotFoundError, version

    out = {}
    for name in PACKAGES:
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            out[name] = "not installed"
    return out
