"""Runs the catalogue: proves the sound models, injects each fault and climbs the rungs that must catch it."""

from __future__ import annotations

import functools
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest import mock

import numpy as np

from convert.errors import ConvertError
from runtime_tests.case import Case
from runtime_tests.errors import InputError
from runtime_tests.ladder import climb
from runtime_tests.results import Check, Rung
from runtime_tests.rungs import decoder as rung1
from tests.mutants.beds import Bed, open_bed
from tests.mutants.mutant import FIRST, REFUSED, Build, Edit, Mutant, Repack, Tamper

CHEAP = ("0", "2a", "2b", "3", "1")  # cheapest first; rung 1 starts a process of its own


@dataclass
class Outcome:
    """What became of a mutant.

    Attributes:
        caught: by rung, or ``refused``: the first failed check, or who refused.
        detail: what was found, for people.
        crashed: last line of an exception that was no answer; empty when there was none.
    """

    mutant: Mutant
    caught: dict[str, str] = field(default_factory=dict)
    detail: str = ""
    crashed: str = ""

    @property
    def missed(self) -> list[str]:
        return [name for name in self.mutant.expected if name not in self.caught]

    @property
    def ok(self) -> bool:
        """Every declared catcher caught it, and nothing crashed; a refusal counts only where it was declared."""
        stray = REFUSED in self.caught and REFUSED not in self.mutant.expected
        return not (self.missed or self.crashed or stray)


def control(bed: Bed) -> list[Rung]:
    """The sound model must pass every rung that is to catch something, or a caught mutant would prove nothing."""
    return climb(bed.control, rungs_of(bed))


def rungs_of(bed: Bed) -> tuple[str, ...]:
    """Those that are climbed with a target's models, cheapest first."""
    return tuple(name for name in CHEAP if name not in bed.control.elsewhere and (name != "1" or bed.target == FIRST))


def run(mutant: Mutant, bed: Bed, everything: bool = False) -> Outcome:
    """Injects the fault and judges; ``everything`` climbs all rungs and does not stop at those that were declared."""
    out = Outcome(mutant)
    with tempfile.TemporaryDirectory(dir=bed.work) as scratch, eager(mutant):
        try:
            made = _make(mutant, bed, Path(scratch))
        except ConvertError as error:
            out.caught[REFUSED], out.detail = "the converter", str(error)
            return out
        try:
            case = bed.judged(made)
            asked = CHEAP if everything or REFUSED in mutant.expected else mutant.expected
            for name in rungs_of(bed):
                if name not in asked or (name == "1" and not isinstance(mutant.fault, Build)):
                    continue
                (rung,) = climb(case, (name,))
                _note(out, rung)
                if not everything and REFUSED in mutant.expected and out.caught:
                    break
        except InputError as error:
            out.caught[REFUSED], out.detail = "the judge", str(error)
        except Exception as error:  # a defect of the judge, and the finding of this run
            out.crashed = f"{type(error).__name__}: {error} at {_place(error)}"
    return out


def run_all(
    todo: list[Mutant], work: Path, everything: bool, told: Callable[[str], None]
) -> Iterator[tuple[Outcome | None, str]]:
    """Controls first: each gives what fails of it, or nothing. Then the outcomes, in the catalogue's order.

    Args:
        told: hears of each before it begins.
    """
    beds = {(m.target, m.bed): m for m in todo}
    opened = {key: open_bed(*key, work) for key in beds}
    for (target, name), bed in opened.items():
        told(f"control: {target}, {name}")
        failed = [f"rung {r.name} {r.status} {r.why}" for r in control(bed) if r.status != "pass"]
        yield None, f"{target}, {name}: {'; '.join(failed)}" if failed else ""
    for mutant in todo:
        told(mutant.path)
        yield run(mutant, opened[mutant.target, mutant.bed], everything), ""


def _note(out: Outcome, rung: Rung) -> None:
    failed = [check for check in rung.checks if not check.passed]
    if rung.status == "not run":
        out.caught[REFUSED], out.detail = f"rung {rung.name} does not run", rung.why
    elif failed:
        out.caught[rung.name] = failed[0].name
        out.detail = out.detail or _said(failed[0])


def _said(check: Check) -> str:
    bar = "" if check.limit is None else f" ({check.sense} {check.limit:.4g})"
    return f"{check.found:.4g} {check.unit}{bar} {check.note}"


def _place(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


def _make(mutant: Mutant, bed: Bed, scratch: Path) -> Path:
    """The faulty model, or the folder of the faulty bundle."""
    folder = scratch / "model"
    folder.mkdir()
    match mutant.fault:
        case Edit(change):
            made = bed.edit(change, folder)
        case Build(fault):
            with fault():
                made = bed.convert(bed.checkpoint, folder)
        case Tamper(change):
            shutil.copytree(bed.checkpoint, scratch / "checkpoint")
            change(scratch / "checkpoint")
            made = bed.convert(scratch / "checkpoint", folder)
        case Repack(change):
            shutil.copytree(bed.bundle, scratch / "bundle")
            before = listing(bed.bundle)
            change(scratch / "bundle")
            assert listing(scratch / "bundle") != before, f"{mutant.name} changed nothing"
            return scratch / "bundle"
    assert not bed.same(made), f"{mutant.name} changed nothing"
    return made


def listing(folder: Path) -> dict[str, bytes]:
    """The files of a folder, by relative path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def eager(mutant: Mutant) -> Iterator[None]:
    """Hands rung 1 the logits of the faulty decoder, run here: the rung's own process would start a sound one."""

    def logits(case: Case, layers: Path, rounded: Path | None = None) -> np.ndarray:
        from convert.checkpoint import open_checkpoint
        from convert.model import eager

        text = open_checkpoint(case.folder.path).text
        runs = functools.partial(eager.run, tokens=case.ids, prefill=rung1.CHUNK, context=len(case.ids))
        assert isinstance(mutant.fault, Build)
        with mutant.fault.fault():
            if rounded is not None:
                np.save(rounded, runs(text, first=case.prompt))
            return runs(replace(text, activations={}), first=case.prompt, each=eager.in_files(layers))

    if isinstance(mutant.fault, Build):
        with mock.patch.object(rung1, "eager_logits", logits):
            yield
    else:
        yield


def brief(outcome: Outcome) -> str:
    """In a line."""
    who = ", ".join(f"{name} ({check})" for name, check in outcome.caught.items())
    return f"{'' if outcome.ok else 'NOT AS DECLARED '}{who or 'nothing'} {outcome.crashed}".strip()


def chosen(mutants: Iterable[Mutant], names: list[str] | None) -> list[Mutant]:
    """Those whose paths hold one of the names; all where none is given."""
    return [mutant for mutant in mutants if not names or any(part in mutant.path for part in names)]
