"""What the judge says while it works: the rung, how many of its steps are done, and the time left."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

import pytest

from runtime_tests import progress
from runtime_tests.progress import Lines, Track, duration, steps, walk
from tests.support.commands import REPOSITORY


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_for_each_rung_and_one_every_half_minute() -> None:
    clock, said = Clock(), list[str]()
    lines = Lines(said.append, clock)
    lines.rung("rung 0", "rung 0: equal?")
    with progress._listening(lines), steps("layers", 6) as advance:
        for _ in range(6):
            clock.now += 11
            advance(1)
    lines.rung("rung 1", "rung 1: Gemma 4?")
    assert said == [
        *("rung 0: equal?", "rung 0, 3 of 6 layers, about 33 s left", "rung 0, 6 of 6 layers, about 0 s left"),
        "rung 1: Gemma 4?",
    ]


def test_inner_steps_are_parts_of_the_current_outer_step() -> None:
    clock, track = Clock(), Track(Clock())
    lines = Lines(lambda line: None, clock)
    with progress._listening(lines), steps("prefill lengths", 4) as outer:
        track = lines.track
        for _ in walk("layers", range(10)):
            clock.now += 1
        outer(1)
        with steps("layers", 10) as inner:
            clock.now += 5
            inner(5)
            assert track.words() == "1 of 4 prefill lengths, 5 of 10 layers, about 25 s left"
    assert track.levels == []


def test_steps_that_end_in_an_error_are_forgotten() -> None:
    lines = Lines(lambda line: None)
    with progress._listening(lines):
        with pytest.raises(KeyError), steps("layers", 3):
            raise KeyError
        with steps("tensors", 5) as advance:
            advance(2)
            assert lines.track.words().startswith("2 of 5 tensors")


def test_nobody_needs_to_listen_and_no_steps_are_no_error() -> None:
    assert list(walk("layers", ())) == []
    lines = Lines(lambda line: None)
    with progress._listening(lines), steps("layers", 0) as advance:
        advance(1)
        assert lines.track.left() is None


def test_durations_are_for_people() -> None:
    told = ["0 s", "89 s", "2 min", "10 min", "90 min", "1.5 h"]
    assert [duration(seconds) for seconds in (0, 89.4, 90, 600, 5399, 5400)] == told


SCRIPT = """
import sys, time
from runtime_tests.progress import shown, walk
with shown() as begins:
    begins("rung 0", "rung 0: equal?")
    for _ in walk("layers", range(3)):
        time.sleep(0.4)
print("table")
"""


def test_a_terminal_sees_the_rungs_line_and_a_live_one_that_is_gone_in_the_end() -> None:
    ours, theirs = pty.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=REPOSITORY, env=env, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = io.BytesIO()
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # EIO: nobody holds the other end any more
            break
        if not piece:
            break
        seen.write(piece)
    os.close(ours)
    assert process.wait(60) == 0
    text = seen.getvalue().decode()
    assert "rung 0: equal?" in text
    assert "1 of 3 layers" in text
    assert "left" in text
    assert text.index("rung 0: equal?") < text.index("1 of 3 layers") < text.index("table")
    assert "\x1b[1A\x1b[2Ktable" in text  # the live line is erased before the table comes


def test_a_log_of_the_same_work_holds_the_rungs_line_alone() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "table\n", "rung 0: equal?\n")
