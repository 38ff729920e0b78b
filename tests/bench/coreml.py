"""``just bench coreml``: a full-size package against a target."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from convert import tables
from tests.bench.rates import copy_rate, stage, table

PACKAGE_SECONDS, PACKAGE_BYTES = 180.0, 4_000_000_000


def coreml(size: str, root: Path) -> str:
    """Writes a synthetic mobile checkpoint of real dimensions and makes a Core ML package of it, for devices.

    Everything but the figures is removed again.
    """
    from convert.checkpoint import open_checkpoint
    from convert.inspection.weights import histogram

    python = [sys.executable, "-m"]
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="coreml-", dir=root) as work:
        checkpoint, package = Path(work) / size, Path(work) / "out" / f"{size}.mlpackage"
        env = os.environ | {"TMPDIR": work}
        write = [*python, "tests.support.checkpoints.fullsize", size, "mobile", str(checkpoint)]
        made = [*python, "convert", "convert", str(checkpoint), str(package), "--context", "4096", "--prefill", "128"]
        made += ["--modalities", "text"]
        measures = [stage("write checkpoint", write, env), stage("convert", made, env)]
        billions = sum(share.parameters for share in histogram(open_checkpoint(checkpoint))) / 1e9
        bytes_ = {p.name: p.stat().st_size for p in package.parent.rglob("*") if p.is_file()}
        copied = copy_rate(Path(work))
    seconds, peak = measures[1].seconds, measures[1].peak_bytes
    verdict = "met" if seconds <= PACKAGE_SECONDS and peak <= PACKAGE_BYTES else "missed"
    return (
        table(f"Core ML package of a full-size {size}, context 4096", measures)
        + f"\n{billions:.2f} billion parameters: {seconds / billions:.1f} s and {tables.size(int(peak / billions))} "
        + "of peak memory for each\n"
        + f"target {PACKAGE_SECONDS:.0f} s and {tables.size(PACKAGE_BYTES)}: {verdict} on {os.cpu_count()} cores\n"
        + f"weight.bin {tables.size(bytes_['weight.bin'])}, tables of rows "
        + f"{tables.size(sum(n for name, n in bytes_.items() if name.endswith('.rows')))}; "
        + f"a plain copy with fsync runs at {tables.size(int(copied))}/s here\n"
    )
