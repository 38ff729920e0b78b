"""Running the command line as a user does: another process, its exit code, what it leaves behind."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
QUICK = ("--context", "96", "--prefill", "16", "--modalities", "text")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


def convert(*arguments: str | Path, cwd: Path = REPOSITORY, timeout: float = 300, **env: str) -> Outcome:
    """``python -m convert`` with arguments and additional environment variables."""
    ran = subprocess.run(
        [sys.executable, "-m", "convert", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Outcome(ran.returncode, ran.stdout, ran.stderr)


def refused(platform: str, model: str | Path, out: Path, *flags: str, **env: str) -> Outcome:
    """``bundle`` that has to be refused: exit code 2, one line, and nothing in ``out``."""
    words = ("bundle", platform, model, "--out", out, *(flags or QUICK))
    ran = convert(*words, cwd=REPOSITORY, timeout=300, **env)
    assert ran.code == 2, ran.err
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1, ran.err
    assert not out.exists()
    return ran


def start(command: list[str], cwd: Path = REPOSITORY, **env: str) -> subprocess.Popen[bytes]:
    """A process to be killed."""
    return subprocess.Popen(
        command, cwd=cwd, env=os.environ | env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def wait_for(path: Path, timeout_s: float = 60) -> None:
    """Returns when a path exists."""
    deadline = time.monotonic() + timeout_s
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.01)


def stop(process: subprocess.Popen[bytes], after_s: float, how: signal.Signals) -> int:
    """Lets a process run for a while, sends the signal to it alone, and gives its exit code."""
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(how)
    return process.wait(60)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, hidden ones too, by relative name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
