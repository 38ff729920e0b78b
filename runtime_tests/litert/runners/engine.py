"""The stock engine, LiteRT-LM, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from runtime_tests.errors import CannotRunError, check_disk

LIMIT_SECONDS = 1800  # of silence
WAIT_SECONDS = 0.2


@dataclass(frozen=True)
class Request:
    """What the engine shall do.

    Attributes:
        model: the ``.litertlm``.
        prompts: texts that are decoded greedily, without a template; the engine puts the start token before them.
        steps: tokens to decode for each, at most; one figure, or one for each prompt.
        detokenize: token ids that the engine shall turn into text, for comparison.
        chats: conversations, one after another, through the model's template: messages with role and content, of which
            the last is sent and the others are history. A content may hold parts, also images by ``path``.
        chat_steps: tokens of a reply, at most.
        threads: CPU threads.
        renders: conversations that only go through the model's template: ``messages`` up to where the reply begins,
            ``tools`` and ``context`` (further variables), as the engine takes them.
        spell: texts that are only tokenized, and turned into text again.
        drafted: whether the engine uses the file's drafter.
        images: that a conversation holds, at most; 0 loads no encoder.
    """

    model: str
    prompts: tuple[str, ...]
    steps: int | tuple[int, ...]
    detokenize: tuple[tuple[int, ...], ...]
    chats: tuple[tuple[dict[str, Any], ...], ...]
    chat_steps: int
    threads: int
    renders: tuple[dict[str, Any], ...] = ()
    spell: tuple[str, ...] = ()
    drafted: bool = False
    images: int = 0


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        texts: continuation of each prompt.
        tokens: the engine's token ids of each prompt, without the start token.
        expected: text of each entry of ``detokenize``.
        chats: the replies.
        chat_tokens: tokens in the cache after each reply.
        failed: prompts and chats on which the engine gave up, with its words; their text is empty.
        start, stops: start token and stop sequences that the engine read from the metadata.
        rendered: ``renders`` as the template made them; None where the engine could not.
        refused: for each of them the engine's words, where it could not; else empty.
        spelled, again: token ids of each entry of ``spell``, and their text.
        success: fraction of the drafts that were accepted, by the engine's log; None where it says nothing.
    """

    texts: list[str]
    tokens: list[list[int]]
    expected: list[str]
    chats: list[str]
    chat_tokens: list[int]
    failed: list[str]
    start: int | None
    stops: list[list[int]]
    rendered: list[str | None] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    spelled: list[list[int]] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    success: float | None = None


Heard = Callable[[int, str, list[int]], None]


def ask(
    request: Request, python: tuple[str, ...] = (), env: dict[str, str] | None = None, heard: Heard | None = None
) -> Answer:
    """Runs the request.

    Args:
        python: another Python's command line, which needs nothing of this project's; by default this one.
        env: additional environment variables for it.
        heard: hears of each answered prompt while the others are still asked: its index, text, and the prompt's tokens.

    Raises:
        CannotRunError: the package is not there.
        RuntimeError: the engine failed or crashed; its last words are passed on.
    """
    from importlib.util import find_spec

    if not python and find_spec("litert_lm") is None:
        raise CannotRunError("the stock engine (litert-lm-api) is not installed")
    with tempfile.TemporaryDirectory() as folder:
        given, target, cache = Path(folder, "request.json"), Path(folder, "answer.json"), Path(folder, "cache")
        log = Path(folder, "log")  # a file, for the child reads there what the engine says of a failure
        said = Path(folder, "said")
        cache.mkdir()
        places = {"cache": str(cache), "log": str(log), "said": str(said)}
        given.write_text(json.dumps({**asdict(request), **places}), "utf-8")
        script = Path(__file__).with_name("engine_child.py")
        command = [*(python or (sys.executable, "-P")), str(script), str(given), str(target)]
        with log.open("wb") as words:
            code = _run(command, os.environ | (env or {}), words, said, heard)
        if code or not target.exists():
            text = log.read_text("utf-8", errors="replace")
            check_disk(text)
            raise RuntimeError(f"ended with code {code}: {_last(text.splitlines()) or 'no message'}")
        found = json.loads(target.read_text("utf-8"))
        if "error" in found:
            raise RuntimeError(found["error"])
        return Answer(**found)


def _run(command: list[str], env: Mapping[str, str], words: BinaryIO, said: Path, heard: Heard | None) -> int:
    """Runs the process to its end, which may be hours away as long as it goes on answering; gives its exit code."""
    read, deadline = 0, time.monotonic() + LIMIT_SECONDS
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=words) as process:
        try:
            while True:
                try:
                    code = process.wait(WAIT_SECONDS)
                except subprocess.TimeoutExpired:
                    code = None
                new = _lines(said, read)
                read += sum(map(len, new))
                for item in map(json.loads, new):
                    if heard is not None:
                        heard(item["prompt"], item["text"], item["tokens"])
                if code is not None:
                    return code
                if new:
                    deadline = time.monotonic() + LIMIT_SECONDS
                if time.monotonic() > deadline:
                    raise RuntimeError(f"no answer within {LIMIT_SECONDS} s")
        except BaseException:
            process.kill()
            raise


def _lines(path: Path, start: int) -> list[bytes]:
    """Whole lines of a file that another process writes."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(start)
        return [line for line in file.read().splitlines(keepends=True) if line.endswith(b"\n")]


def _last(lines: list[str]) -> str:
    """The last line that says something: neither a traceback's marks nor one of its frames."""
    told = [line.strip() for line in lines if line.strip(" ^~") and not line.startswith(" ")]
    return told[-1][:300] if told else ""
