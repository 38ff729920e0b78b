"""Talking with a person."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

from convert.chat.engine import Opened
from convert.chat.output import OutputError, show, told
from convert.chat.pictures import Picture, of_command
from convert.chat.piped import refuse_tools
from convert.chat.settings import Settings
from convert.chat.shown import shown
from convert.chat.talk import Ending, Talk
from convert.chat.tools import Tool
from convert.errors import ConvertError

HELP = "/new begins another conversation, /help shows this; Ctrl-C stops an answer, Ctrl-D leaves"
IMAGE_HELP = "/image FILE puts an image before the next message, "
_PROMPT = "> "


def converse(
    engine: Opened, settings: Settings, tools: tuple[Tool, ...], name: str, pictures: Sequence[Picture] = ()
) -> int:
    """Answers what is typed until the input ends; the pictures go with the first message."""
    from rich.console import Console

    with suppress(ImportError):
        importlib.import_module("readline")  # arrow keys and history at the prompt
    console = Console(highlight=False, markup=False)

    def dim(text: str) -> None:
        console.print(shown(text), style="dim", soft_wrap=True)

    held, help = [*pictures], HELP if engine.images is None else IMAGE_HELP + HELP
    with closing(Talk(engine, settings, tools, dim)) as talk:
        refuse_tools(talk, tools)
        dim(f"{name}. {help}")
        for picture in held:
            dim(_held(picture))
        if tools:
            dim(f"tools: {', '.join(tool.name for tool in tools)}")
        while (line := _read(dim)) is not None:
            if line == "/new":
                talk.begin([])
                dim("a new conversation")
            elif line == "/help":
                dim(help)
            elif line:
                try:
                    if (found := of_command(line, engine.images, engine.most_pixels)) is not None:
                        held.append(found)
                        dim(_held(found))
                    elif line.startswith("/"):
                        dim(f"there is no {line}. {help}")
                    else:
                        given, held = held, []
                        _answer(talk, line, given, settings, engine, dim)
                except OutputError:
                    raise
                except ConvertError as error:
                    dim(f"{error.found}. {error.action}")
    return 0


def _held(picture: Picture) -> str:
    wide, high = picture.size
    return f"{picture.name}: {wide} x {high} pixels, {picture.tokens} tokens; it goes with the next message"


def _read(dim: Callable[[str], None]) -> str | None:
    """A line; None when the input ends or is interrupted."""
    while True:
        try:
            line = input(_PROMPT).strip()
            line.encode()  # lone surrogates stand for bytes that were no UTF-8
            return line
        except UnicodeError:
            dim("this is no UTF-8 text")
        except (EOFError, KeyboardInterrupt):
            sys.stdout.write("\n")
            return None


def _answer(
    talk: Talk,
    line: str,
    pictures: list[Picture],
    settings: Settings,
    engine: Opened,
    dim: Callable[[str], None],
) -> None:
    """Streams an answer to the terminal, and says under it how fast it was and what cut it."""
    with on_interrupt(talk.stop):
        show(talk.say(line, pictures))
    ending, speed = talk.ending(), talk.speed()
    measured = f"{speed.tokens} tokens, {speed.per_second:.0f} tokens/s" if speed else "no speed yet"
    cut = told(ending, settings.limit, engine.context)
    if ending is Ending.STOPPED:
        measured += ", stopped"
        talk.resume()
    if ending is Ending.CONTEXT:
        cut = f"{cut}. /new begins another one"
    dim(measured if cut is None else f"{measured}; {cut}")


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
