"""``python -m runtime_tests``: thin; the work is in ladder.py and report/."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated, NamedTuple, NoReturn

import typer

from runtime_tests.errors import InputError
from runtime_tests.memory import heap
from runtime_tests.reference import torch_cache
from runtime_tests.report import outputs as files

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a defect keeps its plain traceback
    help="The independent judge of converted models.",
)
SCHEMAS = Path(__file__).parent / "schema"


class Outputs(NamedTuple):
    """Files to write; None for those that are not wanted."""

    json: Path | None
    html: Path | None
    golden: Path | None


class Questions(NamedTuple):
    """What rung 4 asks: a file or the checkpoint's own, how many of them, and where answers are kept meanwhile."""

    evaluation: Path | None
    questions: int | None
    answers: Path | None


def main_program() -> NoReturn:
    """Runs the command line; what the system refuses, a full disk for one, is a line and exit code 2 as well."""
    code: object = 0
    torch_cache.make_none()
    heap.reuse()
    try:
        app(prog_name="python -m runtime_tests")
    except SystemExit as ended:
        code = ended.code
        if isinstance(ended.__context__, BrokenPipeError):  # which the parser makes a silent 1 of
            code = 2
            with contextlib.suppress(OSError):
                sys.stderr.write("error: standard output cannot be written to (Broken pipe)\n")
    except OSError as error:
        code = 2
        where = f"{error.filename}: " if error.filename else ""
        with contextlib.suppress(OSError):
            sys.stderr.write(f"error: {where}{error.strerror or error}\n")
    try:
        sys.stdout.flush()
    except OSError as error:  # nobody has seen the table
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if code in (None, 0):
            code = 2
            with contextlib.suppress(OSError):
                sys.stderr.write(f"error: standard output cannot be written to ({error.strerror})\n")
    sys.exit(code)  # type: ignore[arg-type]


@app.callback()
def main() -> None:
    """The independent judge of converted models."""


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder with manifest.json, or a model as it was built.")],
    checkpoint: Annotated[Path, typer.Option(help="The checkpoint folder that was converted.")],
    drafter: Annotated[
        Path | None, typer.Option(help="The checkpoint folder of the drafter that lies in the model.")
    ] = None,
    rungs: Annotated[str | None, typer.Option(help="Rungs to climb, for example 0,2a. [default: all]")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the report here.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as a page here.")] = None,
    golden: Annotated[Path | None, typer.Option(help="Write the reference's continuations here.")] = None,
    locate: Annotated[bool, typer.Option("--locate", help="Look for the first wrong block in any case.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; by default 1 or 2 by size.")] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="Rung 4: a file of questions, JSONL, instead of the checkpoint's.")
    ] = None,
    questions: Annotated[
        int | None, typer.Option(min=1, help="Rung 4: ask so many of the questions, drawn by their SHA-256.")
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(help="Rung 4: keep answers here, so that a killed run goes on. [default: beside the report]"),
    ] = None,
    float_: Annotated[Path | None, typer.Option("--float", help="Rung 4: folder of the float model.")] = None,
    feeding: Annotated[
        Path | None,
        typer.Option(help="How a bare model is fed, as a bundle's manifest.json says it; without: as usual."),
    ] = None,
    arm64: Annotated[bool, typer.Option("--arm64", help="Run it on an emulated arm64 processor as well.")] = False,
    second_opinion: Annotated[
        bool, typer.Option("--second-opinion", help="Ask another project's runtime as well, block by block.")
    ] = False,
) -> None:
    """Judges an artifact against its checkpoint. Exit code 0: pass; 1: over budget or not run; 2: bad input."""
    outputs = Outputs(json, html, golden)
    try:
        names = None if rungs is None else tuple(part.strip() for part in rungs.split(","))
        asked = Questions(evaluation, questions, answers)
        beside = (*(["arm64"] if arm64 else []), *(["second"] if second_opinion else []))
        ok = _verify(bundle, checkpoint, names, outputs, locate, threads, asked, float_, beside, feeding, drafter)
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(0 if ok else 1)


def _verify(
    bundle: Path,
    checkpoint: Path,
    names: tuple[str, ...] | None,
    outputs: Outputs,
    locate: bool,
    threads: int | None,
    asked: Questions,
    float_model: Path | None,
    beside: tuple[str, ...],
    feeding: Path | None,
    drafter: Path | None,
) -> bool:
    from rich.console import Console

    from runtime_tests.ladder import NAMES, climb

    unknown = [name for name in names or () if name not in NAMES]
    if unknown:
        raise InputError(
            f"--rungs {','.join(names or ())}: there is no rung {unknown[0]!r}; there are {','.join(NAMES)}"
        )
    reports = ((outputs.json, files.is_parity), (outputs.html, files.is_page), (outputs.golden, files.is_golden))
    for (target, ours), what in zip(reports, ("a parity report", "a report's page", "a list of goldens"), strict=True):
        if target is not None:
            files.check(target, ours, what)
    if float_model is not None and not (float_model / "config.json").is_file():
        raise InputError(f"--float {float_model}: no folder of a Hugging Face model; config.json is not there")

    from runtime_tests.memory.imports import uncollected

    with uncollected():
        from runtime_tests import progress
        from runtime_tests.kinds import open_case
        from runtime_tests.report import departure, table
        from runtime_tests.report import golden as goldens
        from runtime_tests.report import parity as report
        from runtime_tests.report.html import page
        from runtime_tests.rungs import temper

    case = open_case(bundle, checkpoint, threads, asked.evaluation, float_model, asked.questions, feeding, drafter)
    if asked.evaluation is not None:
        case.kept_at = asked.answers or _beside(bundle, outputs)
    if asked.questions is not None and case.evaluation is None:
        raise InputError(f"--questions {asked.questions}: the checkpoint brings none; give a file with --evaluation")
    wanted = (*(names or NAMES), *beside)
    with progress.shown() as begins:
        case.tell = lambda line: begins("rung 4", line)
        begins("noise floor", "noise floor: does the reference agree with itself?")
        temper.check(case, names)
        climbed = climb(case, wanted, lambda step: begins(f"rung {step.name}", f"rung {step.name}: {step.question}"))
        found = None
        if locate or departure.wanted(climbed):
            begins("localization", "localization: which block is wrong by itself?")
            found = departure.localization(case)
        begins("report", "report: figures, page and goldens")
        parity = report.report(case, climbed, found, names)
        if outputs.json is not None:
            files.write(outputs.json, report.dump(parity))
        if outputs.html is not None:
            files.write(outputs.html, page.render(parity.model_dump(mode="json")))
        if outputs.golden is not None:
            files.write(outputs.golden, goldens.dump(goldens.golden(case)))
    if case.kept is not None:
        case.kept.close(remove=asked.answers is None)  # who named a place for them removes them as well
    table.show(parity, Console())
    return parity.verdict == "pass"


def _beside(bundle: Path, outputs: Outputs) -> Path:
    """Where answers are kept: beside the report, or else beside the bundle, in which nothing may be added."""
    if outputs.json is not None:
        return outputs.json.with_name(f".{outputs.json.name}.answers")
    whole = bundle.resolve()
    whole = whole.parent if not whole.is_dir() and (whole.parent / "manifest.json").is_file() else whole
    return whole.with_name(f".{whole.name}.answers")


@app.command()
def device(
    bundle: Annotated[
        Path | None, typer.Argument(help="A finished bundle. [default: the demo's]", show_default=False)
    ] = None,
    platform: Annotated[str, typer.Option(help="Of the demo that is taken where no bundle is named.")] = "android",
    app: Annotated[Path | None, typer.Option(help="What Xcode built for the device, to be installed first.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the report. [default: dist/device/<bundle>]")] = None,
    serial: Annotated[str | None, typer.Option(help="Which phone, as adb or devicectl lists it.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the phone's answers.")] = 600,
) -> None:
    """Replays the goldens on a phone, over adb or devicectl. Exit code 0: pass, or not run without a phone; 1: fail; 2:
    bad input.

    Example: just device-test dist/android/demo --serial R5CT12345
    """
    from rich.console import Console

    from runtime_tests.device.command import device_test
    from runtime_tests.errors import CannotRunError
    from runtime_tests.report import table

    said = Console(stderr=True)
    bundle = bundle or Path(os.environ.get("GEMMA_BRIDGE_OUT", "dist")) / platform / "demo"
    folder = out or Path("dist/device") / bundle.resolve().name
    try:
        parity = device_test(bundle, folder, serial, timeout, lambda text: said.print(text, style="dim"), app)
    except CannotRunError as error:
        typer.echo(f"device: not run: {error}")
        raise typer.Exit(0) from error
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    table.show(parity, Console())
    typer.echo(str(folder / "parity.html"))
    raise typer.Exit(0 if parity.verdict == "pass" else 1)


@app.command()
def schema(check: Annotated[bool, typer.Option("--check", help="Only compare; exit 1 when stale.")] = False) -> None:
    """Writes the JSON Schemas of parity.json, golden.json and a line of an evaluation file."""
    from runtime_tests.questions import evaluation
    from runtime_tests.report import golden
    from runtime_tests.report import parity as report

    made = {
        "parity.schema.json": report.schema(),
        "golden.schema.json": golden.schema(),
        "evaluation.schema.json": evaluation.schema(),
    }
    if check:
        raise typer.Exit(0 if all((SCHEMAS / n).read_text("utf-8") == text for n, text in made.items()) else 1)
    for name, text in made.items():
        (SCHEMAS / name).write_text(text, "utf-8")
