"""How a command ends: with the exit code that its outcome deserves, and a line where it was refused."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer


def _terminated(signum: int, frame: Any) -> NoReturn:
    raise SystemExit(128 + signum)  # runs the clean-up that dying at once would skip


def guarded(command: Callable[[], object]) -> NoReturn:
    """Runs a command and ends the process with the exit code that its outcome deserves."""
    from convert import streams

    signal.signal(signal.SIGTERM, _terminated)
    # The hub's client logs each of its attempts; a refusal is one line of ours.
    os.environ.setdefault("HF_HUB_VERBOSITY", "critical")
    code: object
    try:
        streams.prepare()
        result = command()
        code = result if isinstance(result, int) else 0  # the parser hands an interrupt on as a number
    except KeyboardInterrupt:
        code = 130
    except SystemExit as ended:
        code = ended.code
        if code != 0 and isinstance(ended.__context__, BrokenPipeError):  # which the parser makes a silent 1 of
            streams.complain("standard output cannot be written to (Broken pipe)")
            code = 2
    except Exception as error:
        code = _refused(error)
    lost = streams.finish()
    if lost is not None and code in (None, 0):
        streams.complain(lost)
        code = 2
    sys.exit(code)


def _refused(error: Exception) -> int:
    """Exit code of an error that a user can cause, after saying it in one line; anything else is a defect and rises."""
    from convert import child, streams
    from convert.errors import ConvertError

    match error:
        case typer.Abort():
            return 130
        case child.StageError():
            return error.code  # has spoken for itself
        case ConvertError() | streams.OutputClosedError():
            streams.complain(str(error))
            return 2
        case OSError():  # a full disk, a missing right, a folder that vanished: nothing that a traceback would explain
            streams.complain(f"{streams.system_error(error)}. Mend that and run the command again")
            return 2
    if hasattr(error, "format_message"):  # a usage error of the command-line parser
        streams.complain(f"{error.format_message()} (see --help)")
        return 2
    if type(error).__name__ == "ParityError":
        sys.stdout.write(getattr(error, "table", ""))
        streams.complain(str(error))
        return 1
    raise error
