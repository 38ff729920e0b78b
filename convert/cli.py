"""The command line: thin and typed.

Every verb imports what it needs when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convert.bundle.platform import all_platforms, shipped
from convert.flags import with_flags
from convert.guard import guarded
from convert.targets import all_targets

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

USUAL = "android"  # platform, where none is named
KINDS = ", ".join(kind for target in all_targets().values() for kind in target.kinds)
MODELS = " or ".join(target.model for target in all_targets().values())
RUNTIMES = "; ".join(
    f"{platform.name}: {' or '.join(target.name for target in shipped(platform))}"
    for platform in all_platforms().values()
)
Platform = Annotated[str, typer.Argument(help=" or ".join(all_platforms()))]
Model = Annotated[str, typer.Argument(help="demo, a hub id (org/name or org/name@revision), or a folder")]
Context = Annotated[int | None, typer.Option(help="tokens in the KV cache [default: the model's, at most 4096]")]
Prefill = Annotated[
    str | None,
    typer.Option(help="tokens per prefill call, separated by commas [default: as suits what runs the model]"),
]
Runtime = Annotated[str | None, typer.Option(help=f"what runs the model; {RUNTIMES} [default: the first]")]
Drafter = Annotated[
    str | None,
    typer.Option(
        help="what guesses tokens for the model to verify: a hub id (...-assistant), a folder, demo, or auto: "
        "what is published for the model [default: nothing]"
    ),
]
Modalities = Annotated[
    str | None,
    typer.Option(
        help="what the model takes in: text alone, or text,image: with the vision tower [default: all that the "
        "checkpoint has]"
    ),
]
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
@with_flags
def plan(
    platform: Platform = USUAL,
    model: Model = "demo",
    context: Context = None,
    prefill: Prefill = None,
    runtime: Runtime = None,
    drafter: Drafter = None,
    modalities: Modalities = None,
    out: Out = Path("dist"),
    name: Name = None,
    as_json: Json = False,
    **flags: str,
) -> None:
    """What would be built from what, with sizes; builds nothing."""
    from convert import tables
    from convert.plan import prepare
    from convert.progress import for_terminal

    request = _request("plan", platform, model, context, prefill, out, flags, runtime, drafter, name, modalities)
    made, _ = prepare(request, for_terminal())  # a hub id may have to be downloaded
    _say(tables.to_json(made) if as_json else tables.plan(made))


@app.command(epilog="Example: gemma-bridge inspect dist/android/demo")
def inspect(
    what: Annotated[str, typer.Argument(help=f"a bundle, {KINDS} or a checkpoint")], as_json: Json = False
) -> None:
    """Sections, signatures, KV layout, bits and bytes of a file, a bundle or a checkpoint."""
    from convert import tables
    from convert.look import look

    found = look(what)
    _say(tables.to_json(found) if as_json else tables.report(found))


@app.command(epilog="Example: gemma-bridge convert demo /tmp/demo.litertlm --context 512 --prefill 64")
@with_flags
def convert(
    model: Model,
    output: Annotated[Path, typer.Argument(help=f"{MODELS}, by whatever name; what belongs to it, beside")],
    context: Context = None,
    prefill: Prefill = None,
    runtime: Runtime = None,
    drafter: Drafter = None,
    modalities: Modalities = None,
    **flags: str,
) -> None:
    """One model, unjudged. To ship something, use bundle."""
    from convert import pipeline
    from convert.progress import for_terminal

    platform, runtime = pipeline.kind_of(output, runtime, USUAL)
    folder = output.parent
    request = _request(
        "convert", platform, model, context, prefill, folder, flags, runtime, drafter, modalities=modalities
    )
    size = pipeline.convert_file(request, output, for_terminal())
    _say(f"{output}  {size / 1e6:.1f} MB, not judged")


@app.command(epilog="Example: gemma-bridge verify dist/android/demo --rungs 0,2a")
def verify(
    bundle: Annotated[Path, typer.Argument(help=f"folder of a bundle, or a model: {KINDS}")],
    checkpoint: Annotated[
        str | None, typer.Option(help="what it was made from [default: the manifest's source]")
    ] = None,
    drafter: Annotated[
        str | None, typer.Option(help="what its drafter was made from [default: the manifest's source]")
    ] = None,
    rungs: Annotated[str | None, typer.Option(help="rungs of the ladder [default: all]")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the report there")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="write the report there as a page")] = None,
    evaluation: Evaluation = None,
    questions: Questions = None,
    float_model: Annotated[Path | None, typer.Option("--float", help="rung 4: folder of the float model")] = None,
    arm64: Annotated[bool, typer.Option("--arm64", help="run it on an emulated arm64 processor as well")] = False,
    second_opinion: Annotated[
        bool, typer.Option("--second-opinion", help="ask another project's runtime as well, block by block")
    ] = False,
) -> None:
    """Judges a bundle against its checkpoint; exit code 1 when it is over budget."""
    from convert import verify as judge

    asked = judge.Asked(evaluation, questions, float_model, arm64, second_opinion, drafter)
    sys.exit(judge.verify(bundle, checkpoint, rungs, json_file, html_file, asked))


@app.command(epilog="Example: gemma-bridge bundle android demo --context 1024 --prefill 128")
@with_flags
def bundle(
    platform: Platform = USUAL,
    model: Model = "demo",
    context: Context = None,
    prefill: Prefill = None,
    runtime: Runtime = None,
    drafter: Drafter = None,
    modalities: Modalities = None,
    out: Out = Path("dist"),
    name: Name = None,
    evaluation: Evaluation = None,
    questions: Questions = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the plan and stop")] = False,
    **flags: str,
) -> None:
    """Converts, judges and packs; what does not pass is not published."""
    from convert import pipeline, tables
    from convert.plan import prepare
    from convert.progress import for_terminal

    request = _request("bundle", platform, model, context, prefill, out, flags, runtime, drafter, name, modalities)
    request = replace(request, evaluation=evaluation, questions=questions)
    if dry_run:
        _say(tables.plan(prepare(request, for_terminal())[0]))
        return
    built = pipeline.build(request, for_terminal())
    packed = "" if built.packed is None else f"{built.packed}\n"
    _say(f"{built.table.rstrip()}\n\n{packed}{out / platform / built.bundle.name}  {built.bytes / 1e6:.1f} MB")


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


@app.command(epilog='Example: gemma-bridge chat dist/android/demo --ask "What is 12 + 7?"')
def chat(
    bundle: Annotated[Path, typer.Argument(help="folder of a bundle, or its model")] = Path(f"dist/{USUAL}/demo"),
    ask: Annotated[str | None, typer.Option(help="answer this and leave")] = None,
    sample: Annotated[bool, typer.Option("--sample", help="draw tokens instead of taking the best")] = False,
    limit: Annotated[int, typer.Option(min=1, help="tokens of an answer, at most")] = 512,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 2,
    tools: Annotated[
        str | None, typer.Option(help="functions the model may call: a .py file, or builtin: a clock and a calculator")
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            help="an image before the first message; give it again for another one. For bundles that take images"
        ),
    ] = None,
) -> None:
    """Talks with a bundle in the stock engine; Ctrl-C stops an answer, Ctrl-D leaves.

    Piped, every line is a message and stdout holds the answers alone; what was cut is told on stderr, and the exit
    code is 1 where a line could not be answered. /new in a line of its own begins another conversation, and
    /image FILE puts an image before the next message, where the bundle takes images.
    Text that spells a control token, such as <turn|>, reaches the model as text.
    """
    from convert import chat as talk

    sys.exit(talk.chat(bundle, ask, talk.Settings(sample, limit, threads, tools, tuple(image or ()))))


def _request(
    verb: str,
    platform: str,
    model: str,
    context: int | None,
    prefill: str | None,
    out: Path,
    flags: dict[str, str],
    runtime: str | None,
    drafter: str | None,
    name: str | None = None,
    modalities: str | None = None,
) -> Request:
    from convert.errors import PlanError
    from convert.plan import Request

    try:
        lengths = None if prefill is None else tuple(int(part) for part in prefill.split(","))
    except ValueError:
        found = f"--prefill {prefill!r} is no list of numbers"
        action = "Give whole numbers separated by commas, such as 128,1024"
        raise PlanError(f"{verb} {model}", found, action) from None
    others = None
    if modalities is not None:
        wanted = {each.strip() for each in modalities.split(",")}
        if "text" not in wanted:
            found = f"--modalities {modalities!r} leaves text out, which every model takes"
            raise PlanError(f"{verb} {model}", found, "Give --modalities text, or text and others separated by commas")
        others = tuple(sorted(wanted - {"text"}))
    given = {key: value for key, value in flags.items() if value is not None}
    return Request(
        platform, model, out, context, lengths, given, runtime, verb, name, drafter=drafter, modalities=others
    )


def _say(text: str) -> None:
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 over budget, 2 refused with one line on stderr, 130 interrupted."""
    guarded(lambda: app(standalone_mode=False))
