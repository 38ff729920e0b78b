"""Standard input, output and error as a process finds them: closed, full, or in an encoding that lacks a letter."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


class OutputClosedError(Exception):
    """Nobody would see what the command has to say."""


def prepare() -> None:
    """Makes the streams safe to use: a closed one would give its number to the next file that is opened.

    Raises:
        OutputClosedError: standard output is closed.
    """
    closed = [number for number in (0, 1, 2) if not _is_open(number)]
    for number in closed:
        made = os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
        if made != number:
            os.dup2(made, number)
            os.close(made)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - as long as the process
    for stream in (sys.stdout, sys.stderr):
        # A file's name may hold bytes that are no text, and a locale may lack a letter of ours.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if 1 in closed:
        raise OutputClosedError("standard output is closed. Send it to a file, or to /dev/null")


def finish() -> str | None:
    """Writes out what was said; gives why that failed, once, and silences the stream for the interpreter's own end."""
    if sys.stdout is None:  # it was closed, and that has been said
        return None
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return f"standard output cannot be written to ({getattr(error, 'strerror', None) or error})"
    return None


def complain(text: str) -> None:
    """An error in one line on standard error, if that takes any."""
    note(f"error: {' '.join(text.split())}")


def note(line: str) -> None:
    """One line on standard error, if that takes any."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        # What is still in the buffer would fail once more when the interpreter ends, and change the exit code.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def system_error(error: OSError) -> str:
    """What the system refused, in words: the file where there is one, and the reason."""
    name = error.filename if error.filename is not None else ""
    shown = os.fsdecode(name) if isinstance(name, str | bytes) else str(name)
    reason = error.strerror or str(error) or type(error).__name__
    return f"{shown}: {reason}" if shown else reason


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
