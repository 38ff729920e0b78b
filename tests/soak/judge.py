"""A drawn model on a platform: is the right one published, and the faulty one not?"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from convert.checkpoint import open_checkpoint as read
from convert.errors import ConvertError
from convert.lengths import prefill_lengths
from convert.progress import Silent
from convert.targets import all_targets
from runtime_tests.case import Case
from runtime_tests.errors import InputError
from runtime_tests.kinds import open_case
from runtime_tests.ladder import asked, climb
from tests.mutants.mutant import Build, Edit, Mutant, Tamper
from tests.mutants.patient import Patient
from tests.mutants.run import CHEAP, eager
from tests.soak.draw import Drawn
from tests.soak.faults import ANDROID, Fault, Operate
from tests.support.coreml.patient import Patient as Package

NERVOUS = "the reference agrees with itself on"
CRASHES = {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV}  # of native code
PUBLISHED, REFUSED, TOO_NERVOUS = "published", "refused", "nervous"


@dataclass(frozen=True)
class Told:
    """What became of a model.

    Attributes:
        verdict: ``published``, ``refused``, or ``nervous``: its own reference cannot judge it.
        why: the first check that failed, or who refused with what words.
        floor_db: the reference's noise floor; None where no report says it.
    """

    verdict: str
    why: str = ""
    floor_db: float | None = None


@dataclass(frozen=True)
class Stand:
    """A model on a platform.

    Attributes:
        checkpoint: its folder.
        work: a folder for files.
    """

    drawn: Drawn
    platform: str
    checkpoint: Path
    work: Path

    def bundle(self) -> Told:
        """The right model through the command line, as a user does it."""
        out = self.work / "dist"
        command = [sys.executable, "-m", "convert", "bundle", self.platform, str(self.checkpoint), "--out", str(out)]
        command += ["--context", str(self.drawn.context), "--prefill", ",".join(map(str, self.drawn.prefill))]
        command += ["--modalities", "text"]
        command += ["--cache", self.drawn.cache, "--apk", "skip"] if self.platform == ANDROID else []
        command += [] if self.platform == ANDROID else ["--precision", self.drawn.precision]
        env = os.environ | {"COLUMNS": "160"}
        ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        report = out / self.platform / self.checkpoint.name / "parity.json"
        if ran.returncode == 0:
            content = json.loads(report.read_text("utf-8"))
            shutil.rmtree(out)
            verdict = PUBLISHED if content["verdict"] == "pass" else REFUSED
            return Told(verdict, floor_db=content["floor"]["snr_db"] if content.get("floor") else None)
        said = " ".join((ran.stdout + ran.stderr).split())
        if NERVOUS in said:
            return Told(TOO_NERVOUS, said[said.index(NERVOUS) :][:60])
        why = f"exit code {ran.returncode}: {(ran.stderr.strip().splitlines() or [''])[-1]}"
        if ran.returncode != 1:
            return Told(REFUSED, why)
        # What failed stands in a table laid out for people; the judge is asked once more for its checks.
        found = self.judge(self.artifact)
        return Told(REFUSED, found.why or why, found.floor_db)

    @cached_property
    def artifact(self) -> Path:
        """The right model's artifact."""
        folder = self.work / "right"
        folder.mkdir()
        return self.convert(self.checkpoint, folder)

    def convert(self, checkpoint: Path, folder: Path) -> Path:
        """Converts with this model's choices, in this process."""
        opened, drawn = read(checkpoint), self.drawn
        target = all_targets()["litert" if self._android else "coreml"]
        lengths, _ = prefill_lengths("soak", drawn.prefill, drawn.context, target.prefill, target.pads)
        own = {"cache": drawn.cache} if self._android else {"precision": drawn.precision}
        out = folder / target.model
        options = target.options(drawn.context, lengths, **own)
        target.convert(opened, options, out, Silent())
        target.collect(opened, options, folder)
        return out

    def spoil(self, fault: Fault) -> Told:
        """The faulty model: what says no to it."""
        folder = self.work / "faulty"
        folder.mkdir()
        try:
            made = self._make(fault, folder)
            with _in_rung_1(fault):
                return apart(lambda: self.judge(made))
        except ConvertError as error:
            return Told(REFUSED, f"the converter: {error}")
        finally:
            shutil.rmtree(folder)

    def judge(self, artifact: Path) -> Told:
        """Every rung that publishing asks for, the cheap ones first, up to the first that does not pass."""
        try:
            case = open_case(artifact, self.checkpoint)
            names = asked(case, None)
            for name in (name for name in CHEAP if name in names):
                (rung,) = climb(case, (name,))
                if rung.status == "not run":
                    return Told(TOO_NERVOUS if NERVOUS in rung.why else REFUSED, f"rung {name}: {rung.why}")
                for check in rung.checks:
                    if not check.passed:
                        bar = "" if check.limit is None else f" ({check.sense} {check.limit:.4g})"
                        why = f"rung {name}: {check.name}: {check.found:.4g} {check.unit}{bar} {check.note}"
                        return Told(REFUSED, why, _floor(case))
            return Told(PUBLISHED, floor_db=_floor(case))
        except InputError as error:
            return Told(REFUSED, f"the judge: {error}")

    def _make(self, fault: Fault, folder: Path) -> Path:
        match fault.how:
            case Edit(change):
                patient = Patient(self.artifact)
                change(patient)
                made = folder / "model.litertlm"
                made.write_bytes(patient.bytes)
            case Operate(change):
                package = Package(self.artifact, folder / "package")
                change(package)
                made = package.close()
            case Build(inject):
                with inject():
                    made = self.convert(self.checkpoint, folder)
            case Tamper(change):
                shutil.copytree(self.checkpoint, folder / "checkpoint")
                change(folder / "checkpoint")
                (folder / "out").mkdir()
                made = self.convert(folder / "checkpoint", folder / "out")
        if _bytes(made) == _bytes(self.artifact):
            raise AssertionError(f"{fault.what}: changed nothing")
        return made

    @property
    def _android(self) -> bool:
        return self.platform == ANDROID


def apart(work: Callable[[], Told]) -> Told:
    """Judges in a process of its own: a runtime may abort on a faulty file, and takes its process with it."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        try:
            sender.send(work())
        except Exception as error:  # told where the others are
            sender.send(crashed(error))

    process = context.Process(target=child)
    process.start()
    sender.close()
    try:
        told = receiver.recv()
    except EOFError:
        told = None
    process.join()
    if isinstance(told, str):
        raise JudgeError(told)
    if told is None:
        code = process.exitcode or 0
        if -code not in CRASHES:  # such as a machine that lacks memory, which says nothing of the file
            raise JudgeError(f"the judge's process ended with {code} and told nothing")
        return Told(REFUSED, f"the judge's process was ended by {signal.Signals(-code).name}")
    return told


class JudgeError(Exception):
    """An exception of the judge, in one line."""


def _floor(case: Case) -> float | None:
    return case.floor.snr_db if "floor" in case.__dict__ else None


def _bytes(artifact: Path) -> dict[str, bytes]:
    """An artifact's content, with what lies beside a package."""
    root = artifact.parent if artifact.is_dir() else artifact
    files = root.rglob("*") if root.is_dir() else [root]
    return {path.name: path.read_bytes() for path in files if path.is_file()}


@contextmanager
def _in_rung_1(fault: Fault) -> Iterator[None]:
    """A fault in the converter's code reaches the process of rung 1 as well."""
    how = fault.how if isinstance(fault.how, Build) else Edit(lambda patient: None)
    with eager(Mutant(fault.what, fault.kind, "soak", fault.what, (), how)):
        yield


def crashed(error: BaseException) -> str:
    """An exception in one line."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} at {Path(frame.filename).name}:{frame.lineno}"
