"""``parity.json``: the verdict as data. The same artifact, checkpoint and machine give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from runtime_tests.case import Case
from runtime_tests.kinds import packages
from runtime_tests.ladder import asked, passed
from runtime_tests.measures.accuracy import Accuracy, System
from runtime_tests.measures.evidence import Adaptation, together
from runtime_tests.report.curves import Curves, curves
from runtime_tests.report.departure import Localization
from runtime_tests.report.strict import Strict as Strict
from runtime_tests.report.strict import compact
from runtime_tests.report.strict import short as short
from runtime_tests.results import Rung

REFERENCE = ("numpy", "torch", "transformers")


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

    name: str = Field(pattern=r"^(0|1|2a|2b|3|4|arm64|second|device: .{1,80})$")
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

    format: str = Field(description="how it stores its weights", pattern="^[a-z0-9_]{1,40}$")
    files: dict[str, str] = Field(description="SHA-256 by file name")


class Family(Strict):
    """Questions of one kind."""

    name: str
    correct: int
    total: int


class SystemReport(Strict):
    """Right answers of one system, and its distance from the reference on the same questions."""

    name: str = Field(description="float, ptq, reference, artifact and so on")
    description: str
    source: Literal["measured", "recorded"] = Field(description="recorded: by the training run, bound by SHA-256")
    correct: int
    total: int
    low: float = Field(description="Wilson's 95 % interval of the accuracy")
    high: float
    points: float = Field(description="accuracy minus the reference's, in percentage points")
    lost: int = Field(description="questions that only the reference answers")
    gained: int = Field(description="questions that only this system answers")
    p: float | None = Field(description="exact McNemar test against the reference; null for the reference itself")
    families: list[Family]


class AccuracyReport(Strict):
    """Rung 4's table."""

    questions: str = Field(description="name of the questions' file")
    questions_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    in_file: int | None = Field(default=None, description="questions in the file, of which these were drawn")
    matches: list[str] = Field(default=["exact"], description="kinds of match, the most frequent first")
    left_out: int = Field(description="questions that do not fit the artifact's context")
    systems: list[SystemReport]


class TemplateReport(Strict):
    """The chat template in the file beside the checkpoint's own."""

    adapted: bool = Field(description="false: as published, character for character")
    added: int = Field(description="lines that only the file's template has")
    removed: int = Field(description="lines that only the checkpoint's has")
    diff: str = Field(description="unified, from the checkpoint's to the file's; empty when not adapted")


class Publication(Strict):
    """The one rule of what may be published; who publishes only looks whether it was obeyed."""

    required: list[str] = Field(description="every rung that applies to this artifact here, whichever were asked for")
    allowed: bool = Field(description="all of these ran and passed, and no other failed")


class Parity(Strict):
    """A judgement of one artifact against one checkpoint."""

    schema_version: Literal[1]
    verdict: Literal["pass", "fail"] = Field(
        description="pass: every rung that was asked for ran and passed; rung 4 is asked for where there are questions"
    )
    publication: Publication | None = Field(default=None, description="null in reports of older versions")
    artifact: Artifact
    checkpoint: Checkpoint
    floor: Floor | None = Field(description="null when no rung needed it")
    rungs: list[RungReport]
    curves: Curves
    localization: Localization | None = Field(description="null when no rung called for it and nobody asked")
    accuracy: AccuracyReport | None = Field(description="null when rung 4 did not run")
    template: TemplateReport | None = Field(
        default=None, description="null when rung 3 did not run or the artifact carries none for an engine"
    )
    versions: dict[str, str]


def report(
    case: Case,
    rungs: list[Rung],
    localization: Localization | None = None,
    names: tuple[str, ...] | None = None,
) -> Parity:
    """The report of a climb, and of a localization if there was one.

    Args:
        names: the rungs that were asked for; None for all that apply.
    """
    floor, seen = case.measured_floor, together(item.evidence for item in rungs)
    required = asked(case, None)
    return Parity(
        schema_version=1,
        verdict="pass" if passed(rungs, asked(case, names)) else "fail",
        publication=Publication(required=list(required), allowed=passed(rungs, required)),
        artifact=Artifact(
            name=case.artifact.path.name,
            sha256=case.artifact.sha256(),
            size=case.artifact.size,
        ),
        checkpoint=Checkpoint.model_validate({"format": case.folder.format, "files": case.folder.hashes()}),
        floor=None
        if floor is None
        else Floor(snr_db=short(floor.snr_db), mean_kl_nats=short(floor.mean_kl), top1=short(floor.top1)),
        rungs=[_rung(item) for item in rungs],
        curves=curves(case, seen),
        localization=localization,
        accuracy=None if seen.accuracy is None else _accuracy(seen.accuracy),
        template=None if seen.template is None else _template(seen.template),
        versions=versions((*REFERENCE, *packages(case.target))),
    )


def _template(found: Adaptation) -> TemplateReport:
    return TemplateReport(
        adapted=bool(found.diff), added=found.added, removed=found.removed, diff="\n".join(found.diff)
    )


def _accuracy(found: Accuracy) -> AccuracyReport:
    return AccuracyReport(
        questions=found.questions,
        questions_sha256=found.sha256,
        in_file=found.total,
        matches=list(found.matches),
        left_out=found.left_out,
        systems=[_system(found, item) for item in found.systems],
    )


def _system(found: Accuracy, item: System) -> SystemReport:
    beside, (low, high) = found.beside_reference(item), item.interval
    return SystemReport(
        name=item.name,
        description=item.description,
        source=item.source,
        correct=int(item.correct.sum()),
        total=len(item.correct),
        low=short(low),
        high=short(high),
        points=short(beside.points),
        lost=beside.lost,
        gained=beside.gained,
        p=None if item is found.reference else short(beside.p),
        families=[Family(name=n, correct=c, total=t) for n, (c, t) in found.by_family(item).items()],
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


def with_rung(parity: Parity, item: Rung) -> Parity:
    """The report with one rung more at its end; the verdict holds only if that one passes as well."""
    verdict = "pass" if parity.verdict == "pass" and item.status == "pass" else "fail"
    return parity.model_copy(update={"verdict": verdict, "rungs": [*parity.rungs, _rung(item)]})


def dump(parity: Parity) -> str:
    """The bytes of parity.json."""
    text = json.dumps(parity.model_dump(mode="json"), indent=2, ensure_ascii=False, sort_keys=True)
    return compact(text) + "\n"


def schema() -> str:
    """The bytes of schema/parity.schema.json."""
    return json.dumps(Parity.model_json_schema(), indent=2, sort_keys=True) + "\n"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Installed versions of packages that take part in the judgement, by name."""
    from importlib.metadata import PackageNotFoundError, version

    out = {}
    for name in sorted(packages):
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            out[name] = "not installed"
    return out
