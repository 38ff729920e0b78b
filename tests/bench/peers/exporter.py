"""litert-torch's own exporter on floats of the same shape, ended where it holds more memory than it was given.

It refuses a quantized checkpoint, so it gets the bfloat16 weights of the sibling that lies on a lattice: the same
matrices. How it ends, and at what peak, is the result.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from convert import tables
from convert.child import die_with_parent
from runtime_tests.pinned import venvs
from runtime_tests.pinned.pieces import FetchError
from tests.bench.rates import stage
from tests.fullsize.watch import descendants
from tests.support.checkpoints.shapes import FULL_SIZE

NAME = "litert-torch export_hf"
PERIOD_S = 0.05
CONTEXT = 1024
FLAGS = ("--quantization_recipe=dynamic_wi4b32_afp32", "--moe_exports_implementation=eager", "--prefill_lengths=128")


def export(checkpoint: Path, work: Path, most: int, env: dict[str, str]) -> str:
    """Writes the floats, runs the exporter, and says in a line how that ended.

    Args:
        most: bytes of memory, resident, of its processes together.
    """
    text = json.loads((checkpoint / "config.json").read_text("utf-8"))["text_config"]
    key = (text["num_hidden_layers"], text["hidden_size"])
    size = next((name for name, shape in FULL_SIZE.items() if (shape.layers, shape.hidden) == key), None)
    if size is None:
        return f"{NAME}: not run: floats are written in the shapes of {', '.join(FULL_SIZE)} alone, and this is another"
    try:
        python = venvs.python("peer")
    except FetchError as error:
        return f"{NAME}: not run: {error}"
    floats, out = work / "floats", work / "exported"
    stage("floats", [sys.executable, "-m", "tests.support.checkpoints.fullsize", size, "q4_0", str(floats)], env)
    command = [str(python), "-P", "-m", "litert_torch.generative.export_hf"]
    command += [f"--model={floats}", f"--output_dir={out}", f"--cache_length={CONTEXT}", *FLAGS]
    log = work / "export.log"
    code, seconds, peak, ended = _capped(command, log, most, env)
    files = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) if out.is_dir() else 0
    if ended:
        how = f"ended by us beyond {tables.size(most)} of memory"
    elif code == 0:
        how = "done"
    else:
        lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        how = f"ended with code {code}: {lines[-1][-200:] if lines else 'no word'}"
    return f"{NAME} {size}: {how}; {seconds:.0f} s, peak {tables.size(peak)}, wrote {tables.size(files)}"


def _capped(command: list[str], log: Path, most: int, env: dict[str, str]) -> tuple[int, float, int, bool]:
    """Runs a command; gives exit code, seconds, the most that was resident, and whether that was too much for it."""
    start, peak, ended = time.monotonic(), 0, False
    with log.open("wb") as said:
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )
        try:
            while process.poll() is None:
                held = sum(map(_resident, [process.pid, *descendants(process.pid)]))
                peak = max(peak, held)
                if held > most:
                    ended = True
                    break
                time.sleep(PERIOD_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode, time.monotonic() - start, peak, ended


def _resident(process: int) -> int:
    """Bytes, by proc(5)'s statm; 0 when it has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
