"""How long the verbs that only look take, beside what Python and numpy take to start in the same run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median

from convert import tables

RUNS = 7
_BARE, _NUMPY = "python -c pass", "python -c 'import numpy'"
_VERBS = ("--help", "list", "plan android demo", "plan ios demo", "inspect demo")


def start() -> str:
    """A table: wall and processor time of each command, the median of some runs, and its ratio to bare Python's.

    The runs take turns, so that whatever else the machine does strikes all of them alike.
    """
    commands = {_BARE: ["-c", "pass"], _NUMPY: ["-c", "import numpy"]}
    commands |= {verb: ["-m", "convert", *verb.split()] for verb in _VERBS}
    walls: dict[str, list[float]] = {name: [] for name in commands}
    busy: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, words in commands.items():
            wall, processor = _run([sys.executable, *words])
            walls[name].append(wall)
            busy[name].append(processor)
    bare, numpy = median(walls[_BARE]), median(walls[_NUMPY])
    rows = [
        (
            name,
            f"{median(walls[name]):.3f} s",
            f"{median(busy[name]):.3f} s",
            *_ratios(median(walls[name]), bare, numpy),
        )
        for name in commands
    ]
    heads = ("command", "wall time ", "processor ", "to bare Python ", "to numpy ")
    return tables.table(f"start of the verbs that look, median of {RUNS} runs", heads, rows)


def _ratios(seconds: float, *to: float) -> tuple[str, ...]:
    return tuple(f"{seconds / other:.1f} x" for other in to)


def _run(command: list[str]) -> tuple[float, float]:
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with code {process.returncode}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime
