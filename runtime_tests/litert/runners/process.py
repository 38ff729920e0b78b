"""Plays tapes in another process, by ``replay.py``: a crash of native code there is a reason here, and no crash."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from runtime_tests.errors import CannotRunError, check_disk
from runtime_tests.litert.runners.protocol import Arrays, Call, Tape

SCRIPT = Path(__file__).with_name("replay.py")
LIMIT_SECONDS = 1800


@dataclass(frozen=True)
class Process:
    """A runtime behind a Python of its own.

    Attributes:
        name: for the report.
        runtime: what ``replay.py`` is to load.
        package: what has to be installed here; empty when ``command`` brings its own.
        asked: the command that has it in an environment of its own.
        command: the Python, and whatever has to stand before it.
        env: additional environment variables.
        limit: seconds.
    """

    name: str
    runtime: str
    package: str = ""
    asked: str = ""
    command: tuple[str, ...] = (sys.executable, "-P")  # no path of the script's: its neighbours are no packages
    env: dict[str, str] = field(default_factory=dict)
    limit: float = LIMIT_SECONDS

    def play(self, tapes: Sequence[Tape], threads: int) -> list[list[Arrays]]:
        """See :class:`runtime_tests.litert.runners.protocol.Player`."""
        if self.package and find_spec(self.package) is None:
            how = f"; {self.asked} has it in an environment of its own" if self.asked else ""
            raise CannotRunError(f"{self.package} is not installed{how}")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            job = {"runtime": self.runtime, "threads": threads, "tapes": _write(folder, tapes)}
            (folder / "job.json").write_text(json.dumps(job), "utf-8")
            run([*self.command, str(SCRIPT), str(folder)], self.env, self.limit)
            if not (folder / "done.json").is_file():
                raise CannotRunError(f"{self.name} ended without an answer")
            made = json.loads((folder / "done.json").read_text("utf-8"))
            return [[_read(folder, files) for files in calls] for calls in made]


def run(command: list[str], env: dict[str, str], limit: float) -> str:
    """Runs a command to its end and gives its stdout.

    Raises:
        CannotRunError: it failed, crashed or did not end; its last words are passed on.
    """
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    try:
        done = subprocess.run(
            command, env=os.environ | quiet | env, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CannotRunError(f"no answer within {limit:g} s") from error
    except OSError as error:
        raise CannotRunError(f"{command[0]} cannot be started ({error.strerror})") from error
    if done.returncode:
        check_disk(done.stderr)
        last = " / ".join([line.strip() for line in done.stderr.splitlines() if line.strip(" ^~")][-3:]) or "no message"
        ended = f"code {done.returncode}" if done.returncode > 0 else signal.Signals(-done.returncode).name
        raise CannotRunError(f"ended with {ended}: {last[-300:]}")
    return done.stdout


def _write(folder: Path, tapes: Sequence[Tape]) -> list[dict[str, Any]]:
    out, numbers = [], iter(range(1 << 30))

    def put(arrays: Arrays) -> dict[str, str]:
        files = {name: f"{next(numbers)}.npy" for name in arrays}
        for name, file in files.items():
            np.save(folder / file, arrays[name])
        return files

    def spell(call: Call) -> dict[str, Any]:
        given = {name: value for name, value in call.inputs.items() if name not in call.carry}
        return {"signature": call.signature, "inputs": put(given), "carry": call.carry, "keep": call.keep}

    for index, tape in enumerate(tapes):
        file = folder / f"{index}.tflite"
        if isinstance(tape.model, Path):
            file.symlink_to(tape.model.resolve())
        else:
            file.write_bytes(tape.model)
        out.append({"model": file.name, "calls": [spell(call) for call in tape.calls], "state": tape.state})
    return out


def _read(folder: Path, files: dict[str, str]) -> Arrays:
    return {name: np.load(folder / file, allow_pickle=False) for name, file in files.items()}
