"""``just bench MODEL``: the stages of a whole bundle against a target for small models."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from convert import pipeline, tables
from convert.pipeline import Measure
from tests.bench.rates import PROBE_BYTES, copy_rate, table

TARGET_SECONDS, TARGET_BYTES = 60.0, 2_500_000_000


def bundle(model: str) -> str:
    """Builds a whole bundle into a temporary folder; a table of its stages against the target."""
    from convert.plan import Request
    from convert.progress import for_terminal

    measures: list[Measure] = []
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        built = pipeline.build(
            Request("android", model, Path(out), flags={"apk": "skip"}), for_terminal(), measures.append
        )
        seconds = time.perf_counter() - start
        size = built.bytes
        copied = copy_rate(Path(out))
    # The parent waits while a stage runs, so the most that is resident at once is both together.
    parent = max(m.peak_bytes for m in measures if m.stage not in ("convert", "judge"))
    peak = parent + max(m.peak_bytes for m in measures if m.stage in ("convert", "judge"))
    whole = Measure("whole, with its largest stage", seconds, peak)
    converted = next(m.seconds for m in measures if m.stage == "convert")
    verdict = "met" if seconds <= TARGET_SECONDS and peak <= TARGET_BYTES else "missed"
    # For a small model starting Python takes longer than any copy, and the ratio would say nothing.
    ratio = f"; converting takes {converted * copied / size:.1f} times as long as a plain copy with fsync"
    ratio = ratio if size > PROBE_BYTES else ""
    return (
        table(f"bundle android {model}", [*measures, whole])
        + f"\ntarget {TARGET_SECONDS:.0f} s and {tables.size(TARGET_BYTES)} on two cores: {verdict} "
        + f"on {os.cpu_count()} cores\n"
        + f"bundle {tables.size(size)}{ratio}\n"
    )
