"""Runs the catalogue: proves the sound artifacts, injects each fault and climbs the rungs that must catch it."""

from __future__ import annotations

import json
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated
from unittest import mock

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from convert.errors import ConvertError
from runtime_tests.errors import InputError
from runtime_tests.ladder import climb
from runtime_tests.litert.case import LitertCase
from runtime_tests.readers.bundle import find_model
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.results import Check, Rung
from runtime_tests.rungs import decoder as rung1
from tests.mutants.bed import BEDS, Bed
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import REFUSED, Build, Edit, Mutant, Repack, Tamper
from tests.mutants.patient import Patient

GOLDEN = Path(__file__).parent / "golden.json"
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
    """The sound artifact must pass every rung that is to catch something, or a caught mutant would prove nothing."""
    return climb(bed.control, CHEAP)


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
            case = bed.control.like(open_litertlm(find_model(made)))
            asked = CHEAP if everything or REFUSED in mutant.expected else mutant.expected
            for name in (name for name in CHEAP if name in asked and (name != "1" or isinstance(mutant.fault, Build))):
                (rung,) = climb(case, (name,))
                _note(out, rung)
                if not everything and REFUSED in mutant.expected and out.caught:
                    break
        except InputError as error:
            out.caught[REFUSED], out.detail = "the judge", str(error)
        except Exception as error:  # a defect of the judge, and the finding of this run
            out.crashed = f"{type(error).__name__}: {error} at {_place(error)}"
    return out


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
    """The faulty artifact, or the folder of the faulty bundle."""
    import shutil

    target = scratch / "mutant.litertlm"
    match mutant.fault:
        case Edit(change):
            patient = Patient(bed.artifact)
            change(patient)
            target.write_bytes(patient.bytes)
        case Build(fault):
            with fault():
                bed.convert(bed.checkpoint, target)
        case Tamper(change):
            shutil.copytree(bed.checkpoint, scratch / "checkpoint")
            change(scratch / "checkpoint")
            bed.convert(scratch / "checkpoint", target)
        case Repack(change):
            shutil.copytree(bed.bundle, scratch / "bundle")
            change(scratch / "bundle")
            return scratch / "bundle"
    if target.read_bytes() == bed.artifact.read_bytes():
        raise AssertionError(f"{mutant.name} changed nothing")
    return target


@contextmanager
def eager(mutant: Mutant) -> Iterator[None]:
    """Hands rung 1 the logits of the faulty decoder, run here: the rung's own process would start a sound one."""

    def logits(case: LitertCase, rounded: bool = True, layers: Path | None = None) -> np.ndarray:
        from convert.checkpoint import open_checkpoint
        from convert.model import eager

        text = open_checkpoint(case.folder.path).text
        if not rounded:
            text = replace(text, activations={})
        assert isinstance(mutant.fault, Build)
        with mutant.fault.fault():
            each = None if layers is None else eager.in_files(layers)
            return eager.run(text, case.ids, rung1.CHUNK, len(case.ids), first=case.prompt, each=each)

    if isinstance(mutant.fault, Build):
        with mock.patch.object(rung1, "eager_logits", logits):
            yield
    else:
        yield


def table(outcomes: list[Outcome], console: Console) -> None:
    """One row a mutant."""
    out = Table(title=f"{len(outcomes)} mutants", title_justify="left")
    for heading in ("mutant", "kind", "bed", "caught by", "check that failed", "found, limit, where"):
        out.add_column(heading, overflow="fold", no_wrap=heading == "mutant")
    kind = ""
    for item in outcomes:
        if item.mutant.kind != kind:
            out.add_section()
            kind = item.mutant.kind
        who, check = ", ".join(item.caught) or "nothing", "; ".join(dict.fromkeys(item.caught.values()))
        style = "green" if item.ok else "bold red"
        text = item.crashed or item.detail
        if item.missed and item.caught:
            who += f" (missed by {', '.join(item.missed)})"
        shown = Text("crashed" if item.crashed else who, style)
        out.add_row(item.mutant.name, kind, item.mutant.bed, shown, check, Text(text[:110]))
    console.print(out)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(help="Only mutants whose names hold one of these.")] = None,
    update: Annotated[bool, typer.Option("--update", help="Write the golden anew.")] = False,
    all_rungs: Annotated[bool, typer.Option("--all", help="Climb every rung, not only the declared ones.")] = False,
) -> None:
    """Injects every fault of the catalogue and prints which rung caught it. Exit code 0: all caught, as declared."""
    wide = Console()
    console = wide if wide.is_terminal else Console(width=170)  # a table in a log is read without a terminal's width
    chosen = [m for m in MUTANTS if not names or any(part in m.name for part in names)]
    if not chosen:
        raise typer.BadParameter(f"no mutant is called like {', '.join(names or [])}")
    with tempfile.TemporaryDirectory() as folder:
        outcomes, broken = _all(chosen, Path(folder), all_rungs, console)
    if broken:
        console.print(Text(f"the sound artifact fails: {broken}; nothing below would mean anything", "bold red"))
        raise typer.Exit(1)
    table(outcomes, console)
    bad = [item for item in outcomes if not item.ok]
    for item in bad:
        console.print(Text(f"not as declared: {item.mutant.name}: expected {', '.join(item.mutant.expected)}", "red"))
    console.print(f"{len(outcomes) - len(bad)} of {len(outcomes)} caught as declared", highlight=False)
    if bad or not _golden(outcomes, update, bool(names), console):
        raise typer.Exit(1)


def _all(todo: list[Mutant], work: Path, everything: bool, console: Console) -> tuple[list[Outcome], str]:
    """Outcomes in the catalogue's order, and which control failed where."""
    beds = {name: Bed(name, work) for name in BEDS if any(m.bed == name for m in todo)}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(beds) + len(todo))
        for bed in beds.values():
            progress.update(task, description=f"control: {bed.name}")
            if failed := [f"rung {r.name} {r.status} {r.why}" for r in control(bed) if r.status != "pass"]:
                return [], f"{bed.name}: {'; '.join(failed)}"
            progress.advance(task)
        outcomes = []
        for mutant in todo:
            progress.update(task, description=mutant.name)
            outcomes.append(run(mutant, beds[mutant.bed], everything))
            progress.advance(task)
            if not progress.console.is_terminal:  # a log is read while it grows
                progress.console.print(f"{mutant.name}: {_brief(outcomes[-1])}", highlight=False, markup=False)
    return outcomes, ""


def _brief(outcome: Outcome) -> str:
    who = ", ".join(f"{name} ({check})" for name, check in outcome.caught.items())
    return f"{'' if outcome.ok else 'NOT AS DECLARED '}{who or 'nothing'} {outcome.crashed}".strip()


def _golden(outcomes: list[Outcome], update: bool, part: bool, console: Console) -> bool:
    """Compares with the golden, or writes it: mutant -> declared catcher -> check; no figures, for they may vary."""
    found = {o.mutant.name: {name: o.caught[name] for name in o.mutant.expected} for o in outcomes}
    kept = json.loads(GOLDEN.read_text("utf-8")) if GOLDEN.exists() else {}
    if update:
        GOLDEN.write_text(json.dumps({**kept, **found} if part else found, indent=1, sort_keys=True) + "\n", "utf-8")
        console.print(f"written: {GOLDEN.name}")
        return True
    names = set(found) if part else {*found, *kept}
    differing = sorted(name for name in names if found.get(name) != kept.get(name))
    for name in differing:
        console.print(Text(f"golden: {name}: found {found.get(name)}, kept {kept.get(name)}", "red"))
    if not differing:
        console.print("equal to the golden", style="green")
    return not differing
