"""The ways in which a judgement ends early."""

import errno
import os


class InputError(Exception):
    """What was handed in cannot be judged: damaged, missing or of another kind. Ends the command with exit code 2.

    The message is one line: which file, what was found, what was expected.
    """


class CannotRunError(Exception):
    """A rung that cannot be climbed here, with the reason. Recorded as ``not run: <why>``, never as a pass."""


def check_disk(said: str) -> None:
    """Tells a full disk from a failure, by what a process said as it ended.

    Raises:
        OSError: the disk was full, so nothing was judged.
    """
    if os.strerror(errno.ENOSPC) in said:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} for scratch files; set TMPDIR to another disk")
