"""``just mutants``: the catalogue, or a part of it, as a table."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tests.mutants import golden
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant
from tests.mutants.run import Outcome, brief, chosen, run_all
from tests.mutants.sample import sample

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    names: Annotated[
        list[str] | None, typer.Argument(help="Only mutants whose target/name holds one of these.")
    ] = None,
    update: Annotated[bool, typer.Option("--update", help="Write the goldens anew.")] = False,
    all_rungs: Annotated[bool, typer.Option("--all", help="Climb every rung, not only the declared ones.")] = False,
    drawn: Annotated[bool, typer.Option("--sample", help="Only those that the tests draw.")] = False,
) -> None:
    """Injects every fault of the catalogue and prints which rung caught it. Exit code 0: all caught, as declared."""
    wide = Console()
    console = wide if wide.is_terminal else Console(width=170)  # a table in a log is read without a terminal's width
    todo = chosen(sample(MUTANTS) if drawn else MUTANTS, names)
    if not todo:
        raise typer.BadParameter(f"no mutant is called like {', '.join(names or [])}")
    with tempfile.TemporaryDirectory() as folder:
        outcomes, broken = _all(todo, Path(folder), all_rungs)
    if broken:
        console.print(Text(f"the sound model fails: {broken}; nothing below would mean anything", "bold red"))
        raise typer.Exit(1)
    table(outcomes, console)
    bad = [item for item in outcomes if not item.ok]
    for item in bad:
        console.print(Text(f"not as declared: {item.mutant.path}: expected {', '.join(item.mutant.expected)}", "red"))
    console.print(f"{len(outcomes) - len(bad)} of {len(outcomes)} caught as declared", highlight=False)
    if bad or not _golden(outcomes, update, len(todo) < len(MUTANTS), console):
        raise typer.Exit(1)


def table(outcomes: list[Outcome], console: Console) -> None:
    """One row a mutant."""
    out = Table(title=f"{len(outcomes)} mutants", title_justify="left")
    for heading in ("mutant", "kind", "bed", "caught by", "check that failed", "found, limit, where"):
        out.add_column(heading, overflow="fold", no_wrap=heading == "mutant")
    kind = ("", "")
    for item in outcomes:
        if (item.mutant.target, item.mutant.kind) != kind:
            out.add_section()
            kind = (item.mutant.target, item.mutant.kind)
        who, check = ", ".join(item.caught) or "nothing", "; ".join(dict.fromkeys(item.caught.values()))
        style = "green" if item.ok else "bold red"
        text = item.crashed or item.detail
        if item.missed and item.caught:
            who += f" (missed by {', '.join(item.missed)})"
        shown = Text("crashed" if item.crashed else who, style)
        out.add_row(item.mutant.path, item.mutant.kind, item.mutant.bed, shown, check, Text(text[:110]))
    console.print(out)


def _all(todo: list[Mutant], work: Path, everything: bool) -> tuple[list[Outcome], str]:
    """Outcomes in the catalogue's order, and which control failed where."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    beds = {(mutant.target, mutant.bed) for mutant in todo}
    outcomes = []
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(beds) + len(todo))
        for outcome, broken in run_all(todo, work, everything, lambda what: progress.update(task, description=what)):
            if broken:
                return [], broken
            progress.advance(task)
            if outcome is None:
                continue
            outcomes.append(outcome)
            if not progress.console.is_terminal:  # a log is read while it grows
                progress.console.print(f"{outcome.mutant.path}: {brief(outcome)}", highlight=False, markup=False)
    return outcomes, ""


def _golden(outcomes: list[Outcome], update: bool, part: bool, console: Console) -> bool:
    """Compares with the goldens, or writes them."""
    if update:
        console.print(f"written: {', '.join(golden.write(outcomes, part))}")
        return True
    differing = golden.differences(outcomes, part)
    for line in differing:
        console.print(Text(f"golden: {line}", "red"))
    if not differing:
        console.print("equal to the goldens", style="green")
    return not differing
