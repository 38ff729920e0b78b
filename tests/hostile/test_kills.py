"""Builds that are killed anywhere, in any way: nothing is left, the next one gives the same bytes. A small draw of it.

At full size: ``python -m tests.kills --checkpoint FOLDER``. What that script would find is tried on builders that are
not ours and each do one thing wrong.
"""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import pytest

from tests.kills import Bench, climb, points
from tests.support.commands import REPOSITORY

if sys.platform != "linux":
    pytest.skip("processes are watched through /proc", allow_module_level=True)

# Builds out/android/demo with one file; argv: out, scratch, fault.
BUILDER = """
import fcntl, os, pathlib, shutil, signal, subprocess, sys, time
out, scratch, fault = pathlib.Path(sys.argv[1], "android"), pathlib.Path(sys.argv[2]), sys.argv[3]
def told(text): print(text, file=sys.stderr, flush=True)
work = out / ".demo.work"
work.mkdir(parents=True, exist_ok=True)
lock = os.open(work, os.O_RDONLY)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    told("error: build demo: another build of it is running")
    sys.exit(0 if fault == "two" else 2)
def ended(*_): raise SystemExit(1 if fault == "code" else 143)
if fault != "deaf":
    signal.signal(signal.SIGTERM, ended)
try:
    shutil.rmtree(work / "new", ignore_errors=True)
    (work / "new").mkdir()
    told("begun")
    if fault == "orphan":
        subprocess.Popen(["sleep", "60"], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if fault == "scratch":
        (scratch / "forgotten").write_text("x")
    if fault == "disk":
        with (scratch / "large").open("wb") as large:
            (scratch / "large").unlink()
            large.write(bytes(1 << 20)); large.flush(); time.sleep(0.3)
    (work / "new" / "model").write_text(str(time.time()) if fault == "bytes" else "model")
    if fault == "early":
        shutil.copytree(work / "new", out / "demo", dirs_exist_ok=True)
    time.sleep(0.3)
    (work / "new" / "manifest").write_text("all")
    told("made")
    time.sleep(0.2)
    if (out / "demo").exists():
        (out / "demo").rename(work / "old")
    (work / "new").rename(out / "demo")
finally:
    if fault != "litter":
        shutil.rmtree(work, ignore_errors=True)
told("published")
"""
FAULTS = {
    "none": None,
    "two": r"the second of two builds ended with 0",
    "code": r"kill \d, SIGTERM: exit code 1",
    "deaf": r"kill \d, SIGTERM: exit code -15",
    "orphan": r"kill \d, SIG\w+: process \d+ lives on",
    "scratch": r"kill \d, SIGTERM: TMPDIR/forgotten was left",
    "disk": r"1\.\d+ MB of disk, 500\.00 kB were planned",
    "bytes": r"the next build gave other bytes",
    "early": r"a bundle that is neither the old nor the new one",
    "litter": r"kill \d, SIGTERM: .demo.work was left",
}


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    out.mkdir()
    scratch.mkdir()
    return out, scratch


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_kill_must_not_do_is_found(
    fault: str, places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.kills.PATIENCE_S", 0.5)
    bench = Bench((sys.executable, "-c", BUILDER, *map(str, places), fault), *places, every=0.02)
    wrong = climb(bench, 2, 500_000, lambda text: None)
    expected = FAULTS[fault]
    if expected is None:
        assert wrong == []
    else:
        assert any(re.search(expected, line) for line in wrong), wrong


def test_points_lie_in_all_stages_and_come_in_every_way() -> None:
    made = points([1.0, 101.0, 102.0, 110.0], 8)
    assert [point.lines for point in made] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert {point.how for point in made} == {signal.SIGKILL, signal.SIGTERM, signal.SIGINT}
    assert all(0 < point.seconds < length for point, length in zip(made[::2], (1, 100, 1, 8), strict=True))
    assert len({round(point.seconds, 3) for point in made}) == 8


@pytest.mark.slow
def test_our_builds_killed_in_three_stages_leave_nothing(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    command = (
        sys.executable,
        str(REPOSITORY / "tests" / "support" / "quick_build.py"),
        str(places[0]),
        "pass",
        "demo",
        "skip",
        "-v",
    )
    wrong = climb(Bench(command, *places), 3, 50_000_000, lambda text: None)
    assert wrong == []
