"""What chat leaves behind, and how its endings are told: the engine's files, signals, crashes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from convert.chat import engine, native_log
from tests.support.commands import REPOSITORY, convert


@pytest.fixture
def running(demo_file: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A chat that has answered once and waits, and the process that holds its engine."""
    process = subprocess.Popen(
        [sys.executable, "-m", "convert", "chat", str(demo_file), "--threads", "1"],
        cwd=REPOSITORY,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"What is 47 + 38?\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"85\n"
    child = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
    yield process, child
    for handle in (process.stdin, process.stdout, process.stderr):
        handle.close()  # type: ignore[union-attr]
    process.kill()
    process.wait()


def gone(process_id: int) -> bool:
    """Whether a process ends within a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError):
            if ") Z" not in Path(f"/proc/{process_id}/stat").read_text():
                time.sleep(0.02)
                continue
        return True
    return False


@pytest.mark.parametrize(
    ("sent", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130), ("SIGKILL", -signal.SIGKILL)]
)
def test_every_ending_takes_the_engine_with_it_and_leaves_no_file(
    running: tuple[subprocess.Popen[bytes], int], tmp_path: Path, sent: str, code: int
) -> None:
    process, child = running
    process.send_signal(signal.Signals[sent])
    assert process.wait(60) == code
    assert gone(child)
    assert list(tmp_path.iterdir()) == []
    assert process.stderr is not None
    assert process.stderr.read() == b""


@pytest.mark.parametrize(("sent", "advice"), [("SIGABRT", b"verify"), ("SIGKILL", b"memory was short")])
def test_a_crash_of_the_engine_is_one_line(
    running: tuple[subprocess.Popen[bytes], int], sent: str, advice: bytes
) -> None:
    process, child = running
    os.kill(child, signal.Signals[sent])
    assert process.wait(60) == 2
    assert process.stderr is not None
    said = process.stderr.read()
    assert said.startswith(b"error: chat with ")
    assert said.count(b"\n") == 1
    assert sent.encode() in said
    assert advice in said


def test_no_room_for_files_stops_nothing(demo_file: Path, tmp_path: Path) -> None:
    """Given a folder for its cache, the engine aborts where the file does not fit."""
    words = [sys.executable, "-m", "convert", "chat", str(demo_file), "--ask", "What is 47 + 38?"]
    script = 'ulimit -f 1; TMPDIR="$0/none" exec "$@"'
    ran = subprocess.run(
        ["bash", "-c", script, str(tmp_path), *words], cwd=REPOSITORY, capture_output=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"85\n", b"")
    assert engine.weight_cache() == ":memory"


def test_the_last_error_of_the_log_is_the_cause(capfd: pytest.CaptureFixture[str]) -> None:
    log = native_log.NativeLog()
    assert log.cause() is None
    head = "E0000 00:00:1795936792.548210   22410 conversation.cc:613] "
    os.write(log.handle, f"W{head[1:]}x\n{head}first\n{head}Failed to start message stream: INTERNAL: Bad.\n".encode())
    os.write(log.handle, f"=== Source Location Trace: ===\nsome.cc:1\n{head}Not all sessions are released\n".encode())
    assert log.cause() == "Bad."
    assert log.cause() is None
    os.write(log.handle, f"{head}A: ERROR: [a.cc:1]\n└ RET_CHECK failure (b.cc:2) !empty Nothing there.\n".encode())
    assert log.cause() == "!empty Nothing there."
    os.write(log.handle, f"{head}{'x' * 999}\n".encode())
    assert log.cause() == "x" * 300 + "..."


def test_a_file_that_the_engine_refuses_is_one_line_with_its_cause(demo_file: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt.litertlm"
    data = demo_file.read_bytes()
    spoilt.write_bytes(data.replace(b"logits", b"logitz"))
    ran = convert("chat", spoilt, "--ask", "Hello")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "the engine refuses it (" in ran.err
    assert "Output logits not found.)" in ran.err
