"""The engine in a process of its own, so that its crash is a line and not silence.

Native code that meets what it does not expect aborts, and a machine that runs out of memory kills. The first process
does nothing but wait for the second, and says so when a signal ended that one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from convert.chat.native_log import NativeLog
from convert.errors import ArtifactError

_PR_SET_PDEATHSIG = 1  # prctl(2)
_ENDED_FROM_OUTSIDE = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def apart(asked: str, log: NativeLog, terminal: bool) -> None:
    """Returns in a child process; the parent stays here until the child has ended, and ends with its exit code.

    The child dies with its parent. Neither has anything to clean up.

    Args:
        terminal: a person types. Ctrl-C goes to both processes then, and the child decides what it means.

    Raises:
        ArtifactError: in the parent: a signal ended the child that nobody sent on purpose.
    """
    parent = os.getpid()
    if terminal:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)  # at once, also while native code runs
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
        return
    _wait(child, asked, log)


def _wait(child: int, asked: str, log: NativeLog) -> NoReturn:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _ended)
    try:
        _, status = os.waitpid(child, 0)
    except BaseException:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        raise
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        raise SystemExit(code)
    if -code in _ENDED_FROM_OUTSIDE:
        raise SystemExit(128 - code)
    name, said = signal.Signals(-code).name, log.cause()
    advice = "Judge the bundle with verify; where that passes, report this as a defect"
    if -code == signal.SIGKILL:
        advice = "Most often memory was short: close other programs and try again"
    raise ArtifactError(asked, f"the engine was ended by {name}" + (f" ({said})" if said else ""), advice)


def _ended(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
