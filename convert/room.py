"""Is there room for a plan here? Which stage lacks disk or memory, and how much of it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convert.costs import Stage
from convert.memory import Memory

# Memory is an estimate, and a refusal of what would have worked is worse than a warning: only this much of it counts.
CERTAIN = 0.8


@dataclass(frozen=True)
class Room:
    """What was found.

    Attributes:
        disk: free bytes on the output's file system.
        memory: what processes may take here.
        lacking: what cannot be done here, as ``(found, action)`` of a refusal, the first stage that cannot first.
        tight: what may fail, in a line each.
    """

    disk: int
    memory: Memory
    lacking: tuple[tuple[str, str], ...]
    tight: tuple[str, ...]


def free_disk(out: Path) -> int:
    """Free bytes where ``out`` lies, or will."""
    there = next(folder for folder in (out, *out.parents) if folder.exists())
    return shutil.disk_usage(there).free


def room(stages: Sequence[Stage], disk: int, memory: Memory) -> Room:
    """Compares what stages need with what there is. File pages and swap space are not held against a stage."""
    lacking: list[tuple[str, str]] = []
    tight: list[str] = []
    most = max(stages, key=lambda stage: stage.disk)
    if most.disk > disk:
        found = f"{most.name} needs {_gb(most.disk)} of disk and {_gb(disk)} are free"
        lacking.append((found, "Free some space, or give another disk with --out"))
    most = max(stages, key=lambda stage: stage.memory - stage.mapped)
    held = most.memory - most.mapped
    what = "are free" if memory.limit is None else f"are free of this container's {_gb(memory.limit)}"
    said = f"{most.name} needs about {_gb(held)} of memory and {_gb(memory.free)} {what}"
    if CERTAIN * held > memory.free + memory.swap:
        action = "Close other programs" if memory.limit is None else "Give the container more memory"
        lacking.append((said, f"{action}, or use a larger machine"))
    elif held > memory.free:
        tight.append(f"{said}: it may be slow or be ended for want of memory")
    return Room(disk, memory, tuple(lacking), tuple(tight))


def _gb(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
