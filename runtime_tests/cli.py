"""``python -m runtime_tests``: thin; the work is in ladder.py and report.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runtime_tests.errors import InputError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a defect keeps its plain traceback
    help="The independent judge of converted models.",
)
SCHEMA = Path(__file__).parent / "schema" / "parity.schema.json"


@app.callback()
def main() -> None:
    """The independent judge of converted models."""


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder with manifest.json, or a .litertlm file.")],
    checkpoint: Annotated[Path, typer.Option(help="The checkpoint folder that was converted.")],
    rungs: Annotated[str, typer.Option(help="Rungs to climb, for example 0,2a.")] = "0,1,2a,2b,3",
    json: Annotated[Path | None, typer.Option(help="Write the report here.")] = None,
    golden: Annotated[Path | None, typer.Option(help="Write the reference's continuations here.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; by default 1 or 2 by size.")] = None,
    arm64: Annotated[bool, typer.Option("--arm64", help="Run it on an emulated arm64 processor as well.")] = False,
) -> None:
    """Judges an artifact against its checkpoint. Exit code 0: pass; 1: over budget or not run; 2: bad input."""
    try:
        names = tuple(part.strip() for part in rungs.split(","))
        ok = _verify(bundle, checkpoint, (*names, *(["arm64"] if arm64 else [])), json, golden, threads)
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(0 if ok else 1)


def _verify(
    bundle: Path, checkpoint: Path, names: tuple[str, ...], json: Path | None, golden: Path | None, threads: int | None
) -> bool:
    from rich.console import Console

    from runtime_tests.ladder import ARM64, NAMES, climb
    from runtime_tests.readers.bundle import find_model
    from runtime_tests.readers.checkpoint import open_checkpoint
    from runtime_tests.readers.litertlm import open_litertlm

    unknown = [name for name in names if name not in (*NAMES, ARM64.name)]
    if unknown:
        raise InputError(f"--rungs {','.join(names)}: there is no rung {unknown[0]!r}; there are {','.join(NAMES)}")
    for target in (json, golden):
        if target is not None and not target.parent.is_dir():
            raise InputError(f"{target}: its folder does not exist")
    artifact, folder = open_litertlm(find_model(bundle)), open_checkpoint(checkpoint)

    from runtime_tests import golden as goldens
    from runtime_tests import report, table
    from runtime_tests.case import Case

    case, said = Case(artifact, folder, threads), Console(stderr=True)
    climbed = climb(case, names, lambda step: said.print(f"rung {step.name}: {step.question}", style="dim"))
    parity = report.report(case, climbed)
    if json is not None:
        json.write_text(report.dump(parity), "utf-8")
    if golden is not None:
        golden.write_text(goldens.dump(goldens.golden(case)), "utf-8")
    table.show(parity, Console())
    return parity.verdict == "pass"


@app.command()
def schema(check: Annotated[bool, typer.Option("--check", help="Only compare; exit 1 when stale.")] = False) -> None:
    """Writes the JSON Schema of parity.json."""
    from runtime_tests import report

    if check:
        raise typer.Exit(0 if SCHEMA.read_text("utf-8") == report.schema() else 1)
    SCHEMA.write_text(report.schema(), "utf-8")
