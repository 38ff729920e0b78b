"""The stages in order: open, plan, convert, judge, papers, publish.

Converting and judging are processes of their own. So the memory of one is gone before the next begins, and the judge
shares nothing with what it judges. Everything happens on a building site (``bundle/atomic.py``): until the last step
nobody sees anything, and the last step shows everything. A report that does not pass publishes nothing.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert import child, outputs, streams
from convert.bundle import android, atomic, ios, sample
from convert.bundle.manifest import Evaluation, Parity, Rung
from convert.checkpoint import used_files, with_digests
from convert.checkpoint.unchanged import check_unchanged, looks
from convert.errors import ArtifactError
from convert.plan import Plan, Request, prepare
from convert.progress import Progress


@dataclass(frozen=True)
class Measure:
    """What a stage cost: seconds on the wall, and the peak of its process's resident memory in bytes."""

    stage: str
    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Built:
    """A published bundle, its size in bytes, the judge's table, and what became of ``app.apk`` (android)."""

    bundle: Path
    bytes: int
    table: str
    apk: str | None = None


class ParityError(Exception):
    """The judge found the artifact over budget. Nothing was published; ``table`` says what strayed."""

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__("over budget, or not proven: nothing was published")


# What goes into a platform's bundle besides the model and the judge's reports.
BUNDLES: dict[str, Any] = {"android": android, "ios": ios}
ANSWERS = b'{"kind": "gemma-bridge answers'  # how a file of answers begins

Meter = Callable[[Measure], None]


def build(request: Request, progress: Progress, meter: Meter = lambda measure: None) -> Built:
    """Builds, judges and publishes one bundle; an older one of that name is replaced in one step.

    Raises:
        ConvertError: refused, before or during work. Nothing is left behind.
        ParityError: over budget. Nothing is left behind.
        child.StageError: a stage ended badly and has said why on stderr. Nothing is left behind.
    """
    with _measured("open and plan", meter):
        plan, checkpoint = prepare(request, progress)
    for line in plan.room.tight:
        streams.note(f"warning: {line}")
    # Before the long work, so that what has to fail fails at once.
    tools = sample.tools(request.apk, progress) if plan.platform == "android" else None
    before = looks(used_files(checkpoint))
    with _measured("digest", meter):
        checkpoint = with_digests(checkpoint, progress)
    check_unchanged(before, request.asked)
    with atomic.site(plan.bundle) as site:
        # Scratch files of the stages lie on the site too, so that a SIGKILL cannot strand them elsewhere.
        (site.work / "tmp").mkdir()
        env = os.environ | {"TMPDIR": str(site.work / "tmp"), "COLUMNS": str(terminal_width())}
        if request.evaluation is None:
            forget(answers_of(plan))  # of a build that was killed
        papers = BUNDLES[plan.platform]
        papers.collect(checkpoint, site.new)
        model = site.new / papers.MODEL
        command = [sys.executable, "-m", "convert", "convert", reference(plan, request), str(model), *flags(plan)]
        ran = child.run(command, env, site.lock)
        ran.check("convert")
        check_unchanged(before, request.asked)
        meter(Measure("convert", ran.seconds, ran.peak_bytes))
        with progress.elsewhere("judge"):
            command = [*judge(model, plan.folder, site.new), *evaluation(plan, request)]
            ran = child.run(command, env, site.lock)
        if ran.code != 2:  # it has not refused by itself; a verdict on files that were changed meanwhile is none
            check_unchanged(before, request.asked)
        if ran.code == 1 and (site.new / android.PARITY).is_file():  # without a report the judge itself has failed
            forget(answers_of(plan))
            raise ParityError(ran.output)
        ran.check("judge")
        meter(Measure("judge", ran.seconds, ran.peak_bytes))
        with progress.stage("papers"), _measured("papers", meter):
            papers.finish(site.new, plan.name, checkpoint, read_parity(site.new / android.PARITY, model))
        apk = None
        if tools is not None:
            with _measured("app.apk", meter):
                apk = sample.add(site.new, tools, request.apk, site.work / "tmp", progress).status
        with progress.stage("publish"), _measured("publish", meter):
            size = sum(path.stat().st_size for path in site.new.rglob("*") if path.is_file())
            site.publish()
        forget(answers_of(plan))
    return Built(plan.bundle, size, ran.output, apk)


def reference(plan: Plan, request: Request) -> str:
    """The model as a child has to be told it: a hub id with the very revision that was planned."""
    return request.model if plan.revision is None else f"{plan.source}@{plan.revision}"


def flags(plan: Plan) -> list[str]:
    """The plan's choices as flags of the ``convert`` verb."""
    lengths = ",".join(map(str, plan.prefill))
    made = ["--context", str(plan.context), "--prefill", lengths]
    if plan.precision is None or plan.profile is None:
        return [*made, "--cache", plan.cache]
    return [*made, "--precision", plan.precision, "--profile", plan.profile]


def evaluation(plan: Plan, request: Request) -> list[str]:
    """Flags of the judge about the questions of rung 4."""
    made = [] if request.questions is None else ["--questions", str(request.questions)]
    if request.evaluation is None:
        return made
    return [*made, "--evaluation", str(request.evaluation), "--answers", str(answers_of(plan))]


def answers_of(plan: Plan) -> Path:
    """Where rung 4 keeps answers until the bundle is there: beside it, for the building site goes with a build."""
    return plan.bundle.with_name(f".{plan.bundle.name}.answers")


def forget(answers: Path) -> None:
    """Removes answers that the judge kept, and nothing else of that name."""
    with suppress(OSError):
        if answers.is_file() and not answers.is_symlink():
            with answers.open("rb") as file:
                ours = file.read(len(ANSWERS)) == ANSWERS
            if ours:
                answers.unlink()


def judge(model: Path, checkpoint: Path, reports: Path) -> list[str]:
    """The judge's command line; it writes its reports into ``reports``."""
    command = [sys.executable, "-m", "runtime_tests", "verify", str(model), "--checkpoint", str(checkpoint)]
    for flag, name in (("--json", android.PARITY), ("--html", android.PAGE), ("--golden", android.GOLDEN)):
        command += [flag, str(reports / name)]
    return command


def read_parity(report: Path, model: Path) -> Parity:
    """The summary of a report that allows publication.

    What has to pass for that is the judge's rule alone. Here is looked whether the report obeys it: it says that the
    artifact may be published, and every rung that it requires has passed.

    Raises:
        ArtifactError: it speaks of another file, does not allow publication, contradicts itself, or cannot be read.
    """
    asked = f"bind {report.name} to {model.name}"
    try:
        found: dict[str, Any] = json.loads(report.read_text("utf-8"))
        parity = Parity(
            artifact_sha256=found["artifact"]["sha256"],
            rungs=[_rung(rung) for rung in found["rungs"]],
            evaluation=_evaluation(found.get("accuracy")),
        )
        required, allowed = list(found["publication"]["required"]), found["publication"]["allowed"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(asked, f"it is no passing report ({error!r})", "Report this as a defect") from error
    if parity.artifact_sha256 != (ios.digest(model) if model.is_dir() else android.entry(model).sha256):
        raise ArtifactError(asked, "the report speaks of a file with another SHA-256", "Report this as a defect")
    passed = {rung.rung for rung in parity.rungs if rung.verdict == "pass"}
    missing = sorted({*map(str, required)} - passed)
    if missing or not required:
        found_text = f"rung {', '.join(missing)} did not run" if missing else "it requires no rung"
        raise ArtifactError(asked, found_text, "Make it run: what is not proven is not published")
    if allowed is not True or found.get("verdict") != "pass":
        raise ArtifactError(asked, "the judge does not allow to publish it", "Look at the failing rungs in the report")
    return parity


def _evaluation(accuracy: dict[str, Any] | None) -> Evaluation | None:
    if accuracy is None:
        return None
    total = accuracy["systems"][0]["total"]
    return Evaluation(name=accuracy["questions"], sha256=accuracy["questions_sha256"], questions=total)


def _rung(rung: dict[str, str]) -> Rung:
    verdict = rung["status"] if rung["status"] == "pass" else f"{rung['status']}: {rung['why']}"
    return Rung(rung=rung["name"], question=rung["question"], verdict=verdict)


def convert_file(request: Request, out: Path, progress: Progress) -> int:
    """Converts into one model without judging it, for those who want to look inside; returns its size in bytes.

    Raises:
        ConvertError: refused; ``out`` is untouched.
    """
    (outputs.check_package if request.platform == "ios" else outputs.check_model)(out, request.asked)
    if request.platform == "ios":
        return _convert_package(request, out, progress)
    from convert.targets.litert import convert
    from convert.targets.litert.options import LitertOptions

    plan, checkpoint = prepare(request, progress)
    part = out.with_name(f".{out.name}.part")
    missing = [folder for folder in out.parents if not folder.exists()]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        before = looks(used_files(checkpoint))
        convert(checkpoint, LitertOptions(plan.context, plan.prefill, plan.cache), part, progress)
        check_unchanged(before, request.asked)
        atomic.sync(part)
        part.replace(out)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        for folder in missing:
            with suppress(OSError):  # holds something by now, or was never made
                folder.rmdir()
        raise
    return out.stat().st_size


def _convert_package(request: Request, out: Path, progress: Progress) -> int:
    """The package appears whole or not at all, then further parts and row tables beside it, each of them whole."""
    from convert.targets import coreml

    plan, checkpoint = prepare(request, progress)
    before = looks(used_files(checkpoint))
    # Digests of the input say in the package what it was made of.
    checkpoint = with_digests(checkpoint, progress)
    options = coreml.CoremlOptions(plan.context, plan.prefill, plan.precision, plan.profile)  # type: ignore[arg-type]
    with atomic.site(out) as site:
        beside = site.work / "beside"
        beside.mkdir()
        coreml.convert(checkpoint, options, site.new, progress, lambda k: beside / coreml.part_path(out, k).name)
        coreml.write_tables(checkpoint, beside, progress)
        check_unchanged(before, request.asked)
        atomic.sync_tree(beside)
        site.publish()
        for made in sorted(beside.iterdir()):
            if made.is_dir() and (out.parent / made.name).exists():
                shutil.rmtree(out.parent / made.name)
            made.replace(out.parent / made.name)
        atomic.sync(out.parent)
    return sum(path.stat().st_size for part in ios.packages(out) for path in part.rglob("*") if path.is_file())


@contextmanager
def _measured(stage: str, meter: Meter) -> Iterator[None]:
    start = time.perf_counter()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * child.RSS_UNIT
    meter(Measure(stage, time.perf_counter() - start, peak))


def terminal_width() -> int:
    """Columns to lay tables out for."""
    return min(160, shutil.get_terminal_size((120, 40)).columns)
