"""What a tree of processes holds while it runs: memory and temporary files, looked at five times a second. Linux.

The memory of a tree is the sum over its processes of what is resident. A page of a file that two of them have mapped
counts twice in it; the proportional sum counts it once, and the part that is no file's page says what must be there.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PERIOD_S = 0.2
# The proportional sum makes the kernel walk every page.
PROPORTIONAL_EVERY = 15
_PR_SET_CHILD_SUBREAPER = 36
_KIB = 1024
_BLOCK = 512  # st_blocks: stat(2)


@dataclass(frozen=True)
class Sample:
    """One look.

    Attributes:
        at: ``time.monotonic()``.
        resident: bytes of memory, the sum over all processes.
        own: the part of it that is no page of a file.
        proportional: each page once; 0 where it was not looked at.
        disk: bytes of files below the watched folders, and of deleted ones that a process holds open.
        commands: command lines of the processes.
    """

    at: float
    resident: int
    own: int
    proportional: int
    disk: int
    commands: tuple[str, ...]


class Watch(threading.Thread):
    """Looks at this process's descendants until ``stop`` is called; ``samples`` grows meanwhile."""

    def __init__(self, folders: Iterable[Path]) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._folders, self._ended = tuple(folders), threading.Event()
        self._known: set[int] = set()
        # Descendants whose parent has ended stay ours.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def run(self) -> None:
        while not self._ended.wait(PERIOD_S):
            self.look()

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def look(self) -> None:
        """Takes one sample."""
        found = set(descendants(os.getpid()))
        # For an instant a new process is a copy of its parent, and would be counted as a second one.
        counted, self._known = found & self._known, found
        resident = own = proportional = 0
        commands = []
        for process in counted:
            with suppress(OSError, ValueError):  # it has ended meanwhile
                memory = _fields(Path(f"/proc/{process}/status"), ("VmRSS", "RssAnon", "RssShmem"))
                resident += memory["VmRSS"]
                own += memory["RssAnon"] + memory["RssShmem"]
                commands.append(Path(f"/proc/{process}/cmdline").read_text("utf-8", "replace").replace("\0", " "))
        if len(self.samples) % PROPORTIONAL_EVERY == 0:
            for process in counted:
                with suppress(OSError, ValueError):
                    proportional += _fields(Path(f"/proc/{process}/smaps_rollup"), ("Pss",))["Pss"]
        disk = _bytes(self._folders, counted)
        self.samples.append(Sample(time.monotonic(), resident, own, proportional, disk, tuple(commands)))


def descendants(process: int) -> list[int]:
    """Every living process below a process."""
    children: dict[int, list[int]] = {}
    for name in (entry.name for entry in os.scandir("/proc")):
        if name.isdecimal():
            with suppress(OSError):
                # pid (name) state parent ...; a name may hold anything, also a bracket.
                state, parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    children.setdefault(int(parent), []).append(int(name))
    found, todo = [], [process]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _fields(file: Path, names: tuple[str, ...]) -> dict[str, int]:
    """Figures of a file of lines ``name: 12 kB``, in bytes; 0 for those that are not there (a kernel's thread)."""
    found = dict.fromkeys(names, 0)
    for line in file.read_text().splitlines():
        name, _, value = line.partition(":")
        if name in found:
            found[name] = int(value.split()[0]) * _KIB
    return found


def _bytes(folders: tuple[Path, ...], processes: Iterable[int]) -> int:
    """What the files below folders occupy, each once, and deleted files there that a process holds open."""
    seen: dict[tuple[int, int], int] = {}
    for folder in folders:
        for root, _, names in os.walk(folder):
            for name in names:
                with suppress(OSError):
                    status = os.lstat(os.path.join(root, name))  # noqa: PTH118
                    seen[status.st_dev, status.st_ino] = status.st_blocks * _BLOCK
    for process in processes:
        with suppress(OSError):
            for entry in os.scandir(f"/proc/{process}/fd"):
                with suppress(OSError):
                    target = os.readlink(entry.path)  # noqa: PTH115
                    if target.endswith(" (deleted)") and target.startswith(tuple(map(str, folders))):
                        status = os.stat(entry.path)  # noqa: PTH116
                        seen[status.st_dev, status.st_ino] = status.st_blocks * _BLOCK
    return sum(seen.values())
