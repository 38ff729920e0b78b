"""``just bench peers [FOLDER]``: arguments, and where the figures go."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from convert import outputs
from convert.errors import CheckpointError
from tests.bench.peers import report
from tests.bench.peers.turns import ANSWER, MOST_ROUNDS, PROMPT, SPARE, Asked, compare
from tests.fullsize.parser import Parser

CONTEXTS = (1024, 4096, 16384)


def peers(arguments: list[str]) -> str:
    """Compares, writes ``peers.json`` and gives the tables.

    Raises:
        CheckpointError: the folder holds no checkpoint that can be compared.
        PlanError: there is no room for the results.
    """
    parser = Parser(
        prog="just bench peers",
        description="This project's file in the stock engine, llama.cpp, and on request litert-torch's exporter, on "
        "two threads, turn about, with the memory bandwidth measured after each round. Let nothing else run meanwhile.",
        epilog="example: just bench peers /tmp/e2b_mobile --contexts 1024,4096 --rounds 3",
    )
    parser.add_argument("folder", nargs="?", type=Path, help="a mobile checkpoint [default: E2B's size is written]")
    parser.add_argument("--contexts", type=_contexts, default=CONTEXTS, help="[default: 1024,4096,16384]")
    prompts = f"short: {PROMPT} tokens; filled: the context less {SPARE}, read once [default: short]"
    parser.add_argument("--prompts", choices=("short", "filled", "both"), default="short", help=prompts)
    parser.add_argument("--rounds", type=_count, default=5, help="beside the first start [default: 5]")
    parser.add_argument("--peer", choices=["export_hf"], help="also this one, which takes minutes")
    parser.add_argument("--memory", type=_count, default=20, help="GB at which export_hf is ended [default: 20]")
    parser.add_argument("--gguf", type=Path, help="keep llama.cpp's file there, or take the one there")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="for peers.json, and large files meanwhile")
    options = parser.parse_args(arguments)
    if options.prompts != "short" and options.rounds > MOST_ROUNDS:
        left = f"what a context has left is enough for {MOST_ROUNDS}"
        parser.error(f"--prompts {options.prompts} with --rounds {options.rounds}: {left}")
    folder = None if options.folder is None else checkpoint(options.folder)
    asked = f"bench peers {options.folder or ''}".strip()
    outputs.check_folder(options.out, asked)
    options.out.mkdir(parents=True, exist_ok=True)
    result = options.out / "peers.json"
    outputs.check_report(result, asked)
    exporter = options.memory * 10**9 if options.peer else None
    found = compare(
        Asked(folder, options.out, options.contexts, options.prompts, options.rounds, options.gguf, exporter),
        _tell,
    )
    result.write_text(json.dumps(report.data(found), indent=2, sort_keys=True) + "\n", "utf-8")
    return f"{report.text(found)}\n{result}\n"


def checkpoint(folder: Path) -> Path:
    """The folder of a Gemma 4 checkpoint, whose shape stands in ``config.json``.

    Raises:
        CheckpointError: it is none.
    """
    asked, give = f"bench peers {folder}", "Give the folder of a mobile checkpoint of E2B's or E4B's kind"
    try:
        text = json.loads((folder / "config.json").read_text("utf-8"))["text_config"]
        kind, wide = text["model_type"], text["hidden_size_per_layer_input"]
    except OSError as error:
        raise CheckpointError(asked, f"config.json cannot be read ({error.strerror})", give) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(asked, "config.json does not describe a Gemma 4 text decoder", give) from error
    if kind != "gemma4_text" or not wide:
        raise CheckpointError(asked, f"config.json describes {kind!r} with per-layer inputs of {wide}", give)
    return folder


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _contexts(text: str) -> tuple[int, ...]:
    least, found = PROMPT + ANSWER, tuple(map(_count, text.split(",")))
    if min(found) < least or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(
            f"{text}: each once, and at least {least}, a prompt of {PROMPT} and its answer"
        )
    return found
