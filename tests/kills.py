"""Kills builds at points spread over their stages, runs them again, and says what was left behind.

``python -m tests.kills --checkpoint FOLDER --points 10``: a build that nobody disturbs gives the bytes and the times.
Then a build is killed again and again, each time at another place and in another way, each time on what the kill
before it left; in the end it is let through and has to give the same bytes. After each kill: the bundle of before is
whole or there is none, no process lives on, a build that was asked to end has removed every trace, and one that was
killed has left nothing but its work folder. Never may more disk be taken than ``plan`` said.

It is also tried to build the same bundle at the same time, which has to be one line.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from convert.tables import size, table
from tests.fullsize.against_plan import ask
from tests.support.watching import Line, Run, start

WAYS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
GOLDEN_RATIO = 0.618
BY_THE_CLOCK = re.compile(r"[^:]+, \d+ of \d+ ")
PATIENCE_S = 10.0  # for processes of a killed build to be gone


@dataclass(frozen=True)
class Point:
    """Where a build is killed: after so many lines on standard error, and then so many seconds later."""

    lines: int
    seconds: float
    how: signal.Signals


@dataclass(frozen=True)
class Kill:
    """What a kill did: where, the exit code, what was left besides the bundle, and what is wrong with that."""

    point: Point
    after: str
    code: int
    left: str
    disk: int
    wrong: tuple[str, ...]


def points(ends: Sequence[float], count: int) -> list[Point]:
    """``count`` points, spread evenly over the stages, however long these are, and within each at another place.

    Args:
        ends: when each stage ended, in seconds after the start.
    """
    made = []
    for k in range(count):
        stage = k * len(ends) // count
        begin = ends[stage - 1] if stage else 0.0
        made.append(Point(stage, (ends[stage] - begin) * ((k + 1) * GOLDEN_RATIO % 1), WAYS[k % len(WAYS)]))
    return made


def stages(run: Run) -> list[Line]:
    """The lines that tell of stages; those that tell how far one is come by the clock."""
    return [line for line in list(run.lines) if not BY_THE_CLOCK.match(line.text)]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by relative name."""
    out = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                out[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return out


@dataclass(frozen=True)
class Bench:
    """The command that is killed, the folder it builds into, and its folder for temporary files."""

    command: tuple[str, ...]
    out: Path
    scratch: Path
    every: float = 0.1

    def start(self) -> Run:
        folders = (self.out, self.scratch)
        return start(list(self.command), os.urandom(8).hex(), folders, self.every, TMPDIR=str(self.scratch))

    def bundles(self) -> dict[str, str]:
        """Digests of what a user sees."""
        return {name: digest for name, digest in digests(self.out).items() if ".work" not in name}

    def debris(self) -> list[str]:
        """What lies about besides bundles: work folders and their like, and whatever is in the folder for scratch."""
        hidden = [path.name for path in self.out.glob("*/.*")] if self.out.exists() else []
        return sorted(hidden) + sorted(f"TMPDIR/{path.name}" for path in self.scratch.iterdir())


def kill(bench: Bench, point: Point, whole: dict[str, str], planned: int | None) -> Kill:
    """Starts a build, kills it at a point and looks at what is left."""
    had = bench.bundles()
    run = bench.start()
    while run.running() and len(stages(run)) < point.lines:
        time.sleep(0.01)
    until = time.monotonic() + point.seconds
    while run.running() and time.monotonic() < until:
        time.sleep(0.01)
    after = run.lines[-1].text if run.lines else "the start"
    if run.running():
        os.killpg(run.process.pid, point.how)
    code = run.finish()
    wrong = list[str]()
    deadline = time.monotonic() + PATIENCE_S
    while (alive := run.pids()) and time.monotonic() < deadline:
        time.sleep(0.05)
    wrong += [f"process {pid} lives on" for pid in alive]
    found, left = bench.bundles(), bench.debris()
    if found not in (had, whole):
        wrong.append("a bundle that is neither the old nor the new one")
    allowed = point.how == signal.SIGKILL
    wrong += [f"{name} was left" for name in left if not (allowed and name.endswith(".work"))]
    expected = {0, -signal.SIGKILL} if allowed else {0, 130, 143}
    if code not in expected:
        wrong.append(f"exit code {code}")
    if planned is not None and run.disk > planned:
        wrong.append(f"{size(run.disk)} of disk, {size(planned)} were planned")
    return Kill(point, after, code, ", ".join(left) or "nothing", run.disk, tuple(wrong))


def together(bench: Bench, lines: int) -> tuple[Run, list[str]]:
    """An undisturbed build, and a second one of the same bundle that starts while the first is at work."""
    first, wrong = bench.start(), list[str]()
    while first.running() and len(first.lines) < lines:
        time.sleep(0.01)
    second = bench.start()
    code = second.finish()
    said = [line.text for line in second.lines if line.text.startswith("error: ")]
    waited = code == 0 and not first.running()  # a short build: the second one waited for its end
    if not waited and (code != 2 or len(said) != 1 or "another build of it is running" not in said[0]):
        wrong.append(f"the second of two builds ended with {code} and said {said}")
    if first.finish():
        wrong.append(f"the first of two builds ended with {first.process.returncode}: {first.lines[-1].text}")
    return first, wrong


def climb(
    bench: Bench,
    count: int,
    planned: int | None,
    told: Callable[[str], None],
    each: bool = False,
    first: int = 1,
) -> list[str]:
    """Everything; gives what is wrong.

    Args:
        planned: bytes of disk that the plan speaks of.
        told: hears of what happens.
        each: let a build through after each kill, not after the last one alone.
        first: number of the point to begin with: those before it were tried another time.
    """
    calm, wrong = together(bench, 1)
    if calm.process.returncode:
        return wrong
    whole = bench.bundles()
    if planned is not None and calm.disk > planned:
        wrong.append(f"undisturbed: {size(calm.disk)} of disk, {size(planned)} were planned")
    told(timeline(calm))
    ends = [line.seconds for line in stages(calm)]
    rows = []
    _remove(bench.out)
    for number, point in list(enumerate(points(ends, count), 1))[first - 1 :]:
        done = kill(bench, point, whole, planned)
        told(f"kill {number} of {count}: {', '.join(done.wrong) or 'nothing wrong'}\n")
        rows.append(
            (number, point.how.name, f"{point.seconds:.1f} s", done.after[:48], done.code, done.left, size(done.disk))
        )
        wrong += [f"kill {number}, {point.how.name}: {fault}" for fault in done.wrong]
        if each or number == count:
            again = bench.start()
            if again.finish():
                wrong.append(f"after kill {number} the next build ended with {again.process.returncode}")
            if bench.bundles() != whole:
                wrong.append(f"after kill {number} the next build gave other bytes")
            wrong += [f"after kill {number} the next build left {name}" for name in bench.debris()]
            if planned is not None and again.disk > planned:
                wrong.append(f"after kill {number}: {size(again.disk)} of disk, {size(planned)} were planned")
            if number < count and number % 2:  # every other kill finds no bundle
                _remove(bench.out)
    heads = ("kill ", "signal", "later ", "after this line", "code ", "left behind", "disk ")
    told(table("", heads, rows))
    told(f"disk at most {size(calm.disk)} undisturbed" + (f", {size(planned)} planned\n" if planned else "\n"))
    told(f"memory at most {size(calm.memory)} undisturbed\n")
    return wrong


def timeline(run: Run) -> str:
    """What came before each line of a run: time, processor time, the most memory and the most disk."""
    rows, seconds, spent = [], 0.0, 0.0
    for line in run.lines:
        times = (f"{line.seconds - seconds:.1f} s", f"{line.processor - spent:.1f} s")
        rows.append((line.text[:60], *times, size(line.memory), size(line.disk)))
        seconds, spent = line.seconds, line.processor
    return table("undisturbed", ("before this line", "time ", "processor ", "memory ", "disk "), rows)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description="Kills builds and looks at what is left")
    parser.add_argument("--checkpoint", default="demo", help="folder or hub id [default: demo]")
    parser.add_argument("--platform", default="android")
    parser.add_argument("--points", type=int, default=10)
    parser.add_argument("--first", type=int, default=1, help="number of the point to begin with [default: 1]")
    parser.add_argument("--out", type=Path, help="where everything lies meanwhile [default: the temporary folder]")
    parser.add_argument("--quick", action="store_true", help="with a judge that takes any file: the other stages alone")
    parser.add_argument("--each", action="store_true", help="let a build through after each kill")
    parser.add_argument("flags", nargs="*", help="after --: flags of bundle, such as --context 1024")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="kills-", dir=options.out) as name:
        out, scratch = Path(name, "out"), Path(name, "tmp")
        out.mkdir()
        scratch.mkdir()
        words = [options.platform, options.checkpoint, *options.flags, "--out", str(out)]
        planned = ask(words)
        if planned is None:
            told("plan refuses this\n")
            return 2
        told(f"planned: {size(planned['disk_needed'])} of disk, {size(planned['memory_needed'])} of memory\n")
        command = [sys.executable, "-m", "convert", "bundle", *words]
        if options.quick:
            quick = str(Path(__file__).parent / "support" / "quick_build.py")
            command = [sys.executable, quick, str(out), "pass", options.checkpoint, "skip", "-v"]
        bench = Bench(tuple(command), out, scratch)
        wrong = climb(bench, options.points, planned["disk_needed"], told, options.each, options.first)
    told("\n".join(wrong or ["all as it should be"]) + "\n")
    return 1 if wrong else 0


def told(text: str) -> None:
    """Says something at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
