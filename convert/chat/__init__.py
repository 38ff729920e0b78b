"""A small chat on a terminal with a finished bundle, in the stock engine (LiteRT-LM) that phones run it in.

On a terminal, answers appear token by token; Ctrl-C stops the answer and not the program. Without one, every line of
the input is a message, and the output is the answers alone, so that scripts can use it.
"""

from __future__ import annotations

import hashlib
import importlib
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.bundle import manifest as m
from convert.errors import ArtifactError
from convert.inspection.artifact import inspect

HELP = "/new begins another conversation, /help shows this; Ctrl-C stops an answer, Ctrl-D leaves"
_PROMPT = "> "


@dataclass(frozen=True)
class Settings:
    """How to talk.

    Attributes:
        sample: draw tokens with the bundle's own sampler settings; otherwise the best token is taken every time.
        limit: tokens of an answer, at most.
        threads: CPU threads.
    """

    sample: bool
    limit: int
    threads: int


@dataclass(frozen=True)
class Speed:
    """What the engine measured over the last answer."""

    tokens: int
    per_second: float


def chat(what: Path, ask: str | None, settings: Settings) -> None:
    """Talks until the input ends; with ``ask``, answers that one message.

    Args:
        what: folder of a bundle, or a ``.litertlm``.

    Raises:
        ArtifactError: no bundle, a damaged file, or one that the engine refuses.
    """
    with _engine(find(what), settings) as engine:
        if ask is not None:
            _once(engine, settings, [ask])
        elif sys.stdin.isatty() and sys.stdout.isatty():
            _terminal(engine, settings, what.resolve().name)
        else:
            _once(engine, settings, sys.stdin)


def find(what: Path) -> Path:
    """The model to talk to; in a bundle it must have the manifest's SHA-256, for damage makes native code crash.

    Raises:
        ArtifactError: nothing there, no bundle, or a damaged file.
    """
    asked = f"chat with {what}"
    if not what.exists():
        raise ArtifactError(asked, "there is no such file or folder", "Build it first: bundle android")
    if not what.is_dir():
        inspect(what)
        return what
    if not (what / "manifest.json").is_file():
        raise ArtifactError(asked, "it has no manifest.json, so it is no bundle", "Give the folder of a bundle")
    names = sorted(name for name in m.read(what).files if name.endswith(".litertlm") and Path(name).name == name)
    if len(names) != 1:
        raise ArtifactError(asked, f"its manifest names {len(names)} .litertlm files", "Build the bundle again")
    model, expected = what / names[0], m.read(what).files[names[0]]
    try:
        with model.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(asked, f"{names[0]} cannot be read ({error.strerror})", "Build the bundle again") from error
    if found != expected.sha256:
        said = f"{names[0]} has SHA-256 {found[:12]}..., the manifest says {expected.sha256[:12]}..."
        raise ArtifactError(asked, said, "It is damaged or not of this bundle. Build the bundle again")
    return model


@contextmanager
def _engine(model: Path, settings: Settings) -> Iterator[Any]:
    import litert_lm

    litert_lm.set_min_log_severity(litert_lm.LogSeverity.SILENT)
    backend = litert_lm.Backend.CPU(thread_count=settings.threads)
    with tempfile.TemporaryDirectory() as cache:  # the engine would leave its caches beside the model
        try:
            engine = litert_lm.Engine(str(model), backend=backend, cache_dir=cache, enable_benchmark=True)
        except RuntimeError as error:
            advice = "See what it holds with inspect, and judge it with verify"
            raise ArtifactError(f"chat with {model.name}", f"the engine refuses it ({error})", advice) from error
        with engine:
            yield engine


class Talk:
    """A conversation that outlives a stopped answer.

    The engine's own conversation answers nothing any more once an answer of it was cancelled [0.18.1]. So what was said
    is kept here, and a new one is given it.
    """

    def __init__(self, engine: Any, settings: Settings) -> None:
        self._engine, self._settings = engine, settings
        self._said: list[dict[str, str]] = []
        self._native: Any = None
        self.begin([])

    def begin(self, said: list[dict[str, str]]) -> None:
        """Begins another conversation, in which ``said`` was said before."""
        import litert_lm

        self.close()
        greedy = litert_lm.SamplerConfig(top_k=1, top_p=1.0, temperature=1.0, seed=1)
        self._said = said
        self._native = self._engine.create_conversation(
            messages=said or None,
            sampler_config=None if self._settings.sample else greedy,
            max_output_tokens=self._settings.limit,
        )

    def say(self, message: str) -> Iterator[str]:
        """Streams the answer; with :meth:`stop` it ends early."""
        pieces: list[str] = []
        for text in stream(self._native, message):
            pieces.append(text)
            yield text
        if pieces:
            answer = {"role": "assistant", "content": "".join(pieces)}
            self._said = [*self._said, {"role": "user", "content": message}, answer]

    def stop(self) -> None:
        """Cancels the answer that is being streamed; afterwards :meth:`resume` is due."""
        self._native.cancel_process()

    def resume(self) -> None:
        """Goes on with what was said so far, the stopped answer as far as it came."""
        self.begin(self._said)

    def speed(self) -> Speed | None:
        """What the engine measured over the last answer; None before the first, and where it was stopped at once."""
        try:
            found = self._native.get_benchmark_info()
        except RuntimeError:
            return None
        return Speed(found.last_decode_token_count, found.last_decode_tokens_per_second)

    def close(self) -> None:
        if self._native is not None:
            self._native.close()


def _once(engine: Any, settings: Settings, lines: Iterable[str]) -> None:
    """One answer a line of input; blank lines are passed over."""
    with closing(Talk(engine, settings)) as talk:
        for line in (line.strip() for line in lines):
            if line == "/new":
                talk.begin([])
            elif line:
                _show(talk.say(line))


def _terminal(engine: Any, settings: Settings, name: str) -> None:
    from rich.console import Console

    with suppress(ImportError):
        importlib.import_module("readline")  # arrow keys and history at the prompt
    said = Console(highlight=False, markup=False)
    said.print(f"{name}. {HELP}", style="dim")
    with closing(Talk(engine, settings)) as talk:
        while (line := _read()) is not None:
            if line == "/new":
                talk.begin([])
                said.print("a new conversation", style="dim")
            elif line.startswith("/"):
                said.print(HELP if line == "/help" else f"there is no {line}. {HELP}", style="dim")
            elif line:
                try:
                    said.print(_answer(talk, line), style="dim")
                except ArtifactError as error:  # most often a full context
                    said.print(f"{error}. A new conversation begins", style="dim")
                    talk.begin([])


def _read() -> str | None:
    """A line; None when the input ends or is interrupted."""
    try:
        return input(_PROMPT).strip()
    except (EOFError, KeyboardInterrupt):
        sys.stdout.write("\n")
        return None


def _answer(talk: Talk, line: str) -> str:
    """Streams an answer to the terminal and gives the line that goes under it."""
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        talk.stop()

    with on_interrupt(stop):
        _show(talk.say(line))
    speed = talk.speed()
    if stopped:
        talk.resume()
    told = f"{speed.tokens} tokens, {speed.per_second:.0f} tokens/s" if speed else "no speed yet"
    return f"{told}, stopped" if stopped else told


def _show(pieces: Iterable[str]) -> None:
    for text in pieces:
        sys.stdout.write(text)
        sys.stdout.flush()
    sys.stdout.write("\n")


def stream(conversation: Any, message: str) -> Iterator[str]:
    """The answer's pieces as they come, without control characters: a model's text must not steer a terminal.

    Raises:
        ArtifactError: the engine failed; its message is passed on.
    """
    try:
        for part in conversation.send_message_async(message):
            content = part.to_json().get("content", "")
            pieces = [content] if isinstance(content, str) else [item.get("text", "") for item in content]
            yield "".join(c for c in "".join(pieces) if c.isprintable() or c in "\n\t")
    except RuntimeError as error:
        advice = "Begin another conversation; a conversation must fit the context that the bundle was built with"
        raise ArtifactError("chat", f"the engine failed ({error})", advice) from error


@contextmanager
def on_interrupt(action: Callable[[], None]) -> Iterator[None]:
    """Within this the first Ctrl-C runs ``action``, and a second one interrupts as usual."""

    def handler(signum: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        action()

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
