"""The command line: thin and typed.

Every verb imports what it needs when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from convert.plan import Request

app = typer.Typer(
    name="gemma-bridge",
    help="Gemma 4 QAT checkpoints to phone bundles, integers carried over bit for bit and proven.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Platform = Annotated[str, typer.Argument(help="android or ios")]
Model = Annotated[str, typer.Argument(help="demo, a hub id (org/name or org/name@revision), or a folder")]
Context = Annotated[int | None, typer.Option(help="tokens in the KV cache [default: the model's, at most 4096]")]
Prefill = Annotated[str | None, typer.Option(help="tokens per prefill call [default: 8,32,128,1024; ios: 128,1024]")]
Cache = Annotated[str, typer.Option(help="element type of the KV cache: float32 or int8 (android)")]
Precision = Annotated[str | None, typer.Option(help="ios: float16, or float32 to prove the program [default: float16]")]
Profile = Annotated[str | None, typer.Option(help="ios: gpu, or ane: for the Neural Engine, in parts [default: gpu]")]
Out = Annotated[Path, typer.Option(envvar="GEMMA_BRIDGE_OUT", help="folder that takes <platform>/<name>/")]
Name = Annotated[str | None, typer.Option(help="folder name of the bundle [default: the model's]")]
Evaluation = Annotated[
    Path | None, typer.Option(help="rung 4: a file of questions, JSONL (README), instead of the checkpoint's own")
]
Questions = Annotated[int | None, typer.Option(min=1, help="rung 4: ask so many of them, drawn by their SHA-256")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table")]


@app.command("list", epilog="Example: gemma-bridge list")
def list_(out: Out = Path("dist"), as_json: Json = False) -> None:
    """What can be converted, into what, and what has been built."""
    from convert import tables
    from convert.catalogue import catalogue

    found = catalogue(out)
    _say(tables.to_json(found) if as_json else tables.catalogue(found))


@app.command(epilog="Example: gemma-bridge plan android google/gemma-4-E2B-it-qat-mobile-transformers --context 2048")
def plan(
    platform: Platform = "android",
    model: Model = "demo",
    context: Context = None,
    prefill: Prefill = None,
    cache: Cache = "float32",
    precision: Precision = None,
    profile: Profile = None,
    out: Out = Path("dist"),
    name: Name = None,
    as_json: Json = False,
) -> None:
    """What would be built from what, with sizes; builds nothing."""
    from convert import tables
    from convert.plan import prepare
    from convert.progress import for_terminal

    request = _request("plan", platform, model, context, prefill, cache, out, precision, profile, name=name)
    made, _ = prepare(request, for_terminal())  # a hub id may have to be downloaded
    _say(tables.to_json(made) if as_json else tables.plan(made))


@app.command(epilog="Example: gemma-bridge inspect dist/android/demo")
def inspect(
    what: Annotated[str, typer.Argument(help="bundle, .litertlm, .tflite, .mlpackage or model")], as_json: Json = False
) -> None:
    """Sections, signatures, KV layout, bits and bytes of a file, a bundle or a checkpoint."""
    from convert import tables
    from convert.inspection.look import look

    found = look(what)
    _say(tables.to_json(found) if as_json else tables.report(found))


@app.command(epilog="Example: gemma-bridge convert demo /tmp/demo.litertlm --context 512 --prefill 64")
def convert(
    model: Model,
    output: Annotated[Path, typer.Argument(help="the .litertlm to write, or the .mlpackage, with row tables beside")],
    context: Context = None,
    prefill: Prefill = None,
    cache: Cache = "float32",
    precision: Precision = None,
    profile: Profile = None,
) -> None:
    """One model, unjudged. To ship something, use bundle."""
    from convert import pipeline
    from convert.progress import for_terminal

    platform = "ios" if output.suffix == ".mlpackage" else "android"
    request = _request("convert", platform, model, context, prefill, cache, output.parent, precision, profile)
    size = pipeline.convert_file(request, output, for_terminal())
    _say(f"{output}  {size / 1e6:.1f} MB, not judged")


@app.command(epilog="Example: gemma-bridge verify dist/android/demo --rungs 0,2a")
def verify(
    bundle: Annotated[Path, typer.Argument(help="folder of a bundle, or a .litertlm")],
    checkpoint: Annotated[
        str | None, typer.Option(help="what it was made from [default: the manifest's source]")
    ] = None,
    rungs: Annotated[str | None, typer.Option(help="rungs of the ladder [default: all]")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the report there")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="write the report there as a page")] = None,
    evaluation: Evaluation = None,
    questions: Questions = None,
    float_model: Annotated[Path | None, typer.Option("--float", help="rung 4: folder of the float model")] = None,
    arm64: Annotated[bool, typer.Option("--arm64", help="run it on an emulated arm64 processor as well")] = False,
) -> None:
    """Judges a bundle against its checkpoint; exit code 1 when it is over budget."""
    from convert import verify as judge

    asked = judge.Asked(evaluation, questions, float_model, arm64)
    sys.exit(judge.verify(bundle, checkpoint, rungs, json_file, html_file, asked))


@app.command(epilog="Example: gemma-bridge bundle android demo --context 1024 --prefill 128")
def bundle(
    platform: Platform = "android",
    model: Model = "demo",
    context: Context = None,
    prefill: Prefill = None,
    cache: Cache = "float32",
    precision: Precision = None,
    profile: Profile = None,
    out: Out = Path("dist"),
    name: Name = None,
    apk: Annotated[
        str, typer.Option(envvar="GEMMA_BRIDGE_APK", help="android: app.apk; auto where possible, require or skip")
    ] = "auto",
    evaluation: Evaluation = None,
    questions: Questions = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the plan and stop")] = False,
) -> None:
    """Converts, judges and packs; what does not pass is not published."""
    from convert import pipeline, tables
    from convert.plan import prepare
    from convert.progress import for_terminal

    request = _request("bundle", platform, model, context, prefill, cache, out, precision, profile, apk, name)
    request = replace(request, evaluation=evaluation, questions=questions)
    if dry_run:
        _say(tables.plan(prepare(request, for_terminal())[0]))
        return
    built = pipeline.build(request, for_terminal())
    apk = "" if built.apk is None else f"apk: {built.apk}\n"
    _say(f"{built.table.rstrip()}\n\n{apk}{out / platform / built.bundle.name}  {built.bytes / 1e6:.1f} MB")


@app.command(epilog="Example: gemma-bridge questions gsm8k test.jsonl gsm8k.jsonl")
def questions(
    kind: Annotated[str, typer.Argument(help="gsm8k, or choice: MMLU, TinyMMLU, ARC and the like")],
    source: Annotated[Path, typer.Argument(help="the set as JSON lines, JSON or CSV")],
    output: Annotated[Path, typer.Argument(help="the JSONL to write, for --evaluation")],
    max_tokens: Annotated[int | None, typer.Option(min=1, max=4096, help="tokens of an answer, at most")] = None,
) -> None:
    """A public question set, from a file, as questions for rung 4."""
    from convert.questions import convert as convert_questions

    count = convert_questions(kind, source, output, max_tokens)
    _say(f"{output}  {count} questions")


@app.command(epilog='Example: gemma-bridge chat dist/android/demo --ask "What is 2 + 2?"')
def chat(
    bundle: Annotated[Path, typer.Argument(help="folder of a bundle, or a .litertlm")] = Path("dist/android/demo"),
    ask: Annotated[str | None, typer.Option(help="answer this and leave")] = None,
    sample: Annotated[bool, typer.Option("--sample", help="draw tokens instead of taking the best")] = False,
    limit: Annotated[int, typer.Option(min=1, help="tokens of an answer, at most")] = 512,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 2,
    tools: Annotated[
        str | None, typer.Option(help="functions the model may call: a .py file, or builtin: a clock and a calculator")
    ] = None,
) -> None:
    """Talks with a bundle in the stock engine; Ctrl-C stops an answer, Ctrl-D leaves.

    Piped, every line is a message and stdout holds the answers alone; what was cut is told on stderr, and the exit
    code is 1 where a line could not be answered. /new in a line of its own begins another conversation. Text that
    spells a control token, such as <turn|>, reaches the model as text.
    """
    from convert import chat as talk

    sys.exit(talk.chat(bundle, ask, talk.Settings(sample, limit, threads, tools)))


def _request(
    verb: str,
    platform: str,
    model: str,
    context: int | None,
    prefill: str | None,
    cache: str,
    out: Path,
    precision: str | None,
    profile: str | None,
    apk: str = "skip",
    name: str | None = None,
) -> Request:
    from convert.errors import PlanError
    from convert.plan import Request

    asked = f"{verb} {model}"
    if cache not in ("float32", "int8"):
        raise PlanError(asked, f"there is no cache type {cache!r}", "Use --cache float32 or --cache int8")
    if apk not in ("auto", "require", "skip"):
        raise PlanError(asked, f"there is no --apk {apk!r}", "Use --apk auto, require or skip")
    try:
        lengths = None if prefill is None else tuple(int(part) for part in prefill.split(","))
    except ValueError:
        found = f"--prefill {prefill!r} is no list of numbers"
        raise PlanError(asked, found, "Give whole numbers separated by commas, such as 128,1024") from None
    # The cache type was checked above.
    return Request(platform, model, out, context, lengths, cache, verb, precision, profile, apk, name)  # type: ignore[arg-type]


def _say(text: str) -> None:
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def _terminated(signum: int, frame: Any) -> NoReturn:
    raise SystemExit(128 + signum)  # runs the clean-up that dying at once would skip


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 over budget, 2 refused with one line on stderr, 130 interrupted."""
    guarded(lambda: app(standalone_mode=False))


def guarded(command: Callable[[], object]) -> NoReturn:
    """Runs a command and ends the process with the exit code that its outcome deserves."""
    from convert import streams

    signal.signal(signal.SIGTERM, _terminated)
    # The hub's client logs each of its attempts; a refusal is one line of ours.
    os.environ.setdefault("HF_HUB_VERBOSITY", "critical")
    code: object
    try:
        streams.prepare()
        result = command()
        code = result if isinstance(result, int) else 0  # the parser hands an interrupt on as a number
    except KeyboardInterrupt:
        code = 130
    except SystemExit as ended:
        code = ended.code
        if code != 0 and isinstance(ended.__context__, BrokenPipeError):  # which the parser makes a silent 1 of
            streams.complain("standard output cannot be written to (Broken pipe)")
            code = 2
    except Exception as error:
        code = _refused(error)
    lost = streams.finish()
    if lost is not None and code in (None, 0):
        streams.complain(lost)
        code = 2
    sys.exit(code)


def _refused(error: Exception) -> int:
    """Exit code of an error that a user can cause, after saying it in one line; anything else is a defect and rises."""
    from convert import child, streams
    from convert.errors import ConvertError

    match error:
        case typer.Abort():
            return 130
        case child.StageError():
            return error.code  # has spoken for itself
        case ConvertError() | streams.OutputClosedError():
            streams.complain(str(error))
            return 2
        case OSError():  # a full disk, a missing right, a folder that vanished: nothing that a traceback would explain
            streams.complain(f"{streams.system_error(error)}. Mend that and run the command again")
            return 2
    if hasattr(error, "format_message"):  # a usage error of the command-line parser
        streams.complain(f"{error.format_message()} (see --help)")
        return 2
    if type(error).__name__ == "ParityError":
        sys.stdout.write(getattr(error, "table", ""))
        streams.complain(str(error))
        return 1
    raise error
