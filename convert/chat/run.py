"""From what the user asks for to a conversation."""

from __future__ import annotations

import sys
from pathlib import Path

from convert import streams
from convert.bundle import manifest as m
from convert.chat.apart import apart
from convert.chat.engine import opened
from convert.chat.find import find
from convert.chat.native_log import NativeLog
from convert.chat.pictures import MOST_PIXELS, Picture, asked_for
from convert.chat.piped import answer_lines, once
from convert.chat.settings import Settings
from convert.chat.shown import shown
from convert.chat.terminal import converse
from convert.chat.tools import tools_of
from convert.errors import PlanError
from convert.targets.litert.inspect import inspect
from convert.targets.litert.seen import image_tokens


def chat(what: Path, ask: str | None, settings: Settings) -> int:
    """Talks until the input ends; with ``ask``, answers that one message. Gives the exit code.

    Args:
        what: folder of a bundle, a ``.litertlm``, or a decoder ``.onnx`` in its folder.

    Raises:
        ArtifactError: no bundle, a damaged file, or one that the engine refuses or crashes on.
        PlanError: there is nothing to ask or nowhere to answer, or the tools or an image cannot be had.
    """
    _check(ask)
    model, log = find(what), NativeLog()
    terminal = ask is None and sys.stdin.isatty() and sys.stdout.isatty()
    apart(f"chat with {what}", log, terminal)
    log.divert()
    # A character that the locale's encoding lacks must not end the run.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    if settings.tools and model.suffix == ".onnx":
        raise PlanError("chat --tools", "models for ONNX Runtime are given no tools", "Take an Android bundle")
    pictures = _pictures(settings, model)
    tools = tools_of(settings.tools)
    with opened(model, settings.threads, log, settings.sample) as engine:
        if ask is not None:
            return once(engine, settings, tools, ask, pictures)
        if not terminal:
            return answer_lines(engine, settings, tools, sys.stdin.buffer, pictures)
        code = converse(engine, settings, tools, shown(what.resolve().name), pictures)
    # The engine says it when it ends.
    if engine.drafted and (share := log.accepted()) is not None:
        streams.note(f"the drafter guessed {share:.0%} of its tokens right")
    return code


def _pictures(settings: Settings, model: Path) -> list[Picture]:
    """Read before the engine is opened, which takes seconds."""
    if not settings.images:
        return []
    if model.suffix != ".onnx":
        return asked_for(settings.images, image_tokens(inspect(model)))
    told = m.read(model.parent).feeding.images if model.with_name("manifest.json").is_file() else None
    return asked_for(settings.images, told.tokens if told else None, MOST_PIXELS)


def _check(ask: str | None) -> None:
    if sys.stdout is None:
        raise PlanError("chat", "stdout is closed, so there is nowhere to answer", "Open it")
    if ask is None:
        if sys.stdin is None:
            raise PlanError("chat", "stdin is closed, so there is nothing to answer", "Open it, or give --ask")
        return
    if not ask.strip():
        raise PlanError("chat --ask", "the message is empty", "Give it some text")
    try:
        ask.encode()
    except UnicodeEncodeError as error:
        raise PlanError("chat --ask", "the message is no UTF-8", "Give text in UTF-8") from error
