"""One stage as a process: measured, killed with its parent, holding the building site's lock."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

from convert.errors import ConvertError

RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB on Linux (getrusage(2))
_PR_SET_PDEATHSIG = 1


class StageError(Exception):
    """A stage refused its input and has said so on stderr; its exit code is to be passed on."""

    def __init__(self, stage: str, code: int) -> None:
        self.stage, self.code = stage, code
        super().__init__(f"{stage} ended with exit code {code}")


class KilledError(ConvertError):
    """A stage was killed from outside, most often for want of memory."""


@dataclass(frozen=True)
class Ran:
    """How a process ended: exit code (negative: the signal), what it printed, seconds, peak resident bytes.

    Linux starts a child's peak at what its parent held when it forked, so a parent that measures stays small.
    """

    code: int
    output: str
    seconds: float
    peak_bytes: int

    def check(self, stage: str) -> None:
        """Passes on a bad end.

        Raises:
            KilledError: a signal ended it.
            StageError: any other exit code than 0.
        """
        if self.code < 0:
            peak = f" at a peak of {self.peak_bytes / 1e9:.2f} GB of memory"
            raise killed(stage, "its process", self.code, peak, "Report this as a defect")
        if self.code:
            raise StageError(stage, self.code)


def killed(asked: str, process: str, code: int, when: str, crashed: str) -> KilledError:
    """The error for a process that a signal ended.

    Args:
        code: negative: the signal.
        when: what else is known of that moment.
        crashed: what to do, unless it was killed from outside.
    """
    name = signal.Signals(-code).name
    hint = "Close other programs and try again" if name == "SIGKILL" else crashed
    return KilledError(asked, f"{process} was ended by {name}{when}", hint)


def run(command: list[str], env: dict[str, str], lock: int | None = None) -> Ran:
    """Runs a command to its end and collects its stdout; stderr, where progress and refusals go, passes through.

    Args:
        lock: file descriptor that the child inherits: while it lives, nobody else may build there.
    """
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        process_group=0,  # so that its own children can be ended with it
        pass_fds=() if lock is None else (lock,),
        preexec_fn=die_with_parent if sys.platform == "linux" else None,
    )
    assert process.stdout is not None
    try:
        output = process.stdout.read().decode("utf-8", "replace")
        # wait4 and not wait: it alone tells the peak of this child rather than of the largest so far.
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ran(process.returncode, output, time.perf_counter() - start, usage.ru_maxrss * RSS_UNIT)


def die_with_parent() -> None:
    """A SIGKILLed builder cannot tell its child; the kernel does (prctl(2)). Elsewhere the lock keeps order."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
