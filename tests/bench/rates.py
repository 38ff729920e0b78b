"""What every figure is set beside: how fast this machine copies a file and reads memory; and tables of stages."""

from __future__ import annotations

import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from convert import tables
from convert.child import run
from convert.pipeline import Measure

PROBE_BYTES = 256 << 20


def table(title: str, measures: list[Measure]) -> str:
    """Stages with seconds and peak resident memory."""
    rows = [(m.stage, f"{m.seconds:.1f} s", tables.size(m.peak_bytes)) for m in measures]
    return tables.table(title, ("stage", "wall time ", "peak memory "), rows)


def stage(name: str, command: list[str], env: dict[str, str]) -> Measure:
    """Runs a command to its end.

    Raises:
        child.StageError: it ended badly and has said why.
    """
    ran = run(command, env)
    ran.check(name)
    return Measure(name, ran.seconds, ran.peak_bytes)


def copy_rate(folder: Path) -> float:
    """Bytes per second of writing a file and flushing it to the disk of ``folder``."""
    block = os.urandom(1 << 22)
    start = time.perf_counter()
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(PROBE_BYTES // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        written = file.tell()
    return written / (time.perf_counter() - start)


def read_rate(threads: int) -> float:
    """Bytes per second of so many threads adding up memory beyond any cache, best of three."""
    import numpy as np

    data = [np.ones(PROBE_BYTES // 8, np.int64) for _ in range(threads)]
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(3):
            begin = time.perf_counter()
            list(pool.map(lambda part: int(part.sum()), data))
            best = min(best, time.perf_counter() - begin)
    return sum(part.nbytes for part in data) / best
