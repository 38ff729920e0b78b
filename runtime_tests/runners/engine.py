"""The stock engine, LiteRT-LM, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime_tests.errors import CannotRunError, check_disk

LIMIT_SECONDS = 1800


@dataclass(frozen=True)
class Request:
    """What the engine shall do.

    Attributes:
        model: the ``.litertlm``.
        prompts: texts that are decoded greedily, without a template; the engine puts the start token before them.
        steps: tokens to decode for each, at most.
        detokenize: token ids that the engine shall turn into text, for comparison.
        chats: conversations, one after another, through the model's template: messages with role and content, of which
            the last is sent and the others are history.
        chat_steps: tokens of a reply, at most.
        threads: CPU threads.
    """

    model: str
    prompts: tuple[str, ...]
    steps: int
    detokenize: tuple[tuple[int, ...], ...]
    chats: tuple[tuple[dict[str, str], ...], ...]
    chat_steps: int
    threads: int


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        texts: continuation of each prompt.
        tokens: the engine's token ids of each prompt, without the start token.
        expected: text of each entry of ``detokenize``.
        chats: the replies.
        rendered: each conversation as the template made it, up to where the reply begins.
        chat_tokens: tokens in the cache after each reply.
        failed: prompts on which the engine gave up, with its words; their text is empty.
        start, stops: start token and stop sequences that the engine read from the metadata.
    """

    texts: list[str]
    tokens: list[list[int]]
    expected: list[str]
    chats: list[str]
    rendered: list[str]
    chat_tokens: list[int]
    failed: list[str]
    start: int | None
    stops: list[list[int]]


def ask(request: Request, python: tuple[str, ...] = (), env: dict[str, str] | None = None) -> Answer:
    """Runs the request.

    Args:
        python: another Python's command line, which needs nothing of this project's; by default this one.
        env: additional environment variables for it.

    Raises:
        CannotRunError: the package is not there.
        RuntimeError: the engine failed or crashed; its last words are passed on.
    """
    from importlib.util import find_spec

    if not python and find_spec("litert_lm") is None:
        raise CannotRunError("the stock engine (litert-lm-api) is not installed")
    with tempfile.TemporaryDirectory() as folder:
        given, target, cache = Path(folder, "request.json"), Path(folder, "answer.json"), Path(folder, "cache")
        cache.mkdir()
        given.write_text(json.dumps({**asdict(request), "cache": str(cache)}), "utf-8")
        script = Path(__file__).with_name("engine_child.py")
        command = [*(python or (sys.executable, "-P")), str(script), str(given), str(target)]
        merged = os.environ | (env or {})
        try:
            done = subprocess.run(
                command, env=merged, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"no answer within {LIMIT_SECONDS} s") from error
        if done.returncode or not target.exists():
            check_disk(done.stderr)
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip(" ^~")]  # not a traceback's marks
            last = " / ".join(lines[-3:])
            raise RuntimeError(f"ended with code {done.returncode}: {last[-300:] or 'no message'}")
        return Answer(**json.loads(target.read_text("utf-8")))
