"""What the engine says on stderr, kept aside: its errors name causes that its exceptions do not.

The log lives in memory where the system has such files, else in a file without a name: no ending leaves it behind.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile

# "E0000 00:00:1795935231.594125    7606 conversation.cc:613] Failed to start ...": level, time, thread, source, text;
# what lies below an error follows on lines of its own that begin with a corner.
_ERROR = re.compile(r"^[EF]\d{4} \S+ +\d+ \S+\] (.+(?:\n└ .+)*)$", re.MULTILINE)
_PREFIX = re.compile(r"^(?:└ )?(?:Failed to [a-z ]+: )?(?:[A-Z_]+: )?(?:RET_CHECK failure \([^)]*\) )?")
_ACCEPTED = re.compile(r"MTP Drafter - Success rate: ([0-9.eE+-]+)")
_ENDINGS = re.compile(r"living sessions|sessions are released|manager is not available")
_MOST_CHARACTERS = 300


class NativeLog:
    """A file that stderr of native code goes to once :meth:`divert` was called."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self.handle = os.memfd_create("engine-log")
        else:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115
            self.handle = self._file.fileno()
        self._read = 0

    def divert(self) -> None:
        """From now on native code writes into the log; ``sys.stderr`` still reaches the user."""
        if sys.stderr is None:  # closed by whoever started us: there is nobody to reach
            return
        sys.stderr.flush()
        kept = os.dup(sys.stderr.fileno())
        os.dup2(self.handle, 2)
        sys.stderr = open(kept, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")  # noqa: PTH123, SIM115

    def accepted(self) -> float | None:
        """The fraction of a drafter's tokens that the model accepted; None where the engine has not said it yet."""
        length = os.fstat(self.handle).st_size
        told = _ACCEPTED.findall(os.pread(self.handle, length, 0).decode("utf-8", "replace"))
        return float(told[-1]) if told else None

    def cause(self) -> str | None:
        """The last error since the last call, in one line; None when there was none."""
        length = os.fstat(self.handle).st_size
        new = os.pread(self.handle, length - self._read, self._read).decode("utf-8", "replace")
        self._read = length
        said = [error for error in _ERROR.findall(new) if not _ENDINGS.search(error)]
        if not said:
            return None
        text = _PREFIX.sub("", said[-1].splitlines()[-1].strip())
        return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "..."
