"""A tool that reaches a phone, called: its output, or in one line why there is none."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from runtime_tests.errors import CannotRunError


def called(tool: str, command: Sequence[str], what: str, seconds: float, codes: Sequence[int] = (0,)) -> str:
    """What a command prints.

    Args:
        tool: its name, for messages.
        what: what it was asked for, for messages.
        codes: exit codes that are no failure.

    Raises:
        CannotRunError: it cannot be started, takes longer, or fails; its last complaint is passed on.
    """
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise CannotRunError(f"{tool} {what} took more than {seconds:g} s") from error
    except OSError as error:
        raise CannotRunError(f"{tool} cannot be started ({error.strerror})") from error
    if done.returncode not in codes:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise CannotRunError(f"{tool} {what} ended with code {done.returncode}: {last[0][:200]}")
    return done.stdout.decode("utf-8", "replace")
