"""Answers on stdout, notices on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import NoReturn

from convert.chat.shown import shown
from convert.chat.talk import MOST_ROUNDS, Ending
from convert.errors import PlanError
from convert.streams import note


def show(pieces: Iterable[str]) -> None:
    """Writes an answer as it comes, and ends its line also where it fails half way.

    Raises:
        PlanError: stdout takes no more.
        SystemExit: who read stdout has gone.
    """
    begun = False
    try:
        for text in pieces:
            _write(text)
            begun = begun or bool(text)
    except BaseException as error:
        if begun and isinstance(error, Exception):
            _write("\n")
        raise
    _write("\n")


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _leave()  # as with `| head -1`: whoever reads has what they wanted
    except OSError as error:
        _discard()
        raise OutputError("chat", f"stdout cannot be written ({error.strerror})", "Make room there") from error


class OutputError(PlanError):
    """Nothing can be said any more."""


def _leave() -> NoReturn:
    _discard()
    raise SystemExit(0)


def _discard() -> None:
    """The interpreter flushes stdout once more when it ends, and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def notice(text: str) -> None:
    """One line on stderr, where there is one."""
    note(shown(text).replace("\n", " "))


def told(ending: Ending, limit: int, context: int | None) -> str | None:
    """What to say about an answer that did not end by itself; None for one that did, or that the user stopped."""
    match ending:
        case Ending.LIMIT:
            return f"the answer was cut at {limit} tokens (--limit)"
        case Ending.CONTEXT:
            return f"the answer was cut: the conversation fills the context of {context} tokens"
        case Ending.CALLS:
            return f"the answer was cut: the model called tools {MOST_ROUNDS} times and asked for more"
    return None
