"""Judging a finished bundle again: finds the checkpoint it was made from and hands both to the judge's own process."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from convert import outputs
from convert.bundle import manifest as m
from convert.checkpoint import Located, resolve
from convert.checkpoint.drafter import locate
from convert.checkpoint.unchanged import check_unchanged, looks
from convert.child import killed
from convert.errors import ArtifactError
from convert.inspection.intact import intact
from convert.targets import all_targets


@dataclass(frozen=True)
class Asked:
    """What a rung asks beyond what the bundle brings.

    Attributes:
        evaluation: rung 4: a file of questions instead of the checkpoint's; so many ``questions`` of them, or all.
        float_model: rung 4: folder of the float model.
        arm64: whether the file runs on an emulated arm64 processor as well.
        second_opinion: whether another project's runtime is asked as well.
        drafter: what its drafter was made from; None: what the manifest says.
    """

    evaluation: Path | None = None
    questions: int | None = None
    float_model: Path | None = None
    arm64: bool = False
    second_opinion: bool = False
    drafter: str | None = None


def verify(
    bundle: Path,
    checkpoint: str | None,
    rungs: str | None,
    report: Path | None,
    page: Path | None = None,
    asked: Asked = Asked(),
) -> int:
    """Runs the judge in place of this process's own output; gives its exit code: 0, 1 over budget, 2 bad input.

    Raises:
        PlanError: a report would take the place of something that is no file.
        CheckpointError: the checkpoint was changed while it was read.
        ArtifactError: a file of the bundle was changed, no checkpoint is known, or the one given is not the one that
            the bundle was made from.
        KilledError: the judge's process was killed, or its runtime crashed.
    """
    import subprocess

    for target in (report, page):
        if target is not None:
            outputs.check_report(target, f"verify {bundle}")
    folder, drafter = _checkpoint(bundle, checkpoint), _drafter(bundle, asked.drafter)
    folders = [folder, *([] if drafter is None else [drafter])]
    before = looks(p for each in folders for p in each.iterdir() if p.is_file() and p not in (report, page))
    command = judge(bundle, folder)
    command += [] if drafter is None else ["--drafter", str(drafter)]
    command += ["--rungs", rungs] if rungs else []
    given = {
        "--json": report,
        "--html": page,
        "--evaluation": asked.evaluation,
        "--questions": asked.questions,
        "--float": asked.float_model,
    }
    for flag, value in given.items():
        command += [flag, str(value)] if value is not None else []
    command += ["--arm64"] if asked.arm64 else []
    command += ["--second-opinion"] if asked.second_opinion else []
    sys.stdout.flush()
    code = subprocess.run(command, env=os.environ, check=False).returncode
    if code < 0:
        crashed = "Most likely its runtime crashed on this file: build the bundle again"
        raise killed(f"verify {bundle}", "the judge's process", code, "", crashed)
    if code != 2:  # else the judge has refused by itself
        check_unchanged(before, f"verify {bundle}")
    return code


def judge(bundle: Path, checkpoint: Path) -> list[str]:
    """The judge's command line, without its options."""
    return [sys.executable, "-m", "runtime_tests", "verify", str(bundle), "--checkpoint", str(checkpoint)]


def _checkpoint(bundle: Path, given: str | None) -> Path:
    asked = f"verify {bundle}"
    if not bundle.exists():
        raise ArtifactError(asked, "there is no such file or folder", "Build it first, with the command bundle")
    if _bare(bundle):
        if given is None:
            raise ArtifactError(asked, "a bare model does not say what it was made from", "Give --checkpoint")
        return resolve(given).folder
    intact(bundle)  # before anything that it says is believed
    return _found(asked, m.read(bundle).source, given, "--checkpoint", "it", resolve)


def _drafter(bundle: Path, given: str | None) -> Path | None:
    """The folder of the drafter's checkpoint; None where the bundle has no drafter."""
    asked = f"verify {bundle}"
    if _bare(bundle):
        return None if given is None else locate(given).folder
    if (drafter := m.read(bundle).drafter) is None:
        if given is not None:
            raise ArtifactError(asked, "--drafter was given, and the bundle has none", "Leave --drafter out")
        return None
    return _found(asked, drafter.source, given, "--drafter", "its drafter", locate)


def _bare(bundle: Path) -> bool:
    return not bundle.is_dir() or bundle.suffix in {Path(target.model).suffix for target in all_targets().values()}


def _found(
    asked: str, source: m.Source, given: str | None, flag: str, what: str, find: Callable[[str], Located]
) -> Path:
    if given is None:
        if source.id != "demo" and source.revision is None:
            found = f"{what} was made from a folder called {source.id!r}, and no path is kept in a bundle"
            raise ArtifactError(asked, found, f"Give the folder with {flag}")
        given = source.id if source.revision is None else f"{source.id}@{source.revision}"
    folder = find(given).folder
    for name, expected in sorted(source.files.items()):
        _same(asked, folder / name, expected, flag, what)
    return folder


def _same(asked: str, path: Path, expected: m.File, flag: str, what: str) -> None:
    advice = f"Give the checkpoint it was made from with {flag}"
    if not path.is_file():
        raise ArtifactError(asked, f"{what} was made from a {path.name} that {path.parent.name} does not have", advice)
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != expected.sha256:
            raise ArtifactError(
                asked, f"{what} was made from another {path.name} than that of {path.parent.name}", advice
            )
