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

from convert import child, streams
from convert import feeding as feed
from convert.bundle import atomic
from convert.bundle import papers as paperwork
from convert.bundle.manifest import Evaluation, Parity, Rung
from convert.bundle.names import GOLDEN, PAGE, PARITY
from convert.bundle.platform import find_platform
from convert.checkpoint import with_digests
from convert.checkpoint.drafter import all_files
from convert.checkpoint.unchanged import check_unchanged, looks
from convert.errors import ArtifactError
from convert.memory import give_back
from convert.plan import Plan, Request, choose, prepare
from convert.progress import Progress
from convert.targets import all_targets
from convert.targets.target import Target
from convert.work import order


@dataclass(frozen=True)
class Measure:
    """What a stage cost: seconds on the wall, and the peak of its process's resident memory in bytes."""

    stage: str
    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Built:
    """A published bundle, its size in bytes, the judge's table, and what packing has to say."""

    bundle: Path
    bytes: int
    table: str
    packed: str | None = None


class ParityError(Exception):
    """The judge found the artifact over budget. Nothing was published; ``table`` says what strayed."""

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__("over budget, or not proven: nothing was published")


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
    packing, target = find_platform(request.asked, plan.platform).packing(plan.target), all_targets()[plan.target]
    tools = packing.tools(plan.packing, progress)
    before = looks(all_files(checkpoint))
    with _measured("digest", meter):
        checkpoint = with_digests(checkpoint, progress)
    check_unchanged(before, request.asked)
    with atomic.site(plan.bundle) as site:
        # Scratch files of the stages lie on the site too, so that a SIGKILL cannot strand them elsewhere.
        (site.work / "tmp").mkdir()
        env = os.environ | {"TMPDIR": str(site.work / "tmp"), "COLUMNS": str(terminal_width())}
        if request.evaluation is None:
            forget(answers_of(plan))  # of a build that was killed
        target.collect(checkpoint, plan.options, site.new)
        model, told = site.new / target.model, site.work / "order.json"
        told.write_text(order(plan, checkpoint, model), encoding="utf-8")
        give_back()
        ran = child.run([sys.executable, "-m", "convert.work", str(told)], env, site.lock)
        ran.check("convert")
        check_unchanged(before, request.asked)
        meter(Measure("convert", ran.seconds, ran.peak_bytes))
        # The judge feeds the model as an app will: by this part of the manifest, which comes after its report.
        calls, images = target.calls(checkpoint, site.new), target.images(checkpoint, site.new)
        fed, beside = feed.feeding(checkpoint, calls, images), site.work / "feeding.json"
        beside.write_text(feed.to_json(fed), encoding="utf-8")
        give_back()
        with progress.elsewhere("judge"):
            command = [*judge(model, plan, site.new), "--feeding", str(beside), *evaluation(plan, request)]
            ran = child.run(command, env, site.lock)
        if ran.code != 2:  # it has not refused by itself; a verdict on files that were changed meanwhile is none
            check_unchanged(before, request.asked)
        if ran.code == 1 and (site.new / PARITY).is_file():  # without a report the judge itself has failed
            forget(answers_of(plan))
            raise ParityError(ran.output)
        ran.check("judge")
        meter(Measure("judge", ran.seconds, ran.peak_bytes))
        with progress.stage("papers"), _measured("papers", meter):
            parity = read_parity(site.new / PARITY, model, target)
            paperwork.finish(site.new, plan.name, checkpoint, parity, target, plan.platform, fed)
        with _measured("packing", meter):
            packed = packing.pack(site.new, tools, plan.packing, site.work / "tmp", progress)
        with progress.stage("publish"), _measured("publish", meter):
            size = sum(path.stat().st_size for path in site.new.rglob("*") if path.is_file())
            site.publish()
        forget(answers_of(plan))
    return Built(plan.bundle, size, ran.output, packed)


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


def judge(model: Path, plan: Plan, reports: Path) -> list[str]:
    """The judge's command line; it writes its reports into ``reports``."""
    command = [sys.executable, "-m", "runtime_tests", "verify", str(model), "--checkpoint", str(plan.folder)]
    command += [] if plan.drafter is None else ["--drafter", str(plan.drafter.folder)]
    for flag, name in (("--json", PARITY), ("--html", PAGE), ("--golden", GOLDEN)):
        command += [flag, str(reports / name)]
    return command


def read_parity(report: Path, model: Path, target: Target) -> Parity:
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
    if parity.artifact_sha256 != target.digest(model):
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


def kind_of(out: Path, runtime: str | None, usual: str) -> tuple[str, str | None]:
    """A platform that ships what a path's ending says, and the target of that: ``Model.mlpackage``, ``x.litertlm``.

    Args:
        usual: the platform of an ending that says nothing.
    """
    for target in all_targets().values():
        if runtime in (None, target.name) and Path(target.model).suffix == out.suffix:
            return min(target.platforms), target.name
    named = all_targets().get(runtime or "")
    return (min(named.platforms) if named else usual), runtime


def convert_file(request: Request, out: Path, progress: Progress) -> int:
    """Converts into one model without judging it, for those who want to look inside; returns its size in bytes.

    The model appears whole or not at all, and what lies beside it, each of it whole.

    Raises:
        ConvertError: refused; ``out`` is untouched.
    """
    choose(request).target.place(out, request.asked)
    plan, checkpoint = prepare(request, progress)
    before = looks(all_files(checkpoint))
    # Digests of the input say in the model what it was made of.
    checkpoint = with_digests(checkpoint, progress)
    target = all_targets()[plan.target]
    with atomic.site(out, as_folder=False) as site:
        target.convert(checkpoint, plan.options, site.new / out.name, progress)
        check_unchanged(before, request.asked)
        made = [path for path in site.new.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in made)
        site.publish_each()
    return size


@contextmanager
def _measured(stage: str, meter: Meter) -> Iterator[None]:
    start = time.perf_counter()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * child.RSS_UNIT
    meter(Measure(stage, time.perf_counter() - start, peak))


def terminal_width() -> int:
    """Columns to lay tables out for."""
    return min(160, shutil.get_terminal_size((120, 40)).columns)
