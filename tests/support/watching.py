"""What a build takes while it runs: disk and memory of all its processes, sampled. Linux: reads ``/proc``."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

MARK = "WATCHED_BUILD"
PAGE, TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


@dataclass
class Line:
    """A line of standard error, and what it took to come so far.

    Attributes:
        seconds: after the start.
        processor: seconds of processor time of all processes until then.
        disk, memory: the most bytes between the line before and this one.
    """

    seconds: float
    text: str
    processor: float = 0.0
    disk: int = 0
    memory: int = 0


@dataclass
class Run:
    """A process with everything that it starts, watched to its end.

    Attributes:
        disk: the most bytes of disk blocks below the watched folders, files included that are open or mapped and have
            no name any more.
        memory: the most bytes of resident memory, of all processes together.
    """

    process: subprocess.Popen[str]
    mark: str
    folders: tuple[Path, ...]
    began: float
    lines: list[Line] = field(default_factory=list)
    out: str = ""
    disk: int = 0
    memory: int = 0
    processor: float = 0.0
    since: tuple[int, int] = (0, 0)
    threads: list[threading.Thread] = field(default_factory=list)

    def running(self) -> bool:
        return self.process.poll() is None

    def pids(self) -> list[int]:
        """The process and all that it has started, also those whose parents are gone."""
        wanted = f"{MARK}={self.mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    if wanted in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def sample(self) -> None:
        pids = self.pids()
        disk, memory = used(self.folders, pids), sum(map(resident, pids))
        self.disk, self.memory = max(self.disk, disk), max(self.memory, memory)
        self.since = max(self.since[0], disk), max(self.since[1], memory)
        self.processor = max(self.processor, sum(map(processor, pids)))

    def finish(self) -> int:
        """Waits for its end and gives the exit code."""
        code = self.process.wait()
        for thread in self.threads:
            thread.join(10)
        return code


def start(command: list[str], mark: str, folders: tuple[Path, ...], every: float, **env: str) -> Run:
    """Starts a command and watches it.

    Args:
        mark: in the environment of all its processes; of this run alone.
        folders: whose disk is sampled.
        every: seconds between two samples.
    """
    process = subprocess.Popen(
        command,
        env=os.environ | env | {MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    run = Run(process, mark, folders, time.monotonic())

    def read_errors() -> None:
        assert process.stderr is not None
        for text in process.stderr:
            seen, run.since = run.since, (0, 0)
            run.lines.append(Line(time.monotonic() - run.began, text.rstrip("\n"), run.processor, *seen))

    def read_out() -> None:
        assert process.stdout is not None
        run.out = process.stdout.read()

    def samples() -> None:
        while run.running():
            run.sample()
            time.sleep(every)

    for work in (read_errors, read_out, samples):
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        run.threads.append(thread)
    return run


def used(folders: tuple[Path, ...], pids: list[int]) -> int:
    """Bytes of disk blocks below the folders, each file once."""
    seen: dict[tuple[int, int], int] = {}
    devices = set()
    for folder in folders:
        for root, names, files in os.walk(folder):
            for name in (".", *names, *files):
                with suppress(OSError):
                    note(seen, os.lstat(os.path.join(root, name)))  # noqa: PTH118 - a walk over hundreds of files
        with suppress(OSError):
            devices.add(folder.stat().st_dev)
    for pid in pids:
        for path in nameless(pid, folders):
            with suppress(OSError):
                found = path.stat()
                if found.st_dev in devices:
                    note(seen, found)
    return sum(seen.values())


def note(seen: dict[tuple[int, int], int], found: os.stat_result) -> None:
    seen[found.st_dev, found.st_ino] = found.st_blocks * 512


def nameless(pid: int, folders: tuple[Path, ...]) -> Iterator[Path]:
    """Files of the folders that a process holds open or mapped and that were removed."""
    for kind in ("fd", "map_files"):
        with suppress(OSError):
            for entry in Path(f"/proc/{pid}/{kind}").iterdir():
                with suppress(OSError):
                    target = os.readlink(entry)  # noqa: PTH115 - its " (deleted)" is no part of a path
                    if target.endswith(" (deleted)") and target.startswith(tuple(map(str, folders))):
                        yield entry


def resident(pid: int) -> int:
    """Resident memory of a process in bytes; 0 when it is gone."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return 0


def processor(pid: int) -> float:
    """Seconds of processor time of a process and of its children that it has waited for; proc(5), stat."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS
    return 0.0
