"""Answers to messages that no person types: the lines of an input, or the one of ``--ask``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import BinaryIO

from convert.chat.engine import Opened
from convert.chat.output import OutputError, notice, show, told
from convert.chat.pictures import Picture, of_command
from convert.chat.settings import Settings
from convert.chat.talk import Ending, FullError, Talk
from convert.chat.tools import Tool
from convert.errors import ConvertError, PlanError

LONGEST = 1 << 20  # bytes of a line; the longest context there is takes far less


def once(
    engine: Opened, settings: Settings, tools: tuple[Tool, ...], message: str, pictures: Sequence[Picture] = ()
) -> int:
    """Answers one message, with pictures before it.

    Raises:
        ConvertError: it could not be answered.
    """
    with closing(begun(engine, settings, tools)) as talk:
        show(talk.say(message, pictures))
        cut = told(talk.ending(), settings.limit, engine.context)
        if cut is not None:
            notice(cut)
    return 0


def answer_lines(
    engine: Opened,
    settings: Settings,
    tools: tuple[Tool, ...],
    source: BinaryIO,
    pictures: Sequence[Picture] = (),
) -> int:
    """One answer a line; blank lines are passed over. Gives the exit code: 1 where a line could not be answered.

    Such a line is told, and the run goes on with the next; pictures that were given for it are gone. Where the
    conversation is full, its next line begins another one, and that is told too.
    """
    failed = False
    held = [*pictures]
    with closing(begun(engine, settings, tools)) as talk:
        for number, raw in enumerate(_read(source), 1):
            try:
                line = _decoded(raw).strip()
                if line == "/new":
                    talk.begin([])
                elif (found := of_command(line, engine.images, engine.most_pixels)) is not None:
                    held.append(found)
                elif line:
                    given, held = held, []
                    _answer(talk, line, given, number, settings, engine)
            except OutputError:
                raise
            except ConvertError as error:
                failed = True
                notice(f"error: line {number}: {error.found}. {error.action}")
    return int(failed)


def begun(engine: Opened, settings: Settings, tools: tuple[Tool, ...]) -> Talk:
    """A conversation that tells about calls on stderr.

    Raises:
        PlanError: there are tools, and the bundle's template does not declare any.
    """
    talk = Talk(engine, settings, tools, notice)
    refuse_tools(talk, tools)
    return talk


def refuse_tools(talk: Talk, tools: tuple[Tool, ...]) -> None:
    if tools and not talk.knows_tools():
        found = "the bundle's chat template declares no tools, so the model would not know of them"
        raise PlanError("chat --tools", found, "Take a model whose template does, or leave --tools away")


def _answer(talk: Talk, line: str, pictures: list[Picture], number: int, settings: Settings, engine: Opened) -> None:
    try:
        show(talk.say(line, pictures))
    except FullError as error:
        if error.hopeless:
            raise
        notice(f"line {number}: {error.found}. It begins a new conversation")
        talk.begin([])
        show(talk.say(line, pictures))
    ending = talk.ending()
    cut = told(ending, settings.limit, engine.context)
    if cut is None:
        return
    if ending is Ending.CONTEXT:
        talk.begin([])
        cut += ". The next line begins a new one"
    notice(f"line {number}: {cut}")


def _read(source: BinaryIO) -> Iterator[bytes]:
    """Lines as bytes; of one that is too long, the first ``LONGEST`` + 1, so that it is seen."""
    while line := source.readline(LONGEST + 1):
        rest = line
        while len(rest) > LONGEST and not rest.endswith(b"\n"):
            rest = source.readline(LONGEST + 1)
        yield line


def _decoded(line: bytes) -> str:
    if len(line) > LONGEST:
        raise PlanError("chat", f"it has more than {LONGEST} bytes", "Say it shorter")
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PlanError("chat", f"its byte {error.start + 1} is no UTF-8", "Give text in UTF-8") from error
