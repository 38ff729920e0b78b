"""A runtime's process that keeps what it has read, and answers again whenever it is asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from convert.child import RSS_UNIT, Ran, die_with_parent


class Kept:
    """A process that prints a line of JSON after its prompt, and another for each line that it is given."""

    def __init__(self, process: subprocess.Popen[bytes], name: str) -> None:
        self._process, self._name = process, name
        self.peak_bytes = 0

    def first(self) -> dict[str, Any]:
        """What it says of the prompt and the answer behind it."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.end()
            raise AssertionError(f"{self._name} ended well and said nothing")
        found: dict[str, Any] = json.loads(line)
        return found

    def again(self) -> dict[str, Any]:
        """What it says of another answer behind all that went before."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: then it says nothing, and how it ended is told
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
        return self.first()

    def end(self) -> None:
        """Lets it go; ``peak_bytes`` is known from then on.

        Raises:
            ConvertError, StageError: it ended badly.
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self.peak_bytes = usage.ru_maxrss * RSS_UNIT
        Ran(self._process.returncode, "", 0.0, self.peak_bytes).check(self._name)


@contextmanager
def kept(command: list[str], env: dict[str, str], name: str) -> Iterator[Kept]:
    """Starts a process, and kills it if it is not let go."""
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
        preexec_fn=die_with_parent if sys.platform == "linux" else None,
    )
    try:
        yield Kept(process, name)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):
                assert pipe is not None
                pipe.close()
